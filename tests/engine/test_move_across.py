"""Somebody writes while a directory is copied to another file system, or after a run died: nothing written is dropped."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.engine import move_across
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.engine.survey import State
from conveyor.errors import ConflictError, ManifestUnknownError
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy import transfer
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.faults import Crash
from support.inventory import inventory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.workspace import Workspace


class Stage:
    """A request whose QA area is on another file system; ``qa`` is its folder there."""

    def __init__(self, workspace: Workspace, memory: Path) -> None:
        (memory / "qa2").mkdir()
        self.spool, self.qa = workspace.spool, memory / "qa2" / workspace.request
        places = Places(workspace.request, workspace.spool, memory / "qa2", memory / "weblogs", relative_links=False)
        self.request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))
        self.before = self.data(self.spool)

    def run(self, operation: Operation, stop: Callable[[], bool] = lambda: False) -> Outcome:
        environment = Environment(FileSystem(pause=lambda _: None), stop=stop)
        return convey(self.request, operation, environment, Outcome(str(operation), None))

    def data(self, folder: Path) -> dict[bytes, object]:
        names = [one.name for one in CALIBRATION.directories]
        return {path: item.content for name in names for path, item in inventory(folder, inside=name).items()}


@pytest.fixture
def stage(workspace: Workspace, memory_folder: Path) -> Stage:
    """The request, before its delivery."""
    return Stage(workspace, memory_folder)


def interfere(monkeypatch: pytest.MonkeyPatch, function: str, act: Callable[[], object], when: str = "before") -> None:
    """Do something once, before or after one of the functions of the copy path is run for ``rawdata``."""
    home = transfer if function == "transfer" else move_across
    real = getattr(home, function)
    waiting = [act]

    def interfering(*arguments: object, **options: object) -> object:
        about = any("rawdata" in str(argument) for argument in arguments)
        if when == "before" and about and waiting:
            waiting.pop()()
        answer = real(*arguments, **options)
        if when == "after" and about and waiting:
            waiting.pop()()
        return answer

    monkeypatch.setattr(home, function, interfering)


def die() -> None:
    raise Crash("killed")


def write(folder: Path, text: str = "written meanwhile") -> Callable[[], object]:
    return lambda: (folder / "folder" / "file.txt").write_text(text)


# Between which calls somebody writes to the source: while it is copied, once the copy is in its place, and even when the
# source has been taken out and only who has it open still can.
MOMENTS = [("transfer", "after", "rawdata"), ("_take_out", "before", "rawdata")]
MOMENTS += [("_take_out", "after", ".conveyor/rawdata.outgoing")]


@pytest.mark.parametrize(("function", "when", "where"), MOMENTS)
def test_what_is_written_to_the_source_is_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, function: str, when: str, where: str
) -> None:
    """A source that is written to while it is copied stays, or is put back; the next delivery takes what was written."""
    with monkeypatch.context() as patch:
        interfere(patch, function, write(stage.spool / where), when)
        stopped = stage.run(Operation.DELIVER)
    assert stopped.error is not None
    assert (stopped.error.code, stopped.error.exit_code, stopped.state) == ("source-changing", 75, State.IN_TRANSIT)
    assert (stage.spool / "rawdata" / "folder" / "file.txt").read_text() == "written meanwhile"
    assert not (stage.spool / "rawdata").is_symlink()
    delivered = stage.run(Operation.DELIVER).raise_for_error()
    assert delivered.state is State.IN_QA
    assert (stage.qa / "rawdata" / "folder" / "file.txt").read_text() == "written meanwhile"
    assert sorted(path.name for path in (stage.spool / ".conveyor").iterdir()) == [
        "history.jsonl",
        "peer",
        "products.manifest",
        "rawdata.manifest",
        "working.manifest",
    ]
    assert [path.name for path in (stage.qa / ".conveyor").iterdir()] == ["peer"]


@pytest.mark.parametrize("then", [Operation.DELIVER, Operation.RETRIEVE])
@pytest.mark.parametrize("edited", ["nothing", "copy", "source"])
@pytest.mark.parametrize("died", ["_take_out", "fingerprint of the source on its way out"])
def test_what_is_written_after_a_crash_is_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, then: Operation, edited: str, died: str
) -> None:
    """Whichever of a copy and its source is written to after a run died between the two: it is there at the end."""
    with monkeypatch.context() as patch:
        interfere(patch, "_take_out", die, "before" if died == "_take_out" else "after")
        with pytest.raises(Crash):
            stage.run(Operation.DELIVER)
    out = stage.spool / ".conveyor" / "rawdata.outgoing"
    source = out if out.exists() else stage.spool / "rawdata"
    if edited != "nothing":
        write(stage.qa / "rawdata" if edited == "copy" else source)()
    outcome = stage.run(then)
    if outcome.error is not None:  # it was on its way out, and is back
        assert (outcome.error.code, edited, source) == ("source-changing", "source", out)
        outcome = stage.run(then)
    assert outcome.raise_for_error().state is (State.IN_QA if then is Operation.DELIVER else State.IN_SPOOL)
    wanted = "the content of rawdata\n" if edited == "nothing" else "written meanwhile"
    assert (stage.spool / "rawdata" / "folder" / "file.txt").read_text() == wanted
    assert not out.exists()


@pytest.mark.parametrize("died", ["before", "after"])
def test_what_is_written_to_both_is_kept_and_told(stage: Stage, monkeypatch: pytest.MonkeyPatch, died: str) -> None:
    """Where copy and source were both written to, both stay and the message names them; a person moves one away."""
    with monkeypatch.context() as patch:
        interfere(patch, "_take_out", die, died)
        with pytest.raises(Crash):
            stage.run(Operation.DELIVER)
    source = stage.spool / ("rawdata" if died == "before" else ".conveyor/rawdata.outgoing")
    write(source, "one")()
    write(stage.qa / "rawdata", "other")()
    before = inventory(stage.spool) | inventory(stage.qa)
    for operation in Operation:
        refused = stage.run(operation).error
        assert refused is not None
        assert refused.code == "both-sides"
        assert str(source) in refused.message
        assert str(stage.qa / "rawdata") in refused.message
    assert inventory(stage.spool) | inventory(stage.qa) == before
    os.rename(source, stage.spool / "kept")
    assert stage.run(Operation.DELIVER).raise_for_error().state is State.IN_QA
    assert (stage.spool / "rawdata" / "folder" / "file.txt").read_text() == "other"


@pytest.mark.parametrize("same", [True, False], ids=["the same file", "another file"])
def test_what_is_written_to_both_during_a_run_comes_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """Somebody who writes on while the source is taken out has it back in its place, and 75; the rest is kept, and named."""
    other = "folder/file.txt" if same else "folder/new/more.txt"

    def write_on() -> None:
        write(stage.spool / ".conveyor" / "rawdata.outgoing", "to the source")()
        (stage.spool / "rawdata" / other).parent.mkdir(exist_ok=True)
        (stage.spool / "rawdata" / other).write_text("to the copy")

    with monkeypatch.context() as patch:
        interfere(patch, "_take_out", write_on, "after")
        error = stage.run(Operation.DELIVER).error
    assert error is not None
    assert (error.code, error.exit_code) == ("source-changing", 75)
    assert "folder/file.txt" in error.message
    assert other.removesuffix("/more.txt") in error.message
    assert (stage.spool / "rawdata" / "folder" / "file.txt").read_text() == "to the source"
    assert not (stage.spool / "rawdata").is_symlink()
    kept = stage.qa / ".conveyor" / "rawdata.written.1"
    assert str(kept) in error.message
    assert (kept / other).read_text() == "to the copy"
    stage.before |= stage.data(stage.spool)
    assert stage.run(Operation.DELIVER).raise_for_error().state is State.IN_QA
    assert stage.data(stage.qa) == stage.before
    assert (kept / other).read_text() == "to the copy"


def test_a_manifest_of_another_release_decides_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside both a copy and its source, a manifest that this release does not know is said to be that; nothing goes."""
    with monkeypatch.context() as patch:
        interfere(patch, "_take_out", die, "after")
        with pytest.raises(Crash):
            stage.run(Operation.DELIVER)
    with closing(sqlite3.connect(stage.spool / ".conveyor" / "rawdata.manifest")) as connection, connection:
        connection.execute("UPDATE facts SET value = 'conveyor-manifest/99' WHERE name = 'format'")
    before = inventory(stage.spool) | inventory(stage.qa)
    for operation in Operation:
        with pytest.raises(ManifestUnknownError, match="conveyor-manifest/99"):
            stage.run(operation).raise_for_error()
    assert inventory(stage.spool) | inventory(stage.qa) == before


