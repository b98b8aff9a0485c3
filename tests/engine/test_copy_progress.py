"""How far a copy is: what is made of what the engine of the copies says, and the file that a status reads."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.documents.codec import validate
from conveyor.documents.kept_documents import Progress
from conveyor.engine import copy_progress as module
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey, look
from conveyor.engine.copy_progress import Pace, ProgressCallback, ProgressReporter, read_progress
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.engine.survey import State
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.faults import Crash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Workspace


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_and_time_left_are_those_of_the_last_seconds_of_the_phase() -> None:
    """The rate is told from the last ten seconds, the time left from all that is to do; another phase begins anew."""
    clock, total = Clock(), Totals(4, 1_000_000_000)
    pace = Pace(clock)
    first = pace.progress("rawdata", "copy", Totals(0, 0), total)
    assert (first.rate, first.seconds_left, first.total_files, first.total_bytes) == (None, None, 4, 1_000_000_000)
    clock.now += 5
    slow = pace.progress("rawdata", "copy", Totals(0, 100_000_000), total)
    assert (slow.rate, slow.seconds_left) == (20_000_000, 45)
    clock.now += 10
    fast = pace.progress("rawdata", "copy", Totals(0, 600_000_000), total)
    assert (fast.rate, fast.seconds_left) == (50_000_000, 8)
    clock.now += 5
    other = pace.progress("rawdata", "check", Totals(1, 0), total)
    assert (other.rate, other.seconds_left) == (None, None)


def test_many_small_files_take_time_by_themselves() -> None:
    """Where all bytes are copied but half of the files, the rest takes as long as that half."""
    clock, total = Clock(), Totals(1000, 1000)
    pace = Pace(clock)
    pace.progress("rawdata", "copy", Totals(0, 0), total)
    clock.now += 10
    half = pace.progress("rawdata", "copy", Totals(500, 1000), total)
    assert half.seconds_left == 9
    clock.now += 10
    assert pace.progress("rawdata", "copy", Totals(500, 1000), total).seconds_left is None
    clock.now += 10
    assert pace.progress("rawdata", "copy", total, total).seconds_left == 0


def test_what_is_removed_is_what_was_copied() -> None:
    """The total of a removal is known from the copy before it; without one it is not."""
    pace = Pace(Clock())
    assert pace.progress("rawdata", "remove", Totals(1, 0), Totals()).total_files is None
    pace.progress("rawdata", "copy", Totals(), Totals(100, 1000))
    removed = pace.progress("rawdata", "remove", Totals(7, 0), Totals())
    assert (removed.files, removed.total_files, removed.total_bytes) == (7, 100, None)


@pytest.fixture
def endpoints(workspace: Workspace) -> Iterator[Endpoints]:
    """Both ends of a request, with a folder of Conveyor's own in spool."""
    places = Places(workspace.request, workspace.spool, workspace.root / "qa2", workspace.root, relative_links=True)
    with Endpoints(FileSystem(), places) as opened:
        opened.spool.make_meta()
        yield opened


def test_the_file_is_there_as_long_as_a_copy_takes(endpoints: Endpoints) -> None:
    """It is written when a copy takes some seconds, read by whom it is meant for, and gone at the end."""
    clock, told = Clock(), list[Progress | None]()
    reporter = ProgressReporter(endpoints.spool, "request", "token", lambda _, progress: told.append(progress), clock)
    file = endpoints.spool.path / ".conveyor" / "progress.json"
    with reporter.about("rawdata"):
        reporter.tell("copy", Totals(0, 0), Totals(10, 100))
        assert not file.exists()
        clock.now += 4
        reporter.tell("copy", Totals(5, 50), Totals(10, 100))
        seen = read_progress(endpoints.spool, "token")
        assert seen is not None
        assert (seen, seen.files, seen.bytes) == (told[-1], 5, 50)
        assert read_progress(endpoints.spool, "another") is None
    assert told[-1] is None
    assert os.listdir(file.parent) == []


def test_a_file_that_cannot_be_written_stops_nothing(endpoints: Endpoints) -> None:
    """Where something stands in its place, the copy goes on and what stands there stays."""
    clock = Clock()
    reporter = ProgressReporter(endpoints.spool, "request", "token", lambda *_: None, clock)
    (endpoints.spool.path / ".conveyor" / "progress.json").mkdir()
    with reporter.about("rawdata"):
        for _ in range(2):
            reporter.tell("copy", Totals(), Totals(10, 100))
            clock.now += 4
    assert os.listdir(endpoints.spool.path / ".conveyor") == ["progress.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '{"claim": "token"}',
        "[" * 10_000,
        '{"schema": "conveyor-progress/1", "claim": "token"}',
    ],
)
def test_a_file_that_is_none_of_ours_is_passed_over(endpoints: Endpoints, text: str) -> None:
    """Half a file, or somebody else's, is no progress."""
    (endpoints.spool.path / ".conveyor" / "progress.json").write_text(text)
    assert read_progress(endpoints.spool, "token") is None


