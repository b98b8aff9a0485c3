"""Readers of a request's paths notice nothing of its conveyance, on the file system of the tests and on tmpfs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from conveyor import deliver, load_config, retrieve
from support.reader import Reader
from support.sweep import everything
from support.workspace import DIRECTORIES, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

CYCLES = 200 if everything() else 50


@pytest.fixture(params=["tmp_path", "memory_folder"])
def place(request: pytest.FixtureRequest) -> Path:
    """A folder on one file system after the other."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


def test_readers_in_a_tight_loop_miss_nothing_in_many_conveyances(place: Path) -> None:
    """Two processes stat and open files below all three directories while the request goes out and home: no call fails."""
    workspace = make_workspace(place / "workspaces")
    files = [workspace.spool / name / "folder" / "file.txt" for name in DIRECTORIES]
    settings = load_config()
    meanwhile: Counter[str] = Counter()
    with Reader(place / "one", files) as one, Reader(place / "two", files) as two:
        for _ in range(CYCLES):
            for act in (deliver, retrieve):
                for reader in (one, two):
                    reader.read_on(2)
                before = one.rounds + two.rounds
                outcome = act(workspace.metadata, config=settings).raise_for_error()
                meanwhile[outcome.command] += one.rounds + two.rounds - before
                assert outcome.changed
    assert one.misses + two.misses == []
    # Each round is a stat and an open of every file; a reader that did not read meanwhile would have shown nothing.
    assert min(meanwhile["deliver"], meanwhile["retrieve"]) > 5 * CYCLES