@pytest.mark.parametrize(("function", "when"), [("transfer", "after"), ("_take_out", "before")])
def test_what_takes_the_place_of_a_source_is_not_taken_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, function: str, when: str
) -> None:
    """Where the source is swapped for a link after it was copied, or as it is taken out, the link stays, and so do both;
    a later run completes."""
    source, aside = stage.spool / "rawdata", tmp_path / "aside"

    def swap() -> None:
        source.rename(aside)
        source.symlink_to(aside)

    interfere(monkeypatch, function, swap, when)
    outcome = stage.run(Operation.DELIVER)
    assert isinstance(outcome.error, ConflictError)
    assert source.readlink() == aside
    assert not (stage.qa / "READY").exists()
    source.unlink()
    aside.rename(source)
    stage.run(Operation.DELIVER).raise_for_error()
    assert stage.data(stage.qa) == stage.before


@pytest.mark.parametrize("brought_back", ["the copy is brought back", "only theirs is taken away"])
@pytest.mark.parametrize("then", [Operation.DELIVER, Operation.RETRIEVE])
def test_a_copy_that_is_taken_away_may_come_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, then: Operation, brought_back: str
) -> None:
    """Where the copy is swapped for a link once it is in its place, the link stays; a later run completes, with that copy
    or without it."""
    copy, aside = stage.qa / "rawdata", stage.qa.parent.parent / "aside"

    def swap() -> None:
        copy.rename(aside)
        copy.symlink_to(tmp_path)

    with monkeypatch.context() as patch:
        interfere(patch, "put_in_place", swap, "after")
        assert isinstance(stage.run(Operation.DELIVER).error, ConflictError)
    assert copy.readlink() == tmp_path
    copy.unlink()
    if brought_back == "the copy is brought back":
        aside.rename(copy)
    stage.run(then).raise_for_error()
    assert stage.data(stage.qa if then is Operation.DELIVER else stage.spool) == stage.before


