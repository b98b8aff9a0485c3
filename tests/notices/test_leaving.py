"""Notices as conveyances leave them: which, when, once a state, and never to the harm of a conveyance."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor.api.notifying import notify
from conveyor.api.operations import act_on_request
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.host import Host
from conveyor.engine.qa_record import change_qa_record, judged
from conveyor.errors import ConfigurationError
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import OUTBOX, TOLD, WAITING
from support.receivers import settings_for
from support.scenes import kill

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.context import Request
    from conveyor.engine.outcome import Outcome
    from support.workspace import Workspace

EVERYTHING = {"log": {"command": "true"}}


def _left(workspace: Workspace) -> list[dict[str, Any]]:
    """The notices that wait, the oldest first."""
    waiting = workspace.spool.parent / OUTBOX / WAITING
    if not waiting.is_dir():
        return []
    entries = [json.loads(path.read_text()) for path in waiting.iterdir()]
    return [entry["notice"] for entry in sorted(entries, key=lambda entry: entry["written"])]


def _events(workspace: Workspace) -> list[tuple[str, str | None]]:
    return [(one["event"], one["error"] and one["error"]["code"]) for one in _left(workspace)]


def test_a_notice_has_the_page_of_its_request_on_the_board(workspace: Workspace) -> None:
    """Where the settings say what address the board has: as a field, and in the text for people."""
    for given in ("https://qa.example.org/board", "https://qa.example.org/board/"):
        config = settings_for(workspace.spool.parent, EVERYTHING, board_url=given)
        conveyor.deliver(workspace.metadata, config=config).raise_for_error()
        page = f"https://qa.example.org/board/request/{workspace.request}/"
        [*_, left] = _left(workspace)
        assert left["board_page"] == page
        assert f"Board:      {page}\n" in left["text"]
        conveyor.retrieve(workspace.metadata, config=config).raise_for_error()
    with pytest.raises(ConfigurationError, match="board_url"):
        settings_for(workspace.spool.parent, EVERYTHING, board_url="https://me:secret@qa.example.org/")


def test_a_request_on_its_way_leaves_a_notice_a_state(workspace: Workspace) -> None:
    """Refused, delivered, failed, delivered again: a notice for each state, and none for what is done or refused again."""
    config = settings_for(workspace.spool.parent, EVERYTHING)
    tar = workspace.spool / "products" / "weblog.tgz"
    whole = tar.read_bytes()
    tar.write_bytes(b"no tar")
    for _ in range(3):
        assert not conveyor.deliver(workspace.metadata, config=config).ok
    tar.write_bytes(whole)
    for command in (conveyor.deliver, conveyor.deliver, conveyor.qa_fail, conveyor.qa_fail, conveyor.deliver):
        command(workspace.metadata, config=config)
    assert _events(workspace) == [("failed", "weblog-damaged"), ("ready", None), ("home", None), ("ready", None)]
    assert _left(workspace)[2]["verdict"] == "fail"


def test_a_look_a_dry_run_and_a_misspelt_path_leave_none(workspace: Workspace) -> None:
    """What changes nothing leaves no notice, and nothing else; nor does a path that leads to no request."""
    config = settings_for(workspace.spool.parent, EVERYTHING)
    conveyor.status(workspace.metadata, config=config)
    conveyor.deliver(workspace.metadata, config=config, dry_run=True)
    conveyor.deliver(workspace.root / "misspelt" / "metadata.json", config=config)
    conveyor.deliver(workspace.spool.parent / "misspelt" / "metadata.json", config=config)
    assert not (workspace.spool.parent / OUTBOX).exists()


def test_a_request_whose_metadata_is_damaged_is_told_of_by_its_directory(workspace: Workspace) -> None:
    """A request in the spool area that cannot be read has a notice too."""
    workspace.metadata.write_text("{")
    conveyor.deliver(workspace.metadata, config=settings_for(workspace.spool.parent, EVERYTHING))
    (notice,) = _left(workspace)
    assert (notice["request"], notice["error"]["code"]) == (workspace.request, "metadata-invalid")


def test_only_those_who_want_an_event_are_told_of_it(workspace: Workspace) -> None:
    """A receiver that wants other events gets no notice; without receivers there is no outbox."""
    receivers = {"analysts": {"on": "home", "command": "true"}, "operators": {"on": "failed", "command": "true"}}
    conveyor.deliver(workspace.metadata, config=settings_for(workspace.spool.parent, receivers)).raise_for_error()
    conveyor.qa_fail(workspace.metadata, config=settings_for(workspace.spool.parent, {})).raise_for_error()
    assert not (workspace.spool.parent / OUTBOX).exists()
    conveyor.deliver(workspace.metadata, config=settings_for(workspace.spool.parent, {})).raise_for_error()
    conveyor.retrieve(workspace.metadata, config=settings_for(workspace.spool.parent, receivers)).raise_for_error()
    (entry,) = (workspace.spool.parent / OUTBOX / WAITING).iterdir()
    assert entry.name.endswith(".analysts")


@pytest.mark.parametrize("way", ["file", "bug"])
def test_a_notice_that_cannot_be_left_fails_no_conveyance(
    workspace: Workspace, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with the outbox, the delivery is a success, and the log says what is wrong."""
    if way == "file":
        (workspace.spool.parent / OUTBOX).write_text("not a directory")
    else:
        monkeypatch.setattr("conveyor.api.notifying.make_notice", lambda *_, **__: 1 / 0)
    events = []
    done = conveyor.deliver(
        workspace.metadata,
        config=settings_for(workspace.spool.parent, EVERYTHING),
        on_event=lambda level, event, **_: events.append((level, event)),
    )
    assert done.ok
    assert next(event for level, event in events if level == "warning").startswith("no notice could be left")


