"""Notices on their way to real receivers on loopback, which take them, refuse them, hang, and come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook
from werkzeug import Response

import conveyor
from conveyor.api import notifying
from conveyor.api.metrics import metrics_text
from conveyor.api.notifying import notify, try_receivers
from conveyor.api.overview import overview
from conveyor.api.overview_entry import Trouble
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import OUTBOX, SENT_LOG, TOLD, WAITING
from conveyor.notices import posting, ways
from conveyor.notices.notice import Subject, make_notice
from conveyor.notices.outbox import Outbox, leave
from support.receivers import Mailbox, mail_server, settings_for
from support.workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_httpserver import HTTPServer
    from werkzeug import Request

    from support.workspace import Workspace


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is waited for for long."""
    monkeypatch.setattr(ways, "TIMEOUT", 0.3)
    monkeypatch.setattr(ways, "COMMAND_TIMEOUT", 0.3)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the clock of whoever sends go ahead by so many seconds."""
    ahead, real = [0.0], time.time
    monkeypatch.setattr(posting, "time", SimpleNamespace(time=lambda: real() + ahead[0]))

    def go_ahead(seconds: float) -> None:
        ahead[0] += seconds

    return go_ahead


def _deliver(workspace: Workspace, config: conveyor.Config) -> None:
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()


def _outcomes(config: conveyor.Config) -> list[tuple[str, str, str]]:
    return [(one.event, one.receiver, one.outcome) for one in notify(config).attempts]


def _waiting(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in (workspace.root / "spool" / OUTBOX / WAITING).iterdir())


def test_a_mail_says_what_is_ready_and_where(workspace: Workspace, mailbox: Mailbox, tmp_path: Path) -> None:
    """A mail names request, project, weblog page and folders; the password comes from a file; it is sent once."""
    (tmp_path / "password").write_text("wrong\n")
    receivers = {"analysts": {"on": ["ready", "home"], "mail": ["qa@example.org", "lead@example.org"]}}
    login = {"smtp_user": "vlapipe", "smtp_password": f"file:{tmp_path / 'password'}", "mail_from": "c@example.org"}
    with mail_server(mailbox, password=b"open sesame") as server:
        config = settings_for(workspace.spool.parent, receivers, smtp_server=server, **login)
        _deliver(workspace, config)
        assert mailbox.mails == []
        (refused,) = try_receivers(config)
        assert str(refused.problem).startswith(f"the mail server {server}: 535")
        (tmp_path / "password").write_text("open sesame\n")
        assert _outcomes(config) == [("ready", "analysts", "sent")]
        assert _outcomes(config) == []
        conveyor.qa_fail(workspace.metadata, config=config).raise_for_error()
        assert _outcomes(config) == [("home", "analysts", "sent")]
    assert set(mailbox.accounts) == {"vlapipe"}
    ready, home = mailbox.mails
    assert ready["Subject"] == f"[conveyor] 13B-014 {workspace.request} is ready for QA"
    assert home["Subject"] == f"[conveyor] 13B-014 {workspace.request} is home: fail"
    assert (ready["To"], ready["From"]) == ("qa@example.org, lead@example.org", "c@example.org")
    assert ready["Auto-Submitted"] == "auto-generated"
    assert ready["Message-ID"].endswith("@example.org>")
    text = ready.get_content()
    assert str(workspace.qa) in text
    assert str(workspace.weblog) in text


def test_a_webhook_is_json_that_standard_webhooks_verifies(
    workspace: Workspace, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body is the notice, and its signature is one that the reference implementation of the specification verifies."""
    taken: list[tuple[bytes, dict[str, str]]] = []

    def take(request: Request) -> Response:
        taken.append((request.data, dict(request.headers)))
        return Response(status=204)

    httpserver.expect_request("/hook", method="POST").respond_with_handler(take)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    monkeypatch.setenv("HOOK_SECRET", secret)
    receivers = {"chat": {"webhook": httpserver.url_for("/hook"), "secret": "env:HOOK_SECRET"}}
    config = settings_for(workspace.spool.parent, receivers)
    _deliver(workspace, config)
    assert _outcomes(config) == [("ready", "chat", "sent")]
    ((body, headers),) = taken
    notice = Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    assert (notice["event"], notice["request"]) == ("ready", workspace.request)
    assert headers["Webhook-Id"] == notice["key"]


