"""``conveyor open``: the address of a weblog's first page, in the cache or on the board, and a browser that is started."""

from __future__ import annotations

import webbrowser

import pytest

import conveyor
from conveyor.api.weblog_address import weblog_address
from conveyor.cli.main import main
from conveyor.errors import WeblogMissingError
from support.workspace import HTML, Workspace


def test_the_browser_is_started_at_the_page(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a request's name: at the file in the cache, or at the board, which leads to it."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    opened: list[str] = []

    def start(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", start)
    common = ["open", "--spool-root", str(workspace.spool.parent)]
    main.main([*common, workspace.request], standalone_mode=False)
    main.main([*common, "--board", "http://localhost:8086", workspace.request], standalone_mode=False)
    page = (workspace.weblog / HTML / "index.html").as_uri()
    assert opened == [page, f"http://localhost:8086/request/{workspace.request}/weblog"]
    assert capsys.readouterr().out.splitlines() == opened


def test_a_request_without_a_weblog_opens_nothing(workspace: Workspace) -> None:
    """Where nothing is cached, the error says so."""
    (outcome,) = conveyor.status(workspace.metadata)
    with pytest.raises(WeblogMissingError):
        weblog_address(outcome)
