"""Weblogs in a real browser: they work in their sandbox, reach nothing of the board's, and stay while requests move."""

from __future__ import annotations

import threading
import urllib.request
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from browser.conftest import Board, fill, served
from support.casa_weblog import HTML, write_weblog

if TYPE_CHECKING:
    from pathlib import Path

_CONVEYANCES, _RELOADS = 50, 10


@pytest.fixture(params=["own port", "below the board"])
def weblog(request: pytest.FixtureRequest, board: Board, board_below: str) -> str:
    """The address of a weblog's first page, served in each of the two ways."""
    return _address(board.url if request.param == "own port" else board_below, board.workspace.request)


def _address(url: str, request: str) -> str:
    with urllib.request.urlopen(f"{url}request/{request}/weblog") as answer:
        return str(answer.url)


def _is_refusal(said: Any) -> bool:
    """Tell whether the console says that something was refused: the font of the test is none, and a weblog has no icon."""
    return said.type == "error" and "font" not in said.text and not said.location["url"].endswith("/favicon.ico")


def test_a_weblog_works_in_its_sandbox(chromium: Any, weblog: str, board: Board) -> None:
    """Scripts run, a page is fetched into another, frames, plots, styles and the log open; nothing is refused."""
    context = chromium.new_context()
    page = context.new_page()
    failed: list[str] = []
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    # What a click left behind before it was loaded was not refused.
    page.on("requestfailed", lambda asked: failed.append(asked.url) if "ABORTED" not in str(asked.failure) else None)
    page.on("console", lambda said: failed.append(said.text) if _is_refusal(said) else None)
    page.goto(weblog)
    assert page.evaluate("document.body.dataset.scripts") == "run"
    assert page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
    page.get_by_text("By Topic").click()
    page.frame_locator("iframe").get_by_text("Spectral setup").wait_for()
    page.get_by_text("By Task").click()
    page.get_by_text("3. hifv_task").click()
    page.locator("body[data-loaded='200'] h2").wait_for()
    assert (
        page.evaluate("Promise.all([...document.images].map(one => one.decode())).then(() => document.images.length)")
        == 4
    )
    page.locator("#app-container a").first.click()
    page.wait_for_url("**/*.png")
    page.goto(weblog.replace("index.html", "casa.log"))
    assert "gaincal" in page.content()
    assert failed == []
    context.close()


def test_a_weblog_reaches_nothing_of_the_board(chromium: Any, weblog: str, board: Board) -> None:
    """Its scripts have no cookies, read no page of the board and none of another weblog, load nothing from elsewhere,
    and cannot be framed by nor frame the board."""
    context = chromium.new_context()
    context.add_cookies([{"name": "conveyor-board", "value": "secret", "url": board.url}])
    page = context.new_page()
    page.goto(weblog)
    assert page.evaluate("origin") == "null"
    assert (
        page.evaluate("(() => { try { return document.cookie } catch (error) { return error.name } })()")
        == "SecurityError"
    )
    assert (
        page.evaluate("(() => { try { return localStorage.length } catch (error) { return error.name } })()")
        == "SecurityError"
    )
    reached = "async url => { try { return (await fetch(url)).status } catch { return 'refused' } }"
    for url in (board.url, f"{board.url}requests.csv", "http://127.0.0.2:9/", "https://example.org/"):
        assert page.evaluate(reached, url) == "refused"
    # Whether it is shown or refused, a frame says that it was loaded.
    page.evaluate(
        """url => new Promise(done => { let frame = document.createElement('iframe'); frame.onload = done;
        frame.src = url; document.body.append(frame) })""",
        board.url,
    )
    assert all(
        board.workspace.request not in (frame.content() if frame.url.startswith("http") else "")
        for frame in page.frames[1:]
    )
    context.close()


def test_a_weblog_stays_through_fifty_conveyances(chromium: Any, board: Board) -> None:
    """A browser reloads the first page and its plots while the request goes out and home, each time with a new weblog."""
    context = chromium.new_context()
    page = context.new_page()
    failed: list[str] = []
    page.on("response", lambda answer: failed.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    workspace, ended, problems, reloads = board.workspace, threading.Event(), [], 0

    def convey() -> None:
        try:
            # There are more of them while the browser has seen too little of them.
            for number in takewhile(lambda number: number < _CONVEYANCES // 2 or reloads < _RELOADS, count()):
                conveyor.retrieve(workspace.metadata).raise_for_error()
                write_weblog(workspace.spool / "products" / "weblog.tgz", stages=3, note=f"Observation {number}")
                conveyor.deliver(workspace.metadata).raise_for_error()
        except Exception as problem:  # noqa: BLE001 - it is raised by the test
            problems.append(problem)
        finally:
            ended.set()

    address = _address(board.url, workspace.request)
    page.goto(address)
    thread = threading.Thread(target=convey)
    thread.start()
    while not ended.is_set():
        page.reload()
        assert page.locator("h1").inner_text().startswith("Observation")
        reloads += 1
    thread.join()
    assert problems == []
    assert failed == []
    assert reloads >= _RELOADS
    context.close()


def test_a_real_weblog_of_20000_files(chromium: Any, tmp_path: Path) -> None:
    """With a log of 100 MB it is unpacked, its stages open, and the log comes in ranges and whole, in constant memory."""
    (made, _) = fill(tmp_path / "workspaces", 1)
    conveyor.retrieve(made.metadata).raise_for_error()
    count = write_weblog(made.spool / "products" / "weblog.tgz", stages=40, plots=250, log_bytes=100_000_000)
    assert count > 20_000
    conveyor.deliver(made.metadata).raise_for_error()
    with served(tmp_path / "workspaces") as url:
        address = _address(url, made.request)
        context = chromium.new_context()
        page = context.new_page()
        page.goto(address.replace("index.html", "t2-4m.html?subpage=stage40/t2-4m_details.html"))
        page.locator("body[data-loaded='200'] h2").wait_for()
        assert (
            page.evaluate(
                "Promise.all([...document.images].map(one => one.decode())).then(() => document.images.length)"
            )
            == 250
        )
        context.close()
        log = address.replace("index.html", "casa.log")
        with urllib.request.urlopen(urllib.request.Request(log, headers={"range": "bytes=-100"})) as answer:
            assert (answer.status, len(answer.read())) == (206, 100)
        with urllib.request.urlopen(log) as answer:
            assert sum(len(piece) for piece in iter(lambda: answer.read(1 << 20), b"")) > 99_000_000
    assert (made.weblog / HTML / "casa.log").stat().st_size > 99_000_000
