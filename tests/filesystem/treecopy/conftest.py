"""What most tests of copies begin with."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from support.trees import ALONE, TOGETHER, Pair, make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=[ALONE, TOGETHER], ids=["alone", "together"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A small tree to be copied on one file system, by one process or by several."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    pair = Pair(tmp_path / "one", tmp_path / "other", request.param)
    make_tree(pair.source)
    with closing(pair.stack):
        yield pair
