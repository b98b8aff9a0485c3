"""Room for all that will be copied is asked for before anything is changed."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.engine import move_across
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.engine.survey import State
from conveyor.errors import SpaceMissingError
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy import estimate
from conveyor.filesystem.treecopy.estimate import EstimateWalk
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.faults import Crash
from support.inventory import inventory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.workspace import Workspace

_BLOCK = 4096


class Stage:
    """A request, its QA folder below ``root``, and how much every file system has left."""

    def __init__(self, workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (root / "qa2").mkdir(exist_ok=True)
        self.spool, self.qa = workspace.spool, root / "qa2" / workspace.request
        places = Places(workspace.request, workspace.spool, root / "qa2", root / "weblogs", relative_links=False)
        self.request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))
        self.free, self.inodes = 10**9, 10**9
        self.full: int | None = None  # the device of a file system that has nothing left
        real = os.statvfs

        def statvfs(place: int) -> os.statvfs_result:  # the fields are in the order of statvfs(3)
            found = list(real(place))
            free = 0 if os.stat(place).st_dev == self.full else self.free
            found[1], found[4], found[5], found[7] = _BLOCK, free // _BLOCK, 10**9, self.inodes
            return os.statvfs_result(found)

        monkeypatch.setattr(os, "statvfs", statvfs)

    def run(self, operation: Operation, *, dry_run: bool = False, stop: Callable[[], bool] = lambda: False) -> Outcome:
        environment = Environment(FileSystem(pause=lambda _: None), stop=stop)
        return convey(self.request, operation, environment, Outcome(str(operation), None), dry_run=dry_run)

    def needs(self, operation: Operation) -> int:
        """The bytes that a conveyance says that it needs."""
        free, self.free = self.free, 0
        error = self.run(operation, dry_run=True).error
        self.free = free
        assert error is not None
        found = re.search(r"needs (\d+) bytes more", error.message)
        assert found is not None
        return int(found[1])


@pytest.fixture
def stage(workspace: Workspace, memory_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The request, before its delivery to another file system."""
    return Stage(workspace, memory_folder, monkeypatch)


@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_what_does_not_fit_as_a_whole_is_refused_before_anything_is_changed(
    stage: Stage, operation: Operation, what: str
) -> None:
    """One block too few for all directories together refuses the first of them; a dry run says the same."""
    if operation is Operation.RETRIEVE:
        stage.run(Operation.DELIVER).raise_for_error()
    needed = stage.needs(operation)
    if what == "bytes":
        stage.free = needed - _BLOCK
    else:
        stage.inodes = 3
    before = inventory(stage.spool) | inventory(stage.qa.parent)
    for dry_run in (True, False):
        outcome = stage.run(operation, dry_run=dry_run)
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.exit_code) == ("no-space", 74)
        assert what in outcome.error.message
        assert str(stage.qa.parent if operation is Operation.DELIVER else stage.spool) in outcome.error.message
    assert inventory(stage.spool) | inventory(stage.qa.parent) == before
    stage.free, stage.inodes = needed, 10**9
    assert stage.run(operation).raise_for_error().state is (
        State.IN_QA if operation is Operation.DELIVER else State.IN_SPOOL
    )


def test_each_directory_is_counted_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted for the whole request is not counted again by the copy."""
    counted: list[str] = []

    class Counting(EstimateWalk):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]  # whatever they are, they are handed on
            counted.append(self.tree.name)

    monkeypatch.setattr(estimate, "EstimateWalk", Counting)
    stage.run(Operation.DELIVER).raise_for_error()
    assert counted == [one.name for one in CALIBRATION.directories]


def test_within_one_file_system_nothing_is_counted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename needs no room."""
    stage = Stage(workspace, workspace.root, monkeypatch)
    stage.free = stage.inodes = 0
    assert stage.run(Operation.DELIVER).raise_for_error().state is State.IN_QA


def test_what_an_interrupted_run_has_copied_needs_no_room_again(stage: Stage) -> None:
    """A run that goes on needs less by what is there already."""
    needed = stage.needs(Operation.DELIVER)
    incoming = stage.qa / ".conveyor" / "rawdata.incoming" / "folder" / "file.txt"
    stopped = stage.run(Operation.DELIVER, stop=incoming.exists)
    assert stopped.error is not None
    assert stopped.error.code == "interrupted"
    left = stage.needs(Operation.DELIVER)
    assert left < needed
    stage.free = left
    assert stage.run(Operation.DELIVER).raise_for_error().state is State.IN_QA


def test_a_copy_that_is_recalled_needs_no_room_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run died after the swap and the source was written to, the copy is taken back and gone on with."""

    def die(*_: object) -> None:
        raise Crash("killed")

    with monkeypatch.context() as patch:
        patch.setattr(move_across, "_take_out", die)
        with pytest.raises(Crash):
            stage.run(Operation.DELIVER)
    (stage.spool / "rawdata" / "folder" / "file.txt").write_text("written meanwhile")
    stage.free = stage.needs(Operation.DELIVER)  # of the other directories
    done = stage.run(Operation.DELIVER).raise_for_error()
    assert (done.state, "recall-copy" in [step.step for step in done.steps]) == (State.IN_QA, True)
    assert (stage.qa / "rawdata" / "folder" / "file.txt").read_text() == "written meanwhile"


def test_a_count_ends_when_it_is_asked_to(stage: Stage) -> None:
    """Asked to stop while it counts, a dry run ends with 75."""
    outcome = stage.run(Operation.DELIVER, dry_run=True, stop=lambda: True)
    assert outcome.error is not None
    assert outcome.error.exit_code == 75


def test_the_manifests_need_room_in_spool(stage: Stage) -> None:
    """A full spool area refuses the copy before the first byte, although all data goes elsewhere."""
    before = inventory(stage.spool)
    stage.full = stage.spool.stat().st_dev
    error = stage.run(Operation.DELIVER).error
    assert isinstance(error, SpaceMissingError)
    assert f"bytes more in {stage.spool}, and 0 are free" in error.message
    assert inventory(stage.spool) == before
    stage.full = None
    stage.run(Operation.DELIVER).raise_for_error()