def _refuse(mailbox: Mailbox) -> None:
    mailbox.answer = "554 no"


def _hang(mailbox: Mailbox) -> None:
    mailbox.answer = None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("ill", "problem"), [(_refuse, "554 no"), (_hang, "timed out")])
def test_a_mail_server_that_refuses_or_hangs_gets_it_later(
    workspace: Workspace,
    mailbox: Mailbox,
    ill: Callable[[Mailbox], None],
    problem: str,
    pass_time: Callable[[float], None],
) -> None:
    """A notice that is not taken waits a minute, and then two; once the server is well again it comes, once."""
    with mail_server(mailbox) as server:
        config = settings_for(workspace.spool.parent, {"qa": {"mail": "qa@example.org"}}, smtp_server=server)
        _deliver(workspace, config)
        ill(mailbox)
        for pause in (59, 119):
            (attempt,) = notify(config).attempts
            assert attempt.outcome == "later"
            assert problem in str(attempt.problem)
            pass_time(pause)
            assert _outcomes(config) == []
            pass_time(2)
        mailbox.answer = "250 taken"
        assert _outcomes(config) == [("ready", "qa", "sent")]
    assert len(mailbox.mails) == 1
    assert _waiting(workspace) == []


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_down_gets_it_when_it_is_back(
    workspace: Workspace, mailbox: Mailbox, pass_time: Callable[[float], None]
) -> None:
    """Nothing is lost while a mail server is down, and it is asked once a run only, however much waits."""
    with mail_server(mailbox) as server:
        config = settings_for(workspace.spool.parent, {"qa": {"mail": "qa@example.org"}}, smtp_server=server)
    for request in (workspace.request, "another"):
        _deliver(make_workspace(workspace.root, request=request) if request == "another" else workspace, config)
    assert _outcomes(config) == [("ready", "qa", "later")]
    assert len(_waiting(workspace)) == 2
    pass_time(61)
    with mail_server(mailbox):
        assert _outcomes(config) == [("ready", "qa", "sent")] * 2
    assert len(mailbox.mails) == 2


@pytest.mark.usefixtures("impatient")
def test_a_webhook_that_refuses_redirects_or_hangs_gets_it_later(
    workspace: Workspace, httpserver: HTTPServer, pass_time: Callable[[float], None]
) -> None:
    """Errors, redirections and silence are no success; the notice comes again until the server takes it."""
    release, answers = threading.Event(), iter([503, 302, None, 200])
    keys = []

    def answer(request: Request) -> Response:
        keys.append(request.headers["webhook-id"])
        status = next(answers)
        if status is None:
            release.wait(10)
        return Response(status=status or 200, headers={"location": "/elsewhere"})

    httpserver.expect_request("/hook").respond_with_handler(answer)
    config = settings_for(workspace.spool.parent, {"chat": {"webhook": httpserver.url_for("/hook")}})
    _deliver(workspace, config)
    outcomes = []
    for _ in range(5):
        outcomes += [one.outcome for one in notify(config).attempts]
        pass_time(3601)
        if len(outcomes) == 3:
            release.set()
    assert outcomes == ["later", "later", "later", "sent"]
    assert len(set(keys)) == 1


def test_some_receivers_of_a_mail_may_be_unknown(workspace: Workspace, mailbox: Mailbox) -> None:
    """A mail that some receivers of several get is sent, and the log names the others; one that nobody gets is not."""
    mailbox.unknown = {"gone@example.org"}
    mails: dict[str, dict[str, Any]] = {
        "both": {"mail": ["gone@example.org", "qa@example.org"]},
        "gone": {"mail": "gone@example.org"},
    }
    with mail_server(mailbox) as server:
        config = settings_for(workspace.spool.parent, mails, smtp_server=server)
        _deliver(workspace, config)
        found = {one.receiver: one for one in notify(config).attempts}
    assert (found["both"].outcome, found["gone"].outcome) == ("sent", "later")
    log = (workspace.spool.parent / OUTBOX / SENT_LOG).read_text()
    assert json.loads(log)["problem"] == "not to gone@example.org (550 nobody is called so)"


