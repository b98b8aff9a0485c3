"""What the page of one request has beside its entry: history, notes, edits made in QA, commands, images of the weblog."""

from __future__ import annotations

import posixpath
import shlex
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from conveyor.api.sizes import size_text
from conveyor.board.board_view import is_waiting
from conveyor.board.board_words import duration_words, moment
from conveyor.board.weblog_app import open_cached
from conveyor.board.weblog_links import first_page_of
from conveyor.engine.event_log import lines_backwards
from conveyor.engine.qa_record import read_qa_record
from conveyor.errors import ConveyorError
from conveyor.filesystem.edited_since import Edits, edited_since
from conveyor.filesystem.posix import FileSystem, Kind
from conveyor.layout import HISTORY, META_DIR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.board.weblog_links import WeblogLinks
    from conveyor.documents import NoteEntry

_MOST_PAGE, _MOST_HISTORY = 512 * 1024, 64 * 1024  # bytes
_MOST_LINES, _MOST_IMAGES, _MOST_EDITS = 40, 4, 40
_MOST_ENTRIES = 5_000  # that are looked at for edits: a second or two on a slow file system
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


@dataclass(frozen=True)
class Image:
    """An image of the weblog's front page, by its address, with the words that stand for it."""

    address: str
    words: str


@dataclass(frozen=True)
class CommandLine:
    """A command line to copy, and what it is for."""

    meaning: str
    line: str


@dataclass(frozen=True)
class HistoryEntry:
    """A line of the history, in words; "" is what it does not say."""

    time: str
    command: str
    outcome: str
    who: str
    detail: str


@dataclass(frozen=True)
class RequestDetails:
    """The details. ``edits`` are None if nobody looked for them."""

    history: tuple[HistoryEntry, ...] = ()
    notes: tuple[NoteEntry, ...] = ()
    edits: Edits | None = None
    images: tuple[Image, ...] = ()
    commands: tuple[CommandLine, ...] = ()
    commands_title: str = "To go on"


def request_details(entry: OverviewEntry, links: WeblogLinks, *, with_edits: bool = True) -> RequestDetails:
    """Read what a request's own page says of it. What cannot be read is left out."""
    history, notes = _records(entry)
    is_out = with_edits and entry.state == "in-qa"
    edits = edits_of(entry, most_entries=_MOST_ENTRIES, most_paths=_MOST_EDITS) if is_out else None
    commands = _commands(entry)
    title = "When you are done" if is_waiting(entry) else "To go on"
    return RequestDetails(history, notes, edits, _images(entry, links), commands, title)


def _commands(entry: OverviewEntry) -> tuple[CommandLine, ...]:
    name = shlex.quote(entry.name)
    if is_waiting(entry):
        return (
            CommandLine("it is good", f'conveyor pass {name} -m "…"'),
            CommandLine("it is not", f'conveyor fail {name} -m "…"'),
        )
    return (CommandLine("next", shlex.join(entry.next_command)),) if entry.next_command else ()


def _records(entry: OverviewEntry) -> tuple[tuple[HistoryEntry, ...], tuple[NoteEntry, ...]]:
    """The last lines of the history, the newest first, and the notes, from the request's directory in spool."""
    if entry.spool is None:
        return (), ()
    fs = FileSystem()
    with (
        suppress(OSError, ConveyorError),
        fs.open_root(Path(entry.spool)) as spool,
        fs.open_directory(spool, META_DIR) as meta,
    ):
        record = read_qa_record(fs, meta)
        notes = tuple(reversed(record["notes"])) if record is not None else ()
        is_kept = fs.kind(meta, HISTORY) is Kind.FILE
        content = fs.read_end(meta, HISTORY, limit=_MOST_HISTORY) if is_kept else b""
        return tuple(islice(history_entries(content), _MOST_LINES)), notes
    return (), ()


def history_entries(content: bytes) -> Iterator[HistoryEntry]:
    """Yield the runs of a history, the newest first; of a release that wrote no runs, the steps."""
    ended = set()
    for line in lines_backwards(content):
        run, event = line.get("run"), line.get("event")
        if event == "end":
            ended.add(run)
        is_told = run in ended and event == "begin"
        is_part = run is not None and event is None
        if not is_told and not is_part:
            yield _history_entry(line)


def _history_entry(line: Mapping[str, Any]) -> HistoryEntry:
    def text(*names: str) -> str:
        return " ".join(str(line[name]) for name in names if line.get(name))

    told = [text("step", "subject", "detail", "to", "reason") or text("error"), ", ".join(line.get("way") or ())]
    if copied := line.get("bytes"):
        told.append(f"{size_text(copied)} copied")
    if seconds := line.get("seconds"):
        told.append(duration_words(seconds).removeprefix("about "))
    outcome = "begun" if line.get("event") == "begin" else text("outcome") or text("event")
    who = " on ".join(one for one in (text("account"), text("host")) if one)
    return HistoryEntry(text("time"), text("command"), outcome, who, "; ".join(one for one in told if one))


def edits_of(entry: OverviewEntry, *, most_entries: int, most_paths: int) -> Edits | None:
    """Look, within bounds, for what was written to in QA since the delivery; None if that cannot be told."""
    delivered = moment(entry.delivered)
    if delivered is None or entry.qa is None:
        return None
    with suppress(OSError), FileSystem().open_root(Path(entry.qa)) as folder:
        since = int((delivered.timestamp() + 1) * 1_000_000_000)
        names = sorted(entry.directories)
        return edited_since(folder, names, since, most_entries=most_entries, most_paths=most_paths)
    return None


def _images(entry: OverviewEntry, links: WeblogLinks) -> tuple[Image, ...]:
    place = first_page_of(entry)
    if place is None:
        return ()
    weblog, path = place
    with suppress(OSError):
        return tuple(
            Image(links.file(weblog.name, found), words)
            for found, words in images_of(_content(weblog, path), path)[:_MOST_IMAGES]
        )
    return ()


def _content(weblog: Path, path: str) -> str:
    file = open_cached(weblog.parent, weblog.name, path)
    try:
        return file.read_at(0, _MOST_PAGE).decode("utf-8", "replace")
    finally:
        file.close()


def images_of(html: str, path: str) -> list[tuple[str, str]]:
    """The images that a page shows which stand below the same root, each by its path from there, with its words."""
    parser = _ImageParser()
    parser.feed(html)
    found: dict[str, str] = {}
    for source, words in parser.images:
        place = urlsplit(source)
        if place.scheme or place.netloc or place.path.startswith("/"):
            continue
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(place.path)))
        if not target.startswith("..") and target.lower().endswith(_IMAGES):
            found.setdefault(target, words or posixpath.basename(target))
    return list(found.items())


class _ImageParser(HTMLParser):
    """Collects the images of a page, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img" and (source := given.get("src")):
            with suppress(ValueError):
                urlsplit(source)
                self.images.append((source, (given.get("alt") or given.get("title") or "").strip()))