def test_a_receiver_that_hangs_is_not_asked_by_a_conveyance(workspace: Workspace, tmp_path: Any) -> None:
    """A conveyance runs no command of a receiver: it only leaves the notice."""
    config = settings_for(workspace.spool.parent, {"slow": {"command": ["touch", str(tmp_path / "ran")]}})
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    time.sleep(0.05)
    assert not (tmp_path / "ran").exists()
    assert (workspace.spool.parent / OUTBOX / TOLD / workspace.request).is_file()


def test_a_request_that_is_stalled_for_long_is_told_of_once(workspace: Workspace, tmp_path: Path) -> None:
    """A delivery that was killed leaves a notice when somebody looks, if it is stalled for long enough; not one a look."""
    kill(workspace, conveyor.deliver, "deliver")
    receivers = {
        "pager": {"on": "stalled", "command": ["sh", "-c", f"cat >> {tmp_path / 'got'}; echo >> {tmp_path / 'got'}"]}
    }
    assert notify(settings_for(workspace.spool.parent, receivers)).attempts == ()
    config = settings_for(workspace.spool.parent, receivers, stalled_minutes=0)
    assert [one.event for _ in range(3) for one in notify(config).attempts] == ["stalled"]
    notice = json.loads((tmp_path / "got").read_text())
    assert notice["request"] == workspace.request
    assert "What to run: conveyor resume" in notice["text"]
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    conveyor.retrieve(workspace.metadata, config=config).raise_for_error()
    kill(workspace, conveyor.deliver, "deliver")
    assert [one.event for one in notify(config).attempts] == ["stalled"]


def test_what_was_told_of_a_request_that_is_gone_is_forgotten(workspace: Workspace) -> None:
    """The file of a request's states goes once its directory is gone from the spool area."""
    config = settings_for(workspace.spool.parent, EVERYTHING)
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    conveyor.retrieve(workspace.metadata, config=config).raise_for_error()
    notify(config)
    assert (workspace.spool.parent / OUTBOX / TOLD / workspace.request).is_file()
    shutil.rmtree(workspace.spool)
    notify(config)
    assert not (workspace.spool.parent / OUTBOX / TOLD / workspace.request).exists()


def _pass(workspace: Workspace, config: conveyor.Config) -> None:
    """Record that somebody passes the request, as a command that is called so does."""

    def act(request: Request, outcome: Outcome) -> Outcome:
        with Endpoints(FileSystem(), request.places) as endpoints:
            change_qa_record(endpoints.spool, Host(), workspace.request, judged("pass", "da02", "fine\nBcc: x"))
        return outcome

    act_on_request(workspace.metadata, act, command="pass", capability=None, config=config)


def test_a_verdict_is_told_of_when_it_is_given_and_when_the_request_is_home(workspace: Workspace) -> None:
    """Who judged, and why, is in the notice of the verdict, and in that of the way home."""
    config = settings_for(workspace.spool.parent, EVERYTHING)
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    _pass(workspace, config)
    conveyor.retrieve(workspace.metadata, config=config).raise_for_error()
    ready, given, home = _left(workspace)
    assert [one["event"] for one in (ready, given, home)] == ["ready", "judged", "home"]
    assert (ready["verdict"], given["verdict"], home["verdict"]) == (None, "pass", "pass")
    assert "Verdict: pass, by da02: fine" in given["text"]
    assert "Verdict: pass, by da02: fine" in home["text"]
