"""A weblog tar that somebody writes to at this moment is not damaged: it is worth another try."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import WeblogChangingError, WeblogDamagedError
from conveyor.weblog import source
from support.bench import Bench
from support.inventory import inventory
from support.tars import tar
from support.workspace import weblog_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


WHOLE = weblog_tar()
CUT = {
    "nothing yet": b"",
    "gzip's mark": WHOLE[:2],
    "half of it": WHOLE[: len(WHOLE) // 2],
    "without gzip's end": WHOLE[:-8],
    "half a mark of a second member": WHOLE + b"\x1f",
    "a plain tar in a file": weblog_tar("w")[:1000],
    "a plain tar between two members": weblog_tar("w")[:1536],
}
BROKEN = {
    "a wrong checksum": WHOLE[:-8] + bytes(4) + WHOLE[-4:],
    "something after it": WHOLE + b"\n",
    "another thing": b"<html>not found</html>" * 100,
    "a word": b"later",
    "no member": tar(),
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bench").mkdir()
    return Bench(tmp_path / "bench")


def refusals(bench: Bench) -> set[type[Exception]]:
    """Return the errors of a check and of a store, of which neither may change anything."""
    before = inventory(bench.root)
    found: set[type[Exception]] = set()
    for act in (bench.check, bench.store):
        with pytest.raises((WeblogChangingError, WeblogDamagedError)) as caught:
            act()
        found.add(caught.type)
    assert inventory(bench.root) == before
    return found


@pytest.mark.parametrize("name", CUT)
def test_a_tar_that_ends_too_early_is_damaged_once_it_rests(bench: Bench, name: str) -> None:
    """As long as it was written to seconds ago, the rest may come; after that it is damaged."""
    bench.put(CUT[name], age=1)
    assert refusals(bench) == {WeblogChangingError}
    bench.put(CUT[name], age=-5)  # the file server's clock is ahead
    assert refusals(bench) == {WeblogChangingError}
    bench.put(CUT[name], age=3600)
    assert refusals(bench) == {WeblogDamagedError}


@pytest.mark.parametrize("name", BROKEN)
def test_a_tar_to_which_nothing_can_be_added_is_damaged_at_once(bench: Bench, name: str) -> None:
    """What no further byte can mend is not worth another try."""
    bench.put(BROKEN[name], age=0)
    assert refusals(bench) == {WeblogDamagedError}


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(512))


def touched(path: Path) -> None:
    os.utime(path)


def replaced(path: Path) -> None:
    path.with_suffix(".new").write_bytes(WHOLE)
    path.with_suffix(".new").rename(path)


@pytest.mark.parametrize("change", [appended, touched, replaced, os.unlink])
@pytest.mark.parametrize("content", [WHOLE, BROKEN["a wrong checksum"]], ids=["whole", "broken"])
def test_a_tar_that_changes_while_it_is_read_is_read_another_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], content: bytes
) -> None:
    """Whatever was found in it then, right or wrong, is neither believed nor cached."""

    class ChangedMeanwhile(source.SourceTar):
        def check_unchanged(self) -> None:
            change(self.path)
            super().check_unchanged()

    monkeypatch.setattr(source, "SourceTar", ChangedMeanwhile)
    bench.put(content)
    with pytest.raises(WeblogChangingError, match="changed while it was read"):
        bench.store()
    assert not bench.tree.exists()
