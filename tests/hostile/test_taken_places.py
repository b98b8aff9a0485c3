"""Somebody puts something of theirs in a directory's place, at any moment of a conveyance, which goes on or dies just then.

What they put there is never lost, whatever the conveyance takes it for, and neither is the request's own.
"""

from __future__ import annotations

import os
import random
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from conveyor.engine.plan import Operation
from conveyor.errors import tree
from support.disturbed import make_stage
from support.faults import Crash
from support.swaps import Swap

if TYPE_CHECKING:
    from support.disturbed import Stage

# How many moments are tried for each case, others in each session.
MOMENTS = settings().max_examples // 50
DOCUMENTED = {error.exit_code for error in tree()} - {70}
KINDS = ("directory", "file", "link")
# Without the exchange a link or a file in the place of a link of ours may be lost: docs/explanation/guarantees.md.
CASES = [
    (operation, way, end, kind)
    for operation in (Operation.DELIVER, Operation.RETRIEVE)
    for way, kinds in {
        "exchange": KINDS,
        "renames": KINDS[:1],
        "copy": KINDS,
        "copy without exchange": KINDS[:1],
    }.items()
    for end in ("spool", "QA")
    for kind in kinds
]


@dataclass
class Intruder(Swap):
    """What stands in a place goes aside before call number ``at``, and something of somebody else's comes; ``dies`` calls
    after that the process is gone, or never where it is None."""

    kind: str = "directory"
    dies: int | None = None

    def point(self) -> None:
        super().point()
        if self.at is not None and self.dies is not None and self.calls - 1 >= self.at + self.dies:
            raise Crash

    def strike(self) -> None:
        with suppress(FileNotFoundError):
            self.folder.rename(self.aside)
        match self.kind:
            case "directory":
                self.folder.mkdir()
                (self.folder / "theirs").write_text("theirs")
            case "file":
                self.folder.write_text("theirs")
            case "link":
                self.folder.symlink_to("/theirs")
        self.swapped = True


def folder_of(stage: Stage, end: str) -> Path:
    """The request's folder at an end."""
    return stage.workspace.spool if end == "spool" else stage.qa


@pytest.mark.parametrize(("operation", "way", "end", "kind"), CASES)
def test_what_takes_a_place_at_any_moment_is_not_lost(
    tmp_path: Path,
    memory_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: Operation,
    way: str,
    end: str,
    kind: str,
) -> None:
    here, far = tmp_path if way.startswith("copy") else memory_folder, memory_folder
    whole, _ = make_stage(here / "whole", far / "far whole", way, operation)
    counter = Swap(folder_of(whole, end), whole.victim, whole.aside)
    whole.convey(operation, counter, monkeypatch).raise_for_error()
    assert counter.there
    for at in random.sample(counter.there, min(MOMENTS, len(counter.there))):
        root, beside = here / str(at), far / f"far {at}"
        stage, before = make_stage(root, beside, way, operation)
        place = folder_of(stage, end) / "products"
        aside = (beside if place.is_relative_to(beside) else root) / "aside"
        intruder = Intruder(place, stage.victim, aside, at, kind=kind, dies=random.choice([None, 1, 2, 3, 4, 6, 9]))
        try:
            with suppress(Crash):
                outcome = stage.convey(operation, intruder, monkeypatch)
                assert outcome.error is None or outcome.error.exit_code in DOCUMENTED
            outcome = stage.convey(operation)
            assert outcome.error is None or outcome.error.exit_code in DOCUMENTED
            assert intruder.swapped
            put_right(stage, intruder, before)
            stage.convey(Operation.DELIVER).raise_for_error()
            stage.convey(Operation.RETRIEVE).raise_for_error()
            assert stage.data(stage.workspace.spool) == before
        except BaseException as error:
            error.add_note(f"before call {at} of {counter.calls}, dies {intruder.dies} calls later: {outcome.error!r}")
            raise
        shutil.rmtree(root)
        shutil.rmtree(beside, ignore_errors=True)


def put_right(stage: Stage, intruder: Intruder, before: dict[str, bytes]) -> None:
    """What a person does then: take theirs away, and put the request's own directory back, if it is needed."""
    theirs = find_theirs(stage)
    assert theirs is not None, "what somebody put there is lost"
    shutil.move(theirs, stage.victim / "theirs")
    endpoints = (stage.workspace.spool, stage.qa)
    if (
        any(end.is_dir() and has_products(stage, end, before) for end in endpoints)
        or intruder.aside.is_symlink()
        or not intruder.aside.is_dir()
    ):
        return
    place = theirs if theirs.name == "products" else intruder.folder
    if place.is_symlink():
        place.unlink()
    shutil.move(intruder.aside, place)


def has_products(stage: Stage, end: Path, before: dict[str, bytes]) -> bool:
    data = stage.data(end)
    return all(data.get(name) == content for name, content in before.items() if name.startswith("products/"))


def find_theirs(stage: Stage) -> Path | None:
    """Where what somebody put there stands now."""
    for end in (stage.workspace.spool, stage.qa):
        for folder, folders, files in os.walk(end):
            for name in (*folders, *files):
                path = Path(folder, name)
                if path.is_symlink():
                    if os.readlink(path) == "/theirs":
                        return path
                elif path.is_file() and path.read_text(errors="replace") == "theirs":
                    return path.parent if path.name == "theirs" else path
    return None
