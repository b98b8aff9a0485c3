"""A real browser, and a real board for it to look at: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

import conveyor
from support.casa_weblog import write_weblog
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

CHROMIUM = shutil.which("chromium")
_SECONDS = 60.0


@dataclass(frozen=True)
class Board:
    """A board that is served, and the workspace that it shows."""

    url: str
    weblog_port: int
    workspace: Workspace
    config: conveyor.Config


def free_port() -> int:
    """A port of the loopback that nobody has at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def fill(root: Path, waiting: int = 3) -> list[Workspace]:
    """Make a workspace with requests that wait, one that came home as failed, and one in trouble; with real weblogs."""
    made = []
    for number in range(waiting + 1):
        workspace = make_workspace(root, request=f"tmp{number}mpx5trbp")
        write_weblog(workspace.spool / "products" / "weblog.tgz", note=f"Observation {number}")
        conveyor.deliver(workspace.metadata).raise_for_error()
        made.append(workspace)
    conveyor.qa_fail(made[-1].metadata)
    broken = make_workspace(root, request="tmpbroken")
    conveyor.deliver(broken.metadata).raise_for_error()
    (broken.qa / "products").rename(root / "away")
    (made[0].qa / "products" / "qa_report.txt").write_text("edited by an analyst\n")
    return made


@contextmanager
def served(root: Path, *options: str, weblog_port: int | None = None) -> Iterator[str]:
    """A board of a workspace, served by the real program; its address."""
    port = free_port()
    command = [sys.executable, "-m", "conveyor", "board", "--port", str(port)]
    command += ["--weblog-port", str(weblog_port or 0), "--spool-root", str(root / "spool"), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_for(f"{url}board.css")
            yield url
        finally:
            process.terminate()
            _, said = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, said.decode()


@contextmanager
def in_process(app: ASGIApp) -> Iterator[str]:
    """An application, served by a thread of the test's own; its address."""
    port = free_port()
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(f"http://127.0.0.1:{port}/board.css")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()


def wait_for(url: str) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, which all tests of a process have; each has a window of its own."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with ExitStack() as stack:
        driver = stack.enter_context(playwright.sync_playwright())
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        stack.callback(browser.close)
        yield browser


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board that all tests of a process have, with the weblogs on a port of their own.

    Requests may be added, and conveyed if they are as they were in the end.
    """
    folder = tmp_path_factory.mktemp("board")
    root, port = folder / "workspaces", free_port()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        made = fill(root)
        with served(root, weblog_port=port) as url:
            yield Board(url, port, made[0], conveyor.load_config({"spool_root": root / "spool"}))


@pytest.fixture(scope="session")
def board_below(board: Board) -> Iterator[str]:
    """The address of another board of the same workspace, which has the weblogs below itself."""
    with served(board.workspace.root) as url:
        yield url
