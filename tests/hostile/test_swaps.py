"""A folder that is swapped for a link to somebody else's, at every moment of a conveyance: nothing of theirs is touched."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.errors import ConflictError, tree
from conveyor.filesystem.posix import FileSystem
from conveyor.request.metadata import read_metadata
from conveyor.request.places import locate
from conveyor.settings.model import Settings
from conveyor.weblog.limits import Limits
from support.disturbed import Stage, make_stage
from support.inventory import inventory
from support.stage import CLONE, RETAG
from support.swaps import Swap
from support.sweep import cannot, everything, seed
from support.volumes import apart
from support.workspace import DIRECTORIES, Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd

# How many moments are tried for each case, others in each session: hundreds for each folder in 'nox -s fuzz'.
MOMENTS = settings().max_examples // 50
WAYS = ("exchange", "renames", "copy", RETAG, CLONE)
SHARE = 10  # of the cases that a file system has to be mounted for, one in so many in a session
DOCUMENTED = {error.exit_code for error in tree()} - {70}
# What is swapped, as it stands in spool or in the QA folder before or during a conveyance, or in the weblog cache.
FOLDERS: dict[str, Callable[[Stage], Path]] = {
    "the request in spool": lambda stage: stage.workspace.spool,
    "a directory in spool": lambda stage: stage.workspace.spool / "products",
    "a folder in a directory in spool": lambda stage: stage.workspace.spool / "products" / "folder",
    "Conveyor's own in spool": lambda stage: stage.workspace.spool / ".conveyor",
    "the QA folder": lambda stage: stage.qa,
    "a directory in the QA folder": lambda stage: stage.qa / "products",
    "a folder in a directory in the QA folder": lambda stage: stage.qa / "products" / "folder",
    "Conveyor's own in the QA folder": lambda stage: stage.qa / ".conveyor",
    "a copy that is being made": lambda stage: stage.target / ".conveyor" / "products.incoming",
    "a source that is being removed": lambda stage: stage.origin / ".conveyor" / "products.outgoing",
    "the cached weblog": lambda stage: stage.workspace.weblog,
    "a weblog that is being unpacked": lambda stage: (
        stage.workspace.weblog.parent / f".{stage.workspace.request}.conveyor"
    ),
}

# These are there where files are copied or cloned, and the other one on the way out only.
COPY = ("a copy that is being made", "a source that is being removed")
UNPACKED = "a weblog that is being unpacked"
ALL = [
    (operation, way, name)
    for operation in (Operation.DELIVER, Operation.RETRIEVE)
    for way in WAYS
    for name in FOLDERS
    if (way in ("copy", CLONE) or name not in COPY) and (operation is Operation.DELIVER or name != UNPACKED)
]
MOUNTED = [case for case in ALL if case[1] in (RETAG, CLONE)]
CASES = [case for case in ALL if everything() or case not in MOUNTED or case in MOUNTED[seed() % SHARE :: SHARE]]


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path, memory_folder: Path, way: str) -> tuple[Path, Path]:
    """Two folders between which a request goes by a way."""
    if way not in (RETAG, CLONE):
        return (tmp_path if way == "copy" else memory_folder), memory_folder
    if os.geteuid() != 0:
        cannot("only root may mount")
    kind = "xfs" if way == RETAG else "btrfs"
    volume = request.getfixturevalue("mounted").image(tmp_path / kind, tmp_path / "image", kind, mib=320)
    return apart(volume.point, way)


@pytest.mark.parametrize(("operation", "way", "name"), CASES)
def test_a_folder_swapped_for_a_link_at_any_moment(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, operation: Operation, way: str, name: str
) -> None:
    """Before a call taken at random: the victim is as it was, the end is documented, and a later run completes."""
    here, far = places
    whole, _ = make_stage(here / "whole", far / "far whole", way, operation)
    counter = Swap(FOLDERS[name](whole), whole.victim, whole.aside)
    whole.convey(operation, counter, monkeypatch).raise_for_error()
    assert counter.there
    for at in random.sample(counter.there, min(MOMENTS, len(counter.there))):
        root, beside = here / str(at), far / f"far {at}"
        stage, before = make_stage(root, beside, way, operation)
        folder = FOLDERS[name](stage)
        aside = beside / "aside" if folder.is_relative_to(beside) else root / "aside"
        swap = Swap(folder, stage.victim, aside, at)
        victim = inventory(stage.victim)
        try:
            outcome = stage.convey(operation, swap, monkeypatch)
            assert outcome.error is None or outcome.error.exit_code in DOCUMENTED
            assert inventory(stage.victim) == victim
            swap.undo(stage.workspace.spool, stage.qa)
            stage.convey(Operation.DELIVER).raise_for_error()
            stage.convey(Operation.RETRIEVE).raise_for_error()
            assert stage.data(stage.workspace.spool) == before
            assert inventory(stage.victim) == victim
        except BaseException as error:
            error.add_note(f"swapped before call {at} of {counter.calls}; the run ended with {outcome.error!r}")
            raise
        shutil.rmtree(root)
        shutil.rmtree(beside, ignore_errors=True)


def test_a_request_that_becomes_another_folder_is_not_touched(workspace: Workspace, tmp_path: Path) -> None:
    """Where the request's directory is replaced between the claim and the act, nothing is done in what replaced it."""
    victim = make_workspace(tmp_path / "victim")
    (victim.spool / ".conveyor").mkdir()
    before = inventory(victim.spool)

    class Swapping(FileSystem):
        def symlink(self, folder: DirFd, name: str, text: str) -> None:
            super().symlink(folder, name, text)
            if name.startswith("claim"):
                workspace.spool.rename(tmp_path / "aside")
                victim.spool.rename(workspace.spool)

    places = locate(read_metadata(workspace.metadata), Settings(), "qa2")
    request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))
    outcome = convey(request, Operation.DELIVER, Environment(Swapping()), Outcome("deliver", None))
    assert isinstance(outcome.error, ConflictError)
    assert "became another folder while it was claimed" in outcome.error.message
    assert inventory(workspace.spool) == before
    assert sorted(os.listdir(tmp_path / "aside")) == ["PPR.xml", "metadata.json", *sorted(DIRECTORIES)]
