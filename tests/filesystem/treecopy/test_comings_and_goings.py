"""What goes, comes back or becomes something else between two looks of a copy, or of a verification."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.treecopy.copy_options import CopyMonitor, Side, Totals
from support.trees import ALONE, TOGETHER, Pair, make_tree, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[ALONE, TOGETHER], ids=["alone", "together"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A small tree to be copied on one file system, by one process or by several, with a directory of many names."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    pair = Pair(tmp_path / "one", tmp_path / "other", request.param)
    make_tree(pair.source)
    (pair.source / "many").mkdir()
    for number in range(12):
        (pair.source / "many" / str(number)).write_text(str(number))
    with closing(pair.stack):
        yield pair


@pytest.mark.parametrize("name", ["folder 1", "folder 1/inner", "many"])
def test_a_directory_that_goes_and_comes_back_between_the_looks_is_copied(pair: Pair, name: str) -> None:
    """One look finds it gone, so that its copy goes; its files did not change, and the next look copies them again."""
    there, away, copy = pair.source / name, pair.one / "away", pair.copied / name
    steps: list[str] = []

    def progress(phase: str, _done: Totals, _total: Totals) -> None:
        if phase == "check" and not steps:
            there.rename(away)
            steps.append("away")
        elif steps == ["away"] and not copy.exists():
            away.rename(there)
            steps.append("back")

    pair.copy(CopyMonitor(progress))
    assert steps == ["away", "back"]
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)


def test_a_directory_of_many_names_may_lose_most_of_them(pair: Pair) -> None:
    """A part of it that is empty by the next call has nothing recorded any more, so that nothing is missed in it."""
    pair.copy()
    for number in range(1, 12):
        (pair.source / "many" / str(number)).unlink()
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)
