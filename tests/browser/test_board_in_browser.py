"""The board in a real browser: by keyboard, narrow, dark, large, without scripts; axe finds nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import conveyor
from browser.conftest import Board, fill, in_process, served
from support.boards import board_app, everything, moving
from support.workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = "0123456789abcdefghijklmn"
# Names in the pictures the place of a workspace, not that of a test.
_SHOWN_PLACE = """place => document.querySelectorAll("code").forEach(
    one => { one.textContent = one.textContent.replaceAll(place, "/lustre") })"""
_VIEWS = [
    pytest.param({"color_scheme": "light", "viewport": {"width": 1280, "height": 800}}, id="light"),
    pytest.param({"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}}, id="dark"),
    pytest.param({"color_scheme": "light", "viewport": {"width": 390, "height": 800}, "is_mobile": True}, id="narrow"),
]


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page of a window of usual size."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def _overflow(page: Any) -> int:
    return int(page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"))


@pytest.mark.parametrize("how", _VIEWS)
def test_axe_finds_nothing_and_nothing_is_cut_off(chromium: Any, board: Board, how: dict[str, Any]) -> None:
    """Every page, light, dark and narrow: no finding, no sideways scrolling, no request to elsewhere."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = chromium.new_context(**how)
    page = context.new_page()
    hosts: set[str | None] = set()
    page.on("request", lambda asked: hosts.add(urlsplit(asked.url).hostname))
    name = board.workspace.request
    for path in ("", "?view=operator", "?view=judged", f"request/{name}/", "nothing"):
        page.goto(board.url + path)
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert _overflow(page) <= 0
    assert hosts == {"127.0.0.1"}
    context.close()


@pytest.mark.parametrize("how", _VIEWS)
def test_the_pictures_of_the_documentation(
    chromium: Any, how: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A busy board looks as the documentation shows it; ``BOARD_PICTURES`` is the folder that new pictures are put in."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = chromium.new_context(**how)
    page = context.new_page()
    with in_process(board_app(*everything(400), *moving())) as url:
        for name, path in (("list", ""), ("request", "request/tmp00002xyz/")):
            page.goto(url + path)
            assert axe.Axe().run(page).violations_count == 0
            assert _overflow(page) <= 0
            page.evaluate(_SHOWN_PLACE, str(Path.cwd()))
            picture = tmp_path / f"board-{name}-{request.node.callspec.id}.png"
            picture.write_bytes(page.screenshot())
            if folder := os.environ.get("BOARD_PICTURES"):
                subprocess.run(["cp", picture, folder], check=True)
    context.close()


def test_text_of_twice_the_size_fits(page: Any, board: Board) -> None:
    """With text at 200 % nothing is cut off and nothing scrolls sideways, on a desk and on a telephone."""
    for width in (1280, 640):
        page.set_viewport_size({"width": width, "height": 800})
        for path in ("", f"request/{board.workspace.request}/"):
            page.goto(board.url + path)
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert _overflow(page) <= 0


def test_the_keyboard_is_enough(page: Any, board: Board) -> None:
    """By Tab and Enter alone: past the head to the list, to a request's page, and what has the focus is seen."""
    page.goto(board.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for _ in range(15):
        page.keyboard.press("Tab")
        if "title" in page.evaluate("document.activeElement.className"):
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/request/*/")
    assert page.locator("h1").inner_text().startswith("tmp")


def test_without_scripts_the_pages_say_the_same(chromium: Any, board: Board) -> None:
    """The list, the search, its filters and the page of a request work with scripts switched off."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(board.url)
    assert page.locator(".request .button").count() >= 3
    page.get_by_label("Search").fill(board.workspace.request)
    page.get_by_role("button", name="Show").click()
    assert page.locator("h1 + search + div > ol .request").count() == 1
    page.locator("a.title").first.click()
    assert "conveyor pass" in page.content()
    context.close()


def test_the_page_refreshes_in_place(page: Any, board: Board) -> None:
    """A request that is delivered meanwhile appears, and focus and scroll stay where they were; so does a selection."""
    page.set_viewport_size({"width": 1280, "height": 300})
    page.goto(board.url)
    link = page.locator("a.title").nth(1)
    link.focus()
    page.evaluate("scrollTo(0, 120)")
    before = page.evaluate("[document.activeElement.id, scrollY]")
    new = make_workspace(board.workspace.root, request="tmpnew")
    conveyor.deliver(new.metadata).raise_for_error()
    for _ in range(100):
        page.evaluate("dispatchEvent(new Event('conveyor-refresh'))")
        page.wait_for_timeout(200)
        if page.locator("#r-tmpnew").count():
            break
    assert page.locator("#r-tmpnew").count() == 1
    assert page.evaluate("[document.activeElement.id, scrollY]") == before


def test_commands_are_copied_by_a_button(chromium: Any, board: Board) -> None:
    """The button beside a command puts it into the clipboard, and says so."""
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{board.url}request/{board.workspace.request}/")
    page.locator(".commands .copier").first.click()
    page.get_by_text("Copied").first.wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith(f"conveyor pass {board.workspace.request}")
    context.close()


def test_signing_in_by_the_form(page: Any, tmp_path: Path) -> None:
    """Without the token nothing is seen; with it the page that was asked for, and no address has it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    made = fill(tmp_path / "workspaces", 1)
    file = tmp_path / "token"
    file.write_text(_TOKEN)
    file.chmod(0o600)
    with served(tmp_path / "workspaces", "--token-file", str(file)) as url:
        page.goto(f"{url}request/{made[0].request}/")
        assert axe.Axe().run(page).violations_count == 0
        page.get_by_label("Token").fill(_TOKEN)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**/request/{made[0].request}/")
        assert page.locator("h1").inner_text() == made[0].request
        page.locator("p.open a").click()
        page.get_by_text("Observation 0").wait_for()
        assert _TOKEN not in page.url


def test_static_pages_work_from_any_folder(page: Any, board: Board, tmp_path: Path) -> None:
    """Written as files, and opened as files, the pages lead to one another and to the weblogs; axe finds nothing."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    from conveyor.board.shared_overview import look
    from conveyor.board.static_pages import write_board

    folder = tmp_path / "static"
    write_board(look(board.config), folder, board.workspace.weblog.parent.as_uri())
    page.goto((folder / "index.html").as_uri())
    assert axe.Axe().run(page).violations_count == 0
    page.locator(".request .button").first.click()
    page.get_by_text("Observation 0").wait_for()
