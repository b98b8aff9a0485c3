"""What people said of a request: nothing is lost when several write at once, and no crash leaves half of it."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor import ConveyorError, read_metadata
from conveyor.api.run_history import history
from conveyor.api.tidying import tidy
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.host import Host
from conveyor.engine.qa_record import assigned, begin_again, change_qa_record, judged, noted, read_qa_record
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import qa_claim
from conveyor.request.places import locate
from conveyor.settings.model import Settings

if TYPE_CHECKING:
    from support.workspace import Workspace

FORK = multiprocessing.get_context("fork")
WRITERS, NOTES = 4, 6


def open_ends(workspace: Workspace, fs: FileSystem | None = None) -> Endpoints:
    return Endpoints(fs or FileSystem(), locate(read_metadata(workspace.metadata), Settings(), "qa2"))


def change(workspace: Workspace, *changes: Any, fs: FileSystem | None = None) -> None:
    with open_ends(workspace, fs) as ends:
        for one in changes:
            change_qa_record(ends.spool, Host(), "R", one)


def record(workspace: Workspace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((workspace.spool / ".conveyor/qa.json").read_text())
    return found


def write_notes(workspace: Workspace, writer: int) -> None:
    for number in range(NOTES):
        change(workspace, noted(f"{writer}.{number}", "somebody"))


def test_what_is_said_is_kept(workspace: Workspace) -> None:
    """An assignment, notes and a verdict stand beside each other; the next delivery clears the verdict alone."""
    change(
        workspace,
        assigned("da02", "ops"),
        noted("late", "da01"),
        noted("later", "da02"),
        judged("pass", "da02", "fine"),
    )
    found = record(workspace)
    assert found["assigned"]["to"] == "da02"
    assert [one["text"] for one in found["notes"]] == ["late", "later"]
    assert found["verdict"]["reason"] == "fine"
    change(workspace, begin_again)
    assert record(workspace) == {**found, "verdict": None}
    with open_ends(workspace) as ends:
        assert read_qa_record(ends.fs, ends.spool.meta) == {**found, "verdict": None}
    assert os.listdir(workspace.spool / ".conveyor") == ["qa.json"]


def test_writers_at_once_lose_nothing(workspace: Workspace) -> None:
    """Several processes that write notes at the same moment all find theirs afterwards."""
    writers = [FORK.Process(target=write_notes, args=(workspace, number)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    texts = sorted(one["text"] for one in record(workspace)["notes"])
    assert texts == sorted(f"{writer}.{number}" for writer in range(WRITERS) for number in range(NOTES))


class Dying(BaseException):
    """The process ends here."""


class Mortal(FileSystem):
    """A file system under which the process dies at its n-th change."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self._lives = lives

    def _live(self) -> None:
        self._lives -= 1
        if self._lives < 0:
            os._exit(9)

    def symlink(self, *arguments: Any) -> None:
        self._live()
        super().symlink(*arguments)
        self._live()

    def write(self, *arguments: Any, **options: Any) -> None:
        self._live()
        super().write(*arguments, **options)
        self._live()

    def unlink(self, *arguments: Any) -> None:
        self._live()
        super().unlink(*arguments)
        self._live()


@pytest.mark.parametrize("lives", range(7))
def test_a_writer_that_dies_leaves_a_whole_document(workspace: Workspace, lives: int) -> None:
    """Whatever moment a writer dies at, the document is whole, and the next writer waits for nobody."""
    change(workspace, noted("before", "da01"))
    writer = FORK.Process(target=change, args=(workspace, noted("dying", "da02")), kwargs={"fs": Mortal(lives)})
    writer.start()
    writer.join()
    texts = [one["text"] for one in record(workspace)["notes"]]
    assert texts in (["before"], ["before", "dying"])
    change(workspace, noted("after", "da01"))
    assert [one["text"] for one in record(workspace)["notes"]] == [*texts, "after"]
    assert os.listdir(workspace.spool / ".conveyor") == ["qa.json"]


def test_half_a_document_goes_by_tidying(workspace: Workspace) -> None:
    """What a command left that died while it wrote is removed by 'conveyor tidy', and nothing of what was said with it."""
    change(workspace, noted("late", "da01"))
    before, half = record(workspace), workspace.spool / ".conveyor/.qa.json.new"
    half.write_text("{")
    found = [outcome.raise_for_error().changed for _ in range(2) for outcome in tidy([workspace.metadata])]
    assert found == [True, False]
    assert not half.exists()
    assert record(workspace) == before
    assert os.listdir(half.parent) == ["qa.json"]


def test_keys_of_newer_releases_stay(workspace: Workspace) -> None:
    """A key that this release does not know is kept by a change; a damaged document is neither read nor replaced."""
    change(workspace, noted("one", "da01"))
    path = workspace.spool / ".conveyor/qa.json"
    path.write_text(json.dumps({**record(workspace), "mood": "good"}))
    change(workspace, noted("two", "da01"))
    assert record(workspace)["mood"] == "good"
    path.write_text('{"schema": "conv')
    with pytest.raises(ConveyorError, match="damaged"):
        change(workspace, noted("three", "da01"))
    assert path.read_text() == '{"schema": "conv'


def test_what_cannot_be_kept_is_not_said(workspace: Workspace) -> None:
    """A verdict that a damaged document refuses is refused by a dry run too, and the history has none."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    (workspace.spool / ".conveyor" / "qa.json").write_text("damaged")
    for act in (conveyor.qa_pass, conveyor.qa_fail):
        for dry_run in (True, False):
            error = act(workspace.metadata, dry_run=dry_run).error
            assert error is not None
            assert (error.code, "qa.json is damaged" in error.message) == ("conflict", True)
    assert "verdict" not in [run.command for run in history(workspace.metadata)]
    assert {"pass", "fail"}.isdisjoint(run.outcome for run in history(workspace.metadata))


def test_a_holder_that_cannot_be_judged_is_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a process of another host holds the document for too long, the refusal says whose claim it is."""
    monkeypatch.setattr("conveyor.engine.qa_record._PATIENCE", 0.05)
    (workspace.spool / ".conveyor").mkdir()
    Path(workspace.spool / ".conveyor" / qa_claim(1)).symlink_to('{"host": "elsewhere"}')
    with pytest.raises(ConveyorError, match="somebody else changes what people said") as refused:
        change(workspace, noted("three", "da01"))
    assert refused.value.code == "locked"