def test_a_copy_that_was_finished_is_not_made_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash between the swap and the removal of the source, the same command copies nothing again."""
    with monkeypatch.context() as patch:
        interfere(patch, "_take_out", die)
        with pytest.raises(Crash):
            stage.run(Operation.DELIVER)
    inode = (stage.qa / "rawdata").stat().st_ino
    done = stage.run(Operation.DELIVER).raise_for_error()
    assert (stage.qa / "rawdata").stat().st_ino == inode
    assert "finish-copy" in [step.step for step in done.steps]
    assert stage.data(stage.qa) == stage.before


def test_a_copy_ends_between_two_files_when_it_is_asked_to(stage: Stage) -> None:
    """Asked to stop in the middle of a copy, a run ends with 75 and leaves a part of it; the next one completes it."""
    incoming = stage.qa / ".conveyor" / "rawdata.incoming"
    stopped = stage.run(Operation.DELIVER, stop=(incoming / "folder").exists)
    assert stopped.error is not None
    assert (stopped.error.code, stopped.error.exit_code) == ("interrupted", 75)
    assert stage.data(stage.spool) == stage.before
    assert (stage.qa / "rawdata").is_symlink()
    assert (incoming / "folder").is_dir()
    assert stage.run(Operation.DELIVER).raise_for_error().state is State.IN_QA
    assert stage.data(stage.qa) == stage.before


def test_the_removal_of_a_source_ends_when_it_is_asked_to(stage: Stage) -> None:
    """Asked to stop while the source is removed, a run ends with 75; the copy is the data, and the next run tidies up."""
    source, mark = stage.spool / ".conveyor" / "rawdata.outgoing", stage.qa / ".conveyor" / "rawdata.copied"
    stopped = stage.run(Operation.DELIVER, stop=lambda: source.exists() and not mark.is_symlink())
    assert stopped.error is not None
    assert (stopped.error.code, stopped.state) == ("interrupted", State.IN_TRANSIT)
    assert source.is_dir()
    assert stage.run(Operation.DELIVER).raise_for_error().state is State.IN_QA
    assert stage.data(stage.qa) == stage.before
    assert not source.exists()


def test_a_link_from_one_directory_to_another_resolves_while_the_other_is_copied(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative link between two of the directories opens at every copy of one of them, out and home."""
    real, opened = transfer.transfer, []
    (stage.spool / "rawdata" / "notes").symlink_to("../working/folder/file.txt")

    def look(*arguments: Any, **options: Any) -> transfer.Copied:
        opened.append((stage.spool / "rawdata" / "notes").read_text())
        return real(*arguments, **options)

    monkeypatch.setattr(transfer, "transfer", look)
    for operation in (Operation.DELIVER, Operation.RETRIEVE):
        stage.run(operation).raise_for_error()
    assert opened == ["the content of working\n"] * 6