@pytest.mark.parametrize("wrong", [{"files": "1"}, {"bytes": -1}, {"rate": 1.5}, {"phase": None}])
def test_fields_of_another_kind_are_no_progress(wrong: dict[str, Any]) -> None:
    """What would break the schema is not taken."""
    right: dict[str, Any] = {"directory": "rawdata", "phase": "copy", "files": 1, "bytes": 2, "total_files": None}
    right |= {"total_bytes": None, "rate": None, "seconds_left": 3, "time": "now"}
    assert validate(Progress, right | {"more": 1}) == validate(Progress, right) == Progress(**right)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        validate(Progress, right | wrong)


class Stage:
    """A request whose QA area is on another file system."""

    def __init__(self, workspace: Workspace, memory: Path) -> None:
        (memory / "qa2").mkdir()
        places = Places(workspace.request, workspace.spool, memory / "qa2", memory / "weblogs", relative_links=False)
        self.request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))
        self.file = workspace.spool / ".conveyor" / "progress.json"

    def run(self, operation: Operation, on_progress: ProgressCallback) -> Outcome:
        environment = Environment(FileSystem(pause=lambda _: None), on_progress=on_progress)
        return convey(self.request, operation, environment, Outcome(str(operation), None))

    def status(self) -> Outcome:
        return look(self.request, Environment(), Outcome("status", None))


@pytest.fixture
def stage(workspace: Workspace, memory_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The request, before its delivery; what is told of its copies is written at once."""
    monkeypatch.setattr(module, "_WRITTEN_EVERY", 0)
    return Stage(workspace, memory_folder)


@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_a_status_tells_how_far_a_running_copy_is(stage: Stage, operation: Operation) -> None:
    """Who asks in the middle is told the directory and the phase, all of them in turn; afterwards nothing is left."""
    if operation is Operation.RETRIEVE:
        stage.run(Operation.DELIVER, lambda *_: None)
    seen: set[tuple[str, str]] = set()

    def on_progress(request: str, progress: Progress | None) -> None:
        assert request == stage.request.places.request
        if progress is not None and (found := stage.status().progress) is not None:
            seen.add((found.directory, found.phase))

    stage.run(operation, on_progress).raise_for_error()
    names = [one.name for one in CALIBRATION.directories]
    assert {(name, phase) for name in names for phase in ("copy", "check")} <= seen
    assert stage.status().progress is None
    assert not stage.file.exists()


def test_what_a_run_that_died_left_is_not_believed_and_is_removed(stage: Stage) -> None:
    """The file of a run that died is no progress; the request is in transit until the next run, which removes it."""
    stage.run(Operation.DELIVER, lambda *_: None).raise_for_error()
    left = Progress("rawdata", "copy", 1, 2, 3, 4, 5, 6, "then")
    stage.file.write_text(json.dumps({"schema": "conveyor-progress/1", "claim": "gone", **vars(left)}))
    (stage.file.parent / ".progress.json.new").write_text("{")
    found = stage.status()
    assert (found.progress, found.state) == (None, State.IN_TRANSIT)
    assert stage.run(Operation.DELIVER, lambda *_: None).raise_for_error().state is State.IN_QA
    assert not [path for path in stage.file.parent.iterdir() if "progress" in path.name]


def test_a_run_that_dies_says_that_its_copy_is_over(stage: Stage) -> None:
    """Whatever ends a copy, the watcher is told."""
    told: list[Progress | None] = []

    def on_progress(request: str, progress: Progress | None) -> None:
        told.append(progress)
        assert request == stage.request.places.request
        if progress is not None and progress.phase == "check":
            raise Crash("killed")

    with pytest.raises(Crash):
        stage.run(Operation.DELIVER, on_progress)
    assert told[-1] is None


def test_a_conveyance_that_copies_nothing_tells_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where directories are renamed there is no progress, and no file of it."""
    monkeypatch.setattr(module, "_WRITTEN_EVERY", 0)
    told: list[object] = []
    places = Places(
        workspace.request, workspace.spool, workspace.root / "qa2", workspace.root / "w", relative_links=True
    )
    request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))
    environment = Environment(on_progress=lambda *progress: told.append(progress))
    convey(request, Operation.DELIVER, environment, Outcome("deliver", None)).raise_for_error()
    assert told == []
    assert sorted(os.listdir(workspace.spool / ".conveyor")) == ["history.jsonl", "peer"]
