"""The board as files: each by a rename, what is the same untouched, and links that lead to the files."""

from __future__ import annotations

import os
import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin

from conveyor.board.board_view import Choice, View
from conveyor.board.static_pages import Written, list_name, write_board
from support.boards import everything, view_of, waiting
from support.inventory import inventory

if TYPE_CHECKING:
    from pathlib import Path


def test_files_that_have_not_changed_stay_untouched(tmp_path: Path) -> None:
    """A second writing of the same changes nothing; a request that is gone takes its page along, and nobody's own file."""
    folder, entries = tmp_path / "board", [waiting("one"), waiting("two")]
    first = write_board(view_of(*entries), folder, "/weblogs/")
    assert (first.same, first.removed) == (0, 0)
    before = inventory(folder)
    assert write_board(view_of(*entries), folder, "/weblogs/") == Written(0, first.written, 0)
    assert inventory(folder) == before
    (folder / "own.html").touch()
    (folder / "request" / "kept").mkdir()
    (folder / "request" / "kept" / "own.html").touch()
    assert write_board(view_of(entries[0]), folder, "/weblogs/").removed == 1
    assert sorted(path.name for path in (folder / "request").iterdir()) == ["kept", "one"]
    assert (folder / "own.html").exists()


def test_every_link_leads_to_a_file(tmp_path: Path) -> None:
    """From the first page on, each address that the pages name is there, names with odd signs too."""
    odd = waiting("a #?%&b 観測", qa="/workspaces/image qa/x")
    write_board(view_of(*everything(1_000), odd), tmp_path / "board", "/weblogs/")
    ahead, seen = ["index.html"], set()
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        file = tmp_path / "board" / unquote(page)
        text = (file / "index.html" if page.endswith("/") else file).read_text()
        if not page.endswith(("html", "/")):
            continue
        for link in re.findall(r'(?:href|src)="([^"#]*)', text):
            found = urljoin(f"http://h/{page}", unescape(link)).removeprefix("http://h/")
            if not found.startswith("weblogs/"):
                ahead.append(found or "index.html")
    assert len(seen) > 350
    assert any("image%20qa" in page for page in seen)
    assert 'href="/weblogs/tmp00' in (tmp_path / "board" / "index.html").read_text()


def test_names_of_pages() -> None:
    """The first list is the index; others have their view, area and number."""
    assert list_name(Choice()) == "index.html"
    assert list_name(Choice(View.JUDGED, "qa2", page=2)) == "judged-2-qa2.html"
    odd = [
        Choice(View.JUDGED, area, page=page) for area in ("", "2", "qa", "qa-2", "1-qa", "2-qa") for page in (1, 2, 3)
    ]
    assert len({list_name(choice) for choice in odd}) == len(odd)


def test_pages_of_lists_that_are_shorter_now_go(tmp_path: Path) -> None:
    """What is left of a longer list, or of an area where nothing waits any more, would say what was true before."""
    folder = tmp_path / "board"
    write_board(view_of(*everything(400), waiting("r", qa="/workspaces/image-qa/r")), folder, "/weblogs/")
    for name in ("waiting-2.html", "waiting-1-image-qa.html"):
        assert (folder / name).exists()
    (folder / "waiting-list.html").touch()
    write_board(view_of(waiting("r")), folder, "/weblogs/")
    lists = {f"{view}.html" for view in ("arriving", "judged", "operator")}
    lists |= {f"{view}-1-qa2.html" for view in View}
    assert {path.name for path in folder.glob("*.html")} == lists | {"index.html", "waiting-list.html"}


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    """Half a page, an hour old, is removed and keeps no request's page; a younger one may be another run's."""
    folder = tmp_path / "board"
    write_board(view_of(waiting("one"), waiting("two")), folder, "/weblogs/")
    young = folder / f".index.html.{1:016x}.new"
    old = [folder / f".index.html.{2:016x}.new", folder / "request" / "one" / f".index.html.{3:016x}.new"]
    for half in (young, *old):
        half.touch()
    for half in old:
        os.utime(half, (0, 0))
    write_board(view_of(waiting("two")), folder, "/weblogs/")
    assert [path.name for path in (folder / "request").iterdir()] == ["two"]
    assert (young.exists(), old[0].exists()) == (True, False)
