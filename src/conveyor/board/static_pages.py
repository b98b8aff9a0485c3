"""The board as static files, for a web server that a site has already: what has not changed stays untouched."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from conveyor.board import board_pages
from conveyor.board.board_view import PAGE_SIZE, Choice, View
from conveyor.board.request_details import request_details
from conveyor.board.weblog_links import WeblogLinks, quoted
from conveyor.filesystem.posix import DirFd, FileSystem, Kind
from conveyor.layout import is_own_temporary_name
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.board.board_view import BoardView

_REQUESTS = "request"
_INDEX = "index.html"
_LIST = re.compile(rf"({'|'.join(View)})(-\d+(-.*)?)?\.html", re.DOTALL)  # as list_name makes them
_MOST = 8 << 20  # bytes of a page
_LONG = 3600  # seconds after which nobody writes any more what has a temporary name


@frozen
class Written:
    """The numbers of pages that were written, left as they were, and removed."""

    written: int = 0
    same: int = 0
    removed: int = 0


def write_board(view: BoardView, folder: Path, weblog_url: str) -> Written:
    """Write the pages of a view into a folder, each by a rename, and remove those of requests that no list has any more.

    ``weblog_url`` is where the web server shows the weblog cache. Raises :class:`OSError`.
    """
    fs, links = FileSystem(), WeblogLinks(weblog_url if weblog_url.endswith("/") else f"{weblog_url}/")
    with contextlib.suppress(FileExistsError), fs.open_root(folder.parent) as parent:
        fs.mkdir(parent, folder.name)
    with fs.open_root(folder) as opened:
        done, lists = Written(), set()
        for name, content in _lists(view, links):
            done = _put(fs, opened, name, content, done)
            lists.add(name)
        done = _remove_lists(fs, opened, lists, done)
        with contextlib.suppress(FileExistsError):
            fs.mkdir(opened, _REQUESTS)
        with fs.open_directory(opened, _REQUESTS) as requests:
            done = _put_requests(fs, requests, view, links, done)
            return _remove_others(fs, requests, set(view.shown), done)


def _lists(view: BoardView, links: WeblogLinks) -> Iterator[tuple[str, bytes]]:
    for name in board_pages.ASSETS:
        yield name, board_pages.asset(name)
    around = board_pages.Surroundings(links, lambda choice: quoted(list_name(choice)), is_served=False)
    for one in View:
        for area in ("", *view.areas):
            rows = view.all(Choice(one, area))
            for number in range(1, max(1, ceil(len(rows) / PAGE_SIZE)) + 1):
                choice = Choice(one, area, page=number)
                yield list_name(choice), board_pages.list_page(view, choice, around)


def list_name(choice: Choice) -> str:
    """The name of a list's page: ``index.html``, ``waiting-2.html`` of its second one, ``waiting-1-qa2.html`` of an area's.

    No two pages have the same, whatever the areas are called: the number stands before them.
    """
    if choice.area:
        return f"{choice.view}-{choice.page}-{choice.area}.html"
    if choice.page > 1:
        return f"{choice.view}-{choice.page}.html"
    return _INDEX if choice.view is View.WAITING else f"{choice.view}.html"


def _put_requests(fs: FileSystem, requests: DirFd, view: BoardView, links: WeblogLinks, done: Written) -> Written:
    around = board_pages.Surroundings(links, lambda choice: f"../../{quoted(list_name(choice))}", is_served=False)
    for name, row in view.shown.items():
        details = request_details(row.entry, links, with_edits=False)
        with contextlib.suppress(FileExistsError):
            fs.mkdir(requests, name)
        with fs.open_directory(requests, name) as folder:
            done = _put(fs, folder, _INDEX, board_pages.request_page(view, row, details, around), done)
    return done


def _put(fs: FileSystem, folder: DirFd, name: str, content: bytes, done: Written) -> Written:
    entry = fs.lstat(folder, name)
    is_like_it = entry is not None and entry.kind is Kind.FILE and entry.size == len(content)
    if is_like_it and fs.read(folder, name, limit=_MOST) == content:
        return replace(done, same=done.same + 1)
    fs.write(folder, name, content, durable=False, shared=True)
    return replace(done, written=done.written + 1)


def _remove_lists(fs: FileSystem, opened: DirFd, written: set[str], done: Written) -> Written:
    """Remove the pages of lists that are shorter now, and of areas where nothing waits: what they say is of before."""
    for name in _remove_half_written(fs, opened):
        if _LIST.fullmatch(name) and name not in written:
            with contextlib.suppress(FileNotFoundError):  # another run was faster
                fs.unlink(opened, name)
            done = replace(done, removed=done.removed + 1)
    return done


def _remove_others(fs: FileSystem, requests: DirFd, shown: set[str], done: Written) -> Written:
    """Remove the pages of requests that are shown no more; a folder that has anything else in it is somebody's."""
    for name in fs.list_directories(requests):
        if name in shown:
            continue
        with contextlib.suppress(FileNotFoundError):  # another run was faster
            with fs.open_directory(requests, name) as folder:
                if _remove_half_written(fs, folder) - {_INDEX}:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    fs.unlink(folder, _INDEX)
            fs.rmdir(requests, name)
            done = replace(done, removed=done.removed + 1)
    return done


def _remove_half_written(fs: FileSystem, folder: DirFd) -> set[str]:
    """Remove what runs that were killed left of pages in a folder; returns the names of all else in it."""
    names = set(fs.listdir(folder))
    for name in filter(is_own_temporary_name, tuple(names)):
        entry = fs.lstat(folder, name)
        if entry is not None and time.time() - entry.modified / 1e9 > _LONG:
            with contextlib.suppress(FileNotFoundError):
                fs.unlink(folder, name)
            names.remove(name)
    return names
