"""What was cloned is said to be not verified, until its digests are recorded from what nobody wrote to since."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor.api.run_history import read_runs
from conveyor.capabilities.builtin import CALIBRATION
from conveyor.cli.text import verify_lines
from conveyor.engine.claim import Claim
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.host import Host
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.engine.verification import verify
from conveyor.errors import InterruptedRunError, LockedError, NotVerifiedError
from conveyor.filesystem import syscalls
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.manifest import Manifest
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.inventory import inventory
from support.trees import rot

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.verification import Verified
    from support.workspace import Workspace

SIZE, REFUSED = 20_000, 30_000  # bytes
NAMES = ("rawdata/first", "rawdata/folder/second")


class Stage:
    """A request with two long files, which were cloned to another place when it was delivered."""

    def __init__(self, workspace: Workspace, root: Path) -> None:
        (root / "qa2").mkdir(exist_ok=True)
        self.spool, self.qa = workspace.spool, root / "qa2" / workspace.request
        places = Places(workspace.request, workspace.spool, root / "qa2", root / "weblogs", relative_links=False)
        self.request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))
        for name in NAMES:
            (self.spool / name).parent.mkdir(exist_ok=True)
            (self.spool / name).write_bytes(os.urandom(SIZE))

    def run(self, operation: Operation) -> Outcome:
        environment = Environment(FileSystem(pause=lambda _: None))
        return convey(self.request, operation, environment, Outcome(str(operation), None)).raise_for_error()

    def verify(self, *, record: bool = False, require_digests: bool = False, stop: bool = False) -> Outcome:
        environment = Environment(stop=lambda: stop)
        outcome = Outcome("verify", None)
        return verify(self.request, environment, outcome, record=record, require_digests=require_digests)

    def rawdata(self, *, record: bool = False) -> Verified:
        outcome = self.verify(record=record).raise_for_error()
        return next(one for one in outcome.verified if one.directory == "rawdata")


@pytest.fixture
def stage(workspace: Workspace, memory_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A request that was delivered where a copy by the kernel stands for a clone."""
    monkeypatch.setattr(syscalls, "clone", lambda source, copy: os.sendfile(copy, source, 0, SIZE))
    stage = Stage(workspace, memory_folder)
    stage.run(Operation.DELIVER)
    return stage


def amounts(one: Verified) -> tuple[int, int, int, int]:
    return one.cloned, one.cloned_bytes, one.recorded, one.recorded_bytes