def test_names_with_line_breaks_add_no_header(workspace: Workspace, mailbox: Mailbox) -> None:
    """A request that is called after a mail header, and bytes that are no UTF-8, are shown, and are no headers."""
    notice = make_notice("ready", Subject("r\r\nBcc: evil@example.org\udcff", "13B-014"))
    leave(FileSystem(), workspace.spool.parent, notice, ["qa"], "ready")
    with mail_server(mailbox) as server:
        config = settings_for(workspace.spool.parent, {"qa": {"mail": "qa@example.org"}}, smtp_server=server)
        assert _outcomes(config) == [("ready", "qa", "sent")]
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[conveyor] 13B-014 r\\r\\nBcc: evil@example.org\\xff is ready for QA"


def _leave(spool: Path, count: int, receiver: str) -> None:
    for number in range(count):
        leave(FileSystem(), spool, make_notice("ready", Subject(f"r{number}")), [receiver], "ready")


def _start(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "conveyor", "notify", "--config", config], stdout=subprocess.PIPE)


def _commanded(workspace: Workspace, script: str) -> Path:
    """A configuration whose one receiver is a script, which has the notice on its stdin."""
    (workspace.root / "tell").write_text(script)
    config = workspace.root / "conveyor.toml"
    receiver = f'[receivers.log]\ncommand = ["sh", "{workspace.root / "tell"}"]\nmax_per_minute = 1000\n'
    config.write_text(f'spool_root = "{workspace.spool.parent}"\n{receiver}')
    return config


def _got(workspace: Workspace) -> list[str]:
    return [json.loads(line)["key"] for line in (workspace.root / "got").read_text().splitlines()]


