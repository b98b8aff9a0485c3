"""The board in a real browser: by keyboard, narrow, dark, large, without scripts; axe finds nothing."""

from __future__ import annotations

import os
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import conveyor
from browser.conftest import Board, fill, in_process, served
from support.boards import board_app, everything, flagged, moving, waiting
from support.workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = "0123456789abcdefghijklmn"
# Names in the pictures the place of a workspace, not that of a test.
_SHOWN_PLACE = """place => document.querySelectorAll("code").forEach(
    one => { one.textContent = one.textContent.replaceAll(place, "/lustre") })"""
_FOCUSABLE = """[...document.querySelectorAll("a, input, select, button")].filter(one => one.type !== "hidden")"""
# The place of what has the focus among all that can have it, how it is outlined, and where on the screen it is.
_FOCUS = f"""(() => {{ let one = document.activeElement, place = one.getBoundingClientRect();
    return [{_FOCUSABLE}.indexOf(one), getComputedStyle(one).outlineStyle, place.left, place.top] }})()"""
# What a finger has to meet: links in a text have room enough around them.
_TOUCHED = """[...document.querySelectorAll(".button, button, input, select")].filter(one => one.type !== "hidden")
    .map(one => one.getBoundingClientRect().height)"""
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
    with in_process(board_app(*everything(400), *moving(), *flagged())) as url:
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
    """By Tab and Enter alone: everything in its order, each seen when it has the focus; the first link skips the head."""
    page.goto(board.url)
    expected = page.evaluate(f"{_FOCUSABLE}.length")
    for number in range(expected):
        page.keyboard.press("Tab")
        place, outline, left, top = page.evaluate(_FOCUS)
        assert (place, outline) == (number, "solid")
        assert left >= 0
        assert 0 <= top < 720
    page.goto(board.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "text"
    page.locator("a.title").first.focus()
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
    # The page asks again as soon as it was answered, until the board has looked at the workspace once more.
    page.evaluate("setInterval(() => dispatchEvent(new Event('conveyor-refresh')), 100)")
    page.locator("#r-tmpnew").wait_for(timeout=60_000)
    assert page.evaluate("[document.activeElement.id, scrollY]") == before


def test_a_page_says_that_it_is_old_when_the_board_is_gone(chromium: Any) -> None:
    """As soon as a refresh gets no answer, words say so; as soon as it gets one, they go."""
    context = chromium.new_context()
    page = context.new_page()
    with in_process(board_app(waiting("tmpabc"))) as url:
        page.goto(url)
        context.set_offline(True)
        page.evaluate("dispatchEvent(new Event('conveyor-refresh'))")
        page.get_by_role("status").get_by_text("The board does not answer").wait_for()
        context.set_offline(False)
        page.evaluate("dispatchEvent(new Event('conveyor-refresh'))")
        page.get_by_role("status").wait_for(state="detached")
    context.close()


def test_motion_is_reduced_where_a_reader_wants_it(chromium: Any, board: Board) -> None:
    """With ``prefers-reduced-motion`` nothing moves or fades, and without it a button does."""
    for wanted, is_still in (("reduce", True), ("no-preference", False)):
        context = chromium.new_context(reduced_motion=wanted)
        page = context.new_page()
        page.goto(board.url)
        times = page.evaluate(
            """[...document.querySelectorAll("*")].map(getComputedStyle)
            .flatMap(one => [one.transitionDuration, one.animationDuration])
            .filter(time => !["0s", "auto"].includes(time))"""
        )
        assert (times == []) is is_still
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
        context.close()


def test_a_telephone_has_a_card_each_request(chromium: Any, board: Board) -> None:
    """Each has its own border and the whole width, one below the other, and what is touched is large enough."""
    context = chromium.new_context(viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(board.url)
    cards = page.evaluate(
        """[...document.querySelectorAll(".request")].map(one => {
            let {left, right, top, bottom} = one.getBoundingClientRect();
            return [getComputedStyle(one).borderLeftStyle, left, 390 - right, top, bottom] })"""
    )
    assert len(cards) >= 4
    assert all(style == "solid" and left == right == 16 for style, left, right, _, _ in cards)
    assert all(below[3] > above[4] for above, below in pairwise(cards))
    assert min(page.evaluate(_TOUCHED)) >= 24  # WCAG 2.2, 2.5.8
    page.locator(".request .button").first.tap()
    page.get_by_text("Observation").first.wait_for()
    context.close()


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