def test_a_dry_run_foretells_clones_of_what_can_be_cloned(
    workspace: Workspace, memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says clone only if a file of the tree can be cloned, which short files are not, nor those that are refused."""

    def clone(source: int, copy: int) -> None:
        if os.fstat(source).st_size == REFUSED:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        os.sendfile(copy, source, 0, SIZE)

    monkeypatch.setattr(syscalls, "clone", clone)
    stage = Stage(workspace, memory_folder)
    (stage.spool / "working/refused").write_bytes(bytes(REFUSED))
    environment, outcome = Environment(FileSystem(pause=lambda _: None)), Outcome("deliver", None)
    planned = convey(stage.request, Operation.DELIVER, environment, outcome, dry_run=True)
    assert planned.ways == {"rawdata": "clone", "products": "copy", "working": "copy"}
    assert stage.run(Operation.DELIVER).ways == planned.ways


def test_clones_are_not_verified(stage: Stage) -> None:
    """How many there are is told, they are no error, and who needs digests is told which directory has none."""
    one = stage.rawdata()
    assert (one.result, amounts(one)) == ("not-verified", (2, 2 * SIZE, 0, 0))
    lines, _ = verify_lines(stage.verify())
    assert lines[0].endswith("not verified: rawdata (cloned, not copied)")
    assert "2 cloned, not verified, 40 kB" in lines[1]
    with pytest.raises(NotVerifiedError, match="cloned, not copied: rawdata"):
        stage.verify(require_digests=True).raise_for_error()


def test_digests_are_recorded_at_a_later_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read then is compared with from then on; nothing else changes, and nothing but the claim's history."""
    before = inventory(stage.qa)
    one = stage.rawdata(record=True)
    assert (one.result, amounts(one)) == ("not-verified", (0, 0, 2, 2 * SIZE))
    assert inventory(stage.qa) == before
    lines, _ = verify_lines(replace(stage.verify(), verified=(one,)))
    assert lines[0].endswith("not verified: its digests were recorded just now")
    assert "2 of them recorded just now, 40 kB" in lines[1]
    one = stage.rawdata()
    assert (one.result, amounts(one)) == ("verified", (0, 0, 0, 0))
    stage.verify(require_digests=True).raise_for_error()
    assert stage.rawdata(record=True) == one
    with FileSystem().open_root(stage.spool.parent) as area:
        runs = read_runs(FileSystem(), area, stage.spool.name)
    assert [(run.command, run.outcome) for run in runs] == [("deliver", "done"), ("verify", "done")]
    rot(stage.qa / NAMES[0], monkeypatch)
    assert stage.verify().verified[0].rotted == ("first",)
    monkeypatch.undo()
    stage.run(Operation.RETRIEVE)
    assert not list((stage.spool / ".conveyor").glob("rawdata*"))


def test_what_was_written_to_gets_no_digest(stage: Stage) -> None:
    """Of a clone that analysts changed, nothing is recorded: it is changed, whatever is in it."""
    (stage.qa / NAMES[1]).chmod(0o600)
    one = stage.rawdata(record=True)
    assert (amounts(one), one.changed) == ((0, 0, 1, SIZE), ("folder/second",))
    assert stage.rawdata().changed == ("folder/second",)


def test_who_records_holds_the_request(stage: Stage) -> None:
    """No conveyance and no other recording goes on meanwhile, and a request that is held is left alone."""
    with Endpoints(FileSystem(), stage.request.places) as endpoints, Claim(endpoints.spool, Host()):
        for operation in (lambda: stage.rawdata(record=True), lambda: stage.run(Operation.RETRIEVE)):
            with pytest.raises(LockedError):
                operation()
    assert amounts(stage.rawdata()) == (2, 2 * SIZE, 0, 0)


@pytest.mark.parametrize("where", ["connect", "update", "rename", "fsync"])
def test_a_recording_that_is_killed_loses_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The manifest that was there stays, or the new one has taken its place; what is left goes when the request is home."""
    pid = os.fork()
    if pid == 0:
        with monkeypatch.context() as patch:
            owners: dict[str, object] = {"update": Manifest, "connect": sqlite3}
            patch.setattr(owners.get(where, os), where, lambda *_, **__: os._exit(9))
            stage.verify(record=True)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert amounts(stage.rawdata()) in [(2, 2 * SIZE, 0, 0), (0, 0, 0, 0)]
    stage.run(Operation.RETRIEVE)
    assert not list((stage.spool / ".conveyor").glob("rawdata*"))
    stage.run(Operation.DELIVER)
    assert amounts(stage.rawdata(record=True)) == (0, 0, 2, 2 * SIZE)


@pytest.mark.parametrize("reads", range(4))
def test_a_recording_that_ends_early_keeps_what_it_has(stage: Stage, reads: int) -> None:
    """Where somebody stops it, the manifest is whole, says of each file what is so, and the next run goes on."""
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > reads

    request, environment = replace(stage.request), Environment(stop=stop)
    with contextlib.suppress(InterruptedRunError):
        verify(request, environment, Outcome("verify", None), record=True)
    one = stage.rawdata()
    assert one.manifest == "whole"
    assert one.cloned + one.files >= 2
    assert stage.rawdata(record=True).cloned == 0
    assert stage.rawdata().result == "verified"
    assert not list((stage.spool / ".conveyor").glob("*.digests*"))