def test_two_runs_at_once_send_each_notice_once(workspace: Workspace) -> None:
    """Two processes that empty one outbox send all of it, and nothing twice."""
    config = _commanded(workspace, f"cd {workspace.root}; {{ cat; echo; }} > got.$$; cat got.$$ >> got")
    _leave(workspace.spool.parent, 60, "log")
    runs = [_start(config) for _ in range(2)]
    said = b"".join(run.communicate(timeout=120)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert said.count(b"sent: ready") == 60
    assert len(_got(workspace)) == len(set(_got(workspace))) == 60
    assert _waiting(workspace) == []
    assert sorted(os.listdir(workspace.spool.parent / OUTBOX)) == [SENT_LOG, TOLD, WAITING]


def test_a_run_that_is_killed_before_it_writes_down_what_it_sent_repeats_it_with_its_key(workspace: Workspace) -> None:
    """The run after one that was killed between sending and recording sends that notice again, with the same key."""
    once = f"mkdir {workspace.root}/killed 2>/dev/null && kill -9 $PPID; true"
    config = _commanded(workspace, f"cd {workspace.root}; {{ cat; echo; }} >> got; {once}")
    _leave(workspace.spool.parent, 3, "log")
    killed = _start(config)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    after = _start(config)
    after.communicate(timeout=60)
    assert after.returncode == 0
    assert len(_got(workspace)) == 4
    assert len(set(_got(workspace))) == 3
    assert sorted(os.listdir(workspace.spool.parent / OUTBOX)) == [SENT_LOG, TOLD, WAITING]


def test_a_run_that_died_after_it_wrote_down_what_it_sent_repeats_nothing(
    workspace: Workspace, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notice that is in the log, and could not be removed from the outbox any more, is not sent again."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with mail_server(mailbox) as server:
        config = settings_for(workspace.spool.parent, {"qa": {"mail": "qa@example.org"}}, smtp_server=server)
        _leave(workspace.spool.parent, 1, "qa")
        with monkeypatch.context() as patch:
            patch.setattr(Outbox, "remove", die)
            with pytest.raises(KeyboardInterrupt):
                notify(config)
        assert len(_waiting(workspace)) == 1
        assert _outcomes(config) == []
    assert len(mailbox.mails) == 1
    assert _waiting(workspace) == []


def test_a_receiver_gets_no_more_than_so_many_a_minute(
    workspace: Workspace, mailbox: Mailbox, pass_time: Callable[[float], None]
) -> None:
    """What is above the limit of a receiver waits for the next minute, whichever run comes then."""
    receivers = {"qa": {"mail": "qa@example.org", "max_per_minute": 2}}
    with mail_server(mailbox) as server:
        config = settings_for(workspace.spool.parent, receivers, smtp_server=server)
        _leave(workspace.spool.parent, 5, "qa")
        sent = []
        for seconds in (0, 30, 31, 61):
            pass_time(seconds)
            sent.append(len(notify(config).attempts))
    assert sent == [2, 0, 2, 1]
    assert len(mailbox.mails) == 5


def test_a_notice_that_nobody_takes_is_given_up_after_a_week(
    workspace: Workspace, pass_time: Callable[[float], None]
) -> None:
    """A receiver that is gone from the settings is told of, and what waits for it goes after a week, into the log."""
    _leave(workspace.spool.parent, 1, "gone")
    config = settings_for(workspace.spool.parent, {"log": {"command": "true"}})
    (attempt,) = notify(config).attempts
    assert attempt.problem == "no receiver is called gone in the settings"
    pass_time(posting.GIVEN_UP_AFTER + 1)
    assert [one.outcome for one in notify(config).attempts] == ["given up"]
    assert _waiting(workspace) == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("receiver", "problem"),
    [
        ({"command": ["sh", "-c", "sleep 60 & sleep 60"]}, "took longer than"),
        ({"command": ["/no/such/program"]}, "No such file or directory"),
        ({"command": ["sh", "-c", "exit 3"]}, "ended with 3"),
        ({"webhook": "http://127.0.0.1:1/x"}, "Connection refused"),
        ({"webhook": "env:NO_SUCH_VARIABLE"}, "there is no secret in env:NO_SUCH_VARIABLE"),
        ({"webhook": "file:/dev/null"}, "there is no secret in file:/dev/null"),
        ({"mail": "qa@example.org"}, "Connection refused"),
    ],
)
def test_a_test_of_the_receivers_says_what_is_wrong_with_one(
    workspace: Workspace, receiver: dict[str, Any], problem: str
) -> None:
    """A receiver that cannot be reached is an attempt with its reason, never an exception, and never takes long."""
    config = settings_for(workspace.spool.parent, {"one": receiver}, smtp_server="127.0.0.1:1")
    (attempt,) = try_receivers(config)
    assert attempt.outcome == "given up"
    assert problem in str(attempt.problem)


def test_what_cannot_be_read_in_the_outbox_is_set_aside(workspace: Workspace, mailbox: Mailbox) -> None:
    """A file that a power cut left half, and what is no file, stop no other notice, and stay for a person to look at."""
    _leave(workspace.spool.parent, 2, "qa")
    first = _waiting(workspace)[0]
    waiting = workspace.spool.parent / OUTBOX / WAITING
    (waiting / first).write_text("{")
    (waiting / "directory").mkdir()
    (waiting / "link").symlink_to("nowhere")
    os.mkfifo(waiting / "pipe")
    with mail_server(mailbox) as server:
        config = settings_for(workspace.spool.parent, {"qa": {"mail": "qa@example.org"}}, smtp_server=server)
        assert _outcomes(config) == [("ready", "qa", "sent")]
    assert set(_waiting(workspace)) == {f".{name}.damaged" for name in (first, "directory", "link", "pipe")}
    assert "conveyor_waiting_notices 0.0" in metrics_text(config)


@pytest.mark.parametrize("since", ["an unknown time", "2026-11-29T02:20:00", ""])
def test_a_claim_that_says_no_time_is_told_of_as_stalled(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, since: str
) -> None:
    """Somebody wrote it: it ends no run, and its request is told of, however long it is."""
    config = settings_for(workspace.spool.parent, {"log": {"command": "true"}}, stalled_minutes=30)
    found = overview(config)
    stalled = replace(found.entries[0], trouble=Trouble.STALLED, since=since)
    monkeypatch.setattr(notifying, "overview", lambda _: replace(found, entries=(stalled,)))
    assert _outcomes(config) == [("stalled", "log", "sent")]
