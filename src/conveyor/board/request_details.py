"""What the page of one request has beside its entry: history, notes, edits made in QA, commands, images of the weblog."""

from __future__ import annotations

import posixpath
import re
import shlex
from contextlib import ExitStack, closing, contextmanager, suppress
from html import unescape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from conveyor.api.sizes import size_text
from conveyor.board.board_view import is_waiting
from conveyor.board.board_words import duration_words, moment
from conveyor.board.weblog_app import open_cached
from conveyor.board.weblog_links import first_page_of
from conveyor.engine.event_log import history_end, lines_backwards
from conveyor.engine.qa_record import read_qa_record
from conveyor.errors import ConveyorError
from conveyor.filesystem.edited_since import Edits, edited_since
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.filesystem.treecopy.manifest import open_read_only
from conveyor.layout import MANIFEST, META_DIR
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.board.weblog_links import WeblogLinks
    from conveyor.documents.kept_documents import NoteEntry
    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.manifest import ManifestReader
    from conveyor.filesystem.treecopy.records import Record

_MOST_PAGE = 512 * 1024  # bytes
_MOST_LINES, _MOST_IMAGES, _MOST_EDITS = 40, 4, 40
_MOST_ENTRIES = 5_000  # that are looked at for edits: a second or two on a slow file system
T = TypeVar("T")
_IMAGE_TAG = re.compile(r"<img\b([^<>]{1,2000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(src|alt|title)\s*=\s*("[^"]*"|'[^']*'|[^\s"']+)""", re.IGNORECASE)
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


@frozen
class Image:
    """An image of the weblog's front page, by its address, with the words that stand for it."""

    address: str
    words: str


@frozen
class CommandLine:
    """A command line to copy, and what it is for."""

    meaning: str
    line: str


@frozen
class HistoryEntry:
    """A line of the history, in words; "" is what it does not say."""

    time: str
    command: str
    outcome: str
    who: str
    detail: str


@frozen
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
    history, notes = in_meta(entry, _history) or (), in_meta(entry, _notes) or ()
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


def in_meta(entry: OverviewEntry, read: Callable[[FileSystem, DirFd], T]) -> T | None:
    """Read something from a request's ``.conveyor`` in spool; None if it cannot be read."""
    if entry.spool is None:
        return None
    fs = FileSystem()
    with (
        suppress(OSError, ConveyorError),
        fs.open_root(Path(entry.spool)) as spool,
        fs.open_directory(spool, META_DIR) as meta,
    ):
        return read(fs, meta)
    return None


def _history(fs: FileSystem, meta: DirFd) -> tuple[HistoryEntry, ...]:
    """The last lines of the history, the newest first."""
    return tuple(islice(history_entries(history_end(fs, meta)), _MOST_LINES))


def _notes(fs: FileSystem, meta: DirFd) -> tuple[NoteEntry, ...]:
    """The notes, the newest first."""
    record = read_qa_record(fs, meta)
    return tuple(reversed(record["notes"])) if record is not None else ()


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
    since = int((delivered.timestamp() + 1) * 1_000_000_000)
    with suppress(OSError), FileSystem().open_root(Path(entry.qa)) as folder, _records(entry) as records:
        names = sorted(entry.directories)
        return edited_since(folder, names, since, records, most_entries=most_entries, most_paths=most_paths)
    return None


@contextmanager
def _records(entry: OverviewEntry) -> Iterator[Callable[[str], Mapping[str, Record] | None]]:
    """What the manifests of a request have, by directory; of what was renamed and not copied there is none."""
    readers: dict[str, ManifestReader] = {}

    def records(path: str) -> Mapping[str, Record] | None:
        name, _, below = path.partition("/")
        with suppress(OSError, ValueError):  # it is damaged
            return readers[name].records(below) if name in readers else None
        return None

    with ExitStack() as stack:
        with suppress(OSError):
            readers.update(_manifests(entry, stack))
        yield records


def _manifests(entry: OverviewEntry, stack: ExitStack) -> Iterator[tuple[str, ManifestReader]]:
    """Yield the manifests that can be believed, open as long as the stack, with the names of their directories."""
    if entry.spool is None:
        return
    fs = FileSystem()
    spool = stack.enter_context(fs.open_root(Path(entry.spool)))
    meta = stack.enter_context(fs.open_directory(spool, META_DIR))
    for name in entry.directories:
        if reader := open_read_only(PathAt(meta, name + MANIFEST)):
            yield name, stack.enter_context(closing(reader))


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
    found: dict[str, str] = {}
    for source, words in _image_tags(html):
        with suppress(ValueError):  # an address that is none
            place = urlsplit(source)
            if place.scheme or place.netloc or place.path.startswith("/"):
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(place.path)))
            if not target.startswith("..") and target.lower().endswith(_IMAGES):
                found.setdefault(target, words or posixpath.basename(target))
    return list(found.items())


def _image_tags(html: str) -> Iterator[tuple[str, str]]:
    """Yield the source of each image of a page, and its words.

    Expressions find them, in a time that grows with the page: a parser's may grow with its square, and the page is other
    people's.
    """
    for tag in _IMAGE_TAG.finditer(html):
        given = {name.lower(): unescape(value.strip("\"'")) for name, value in _ATTRIBUTE.findall(tag[1])}
        if source := given.get("src"):
            yield source, (given.get("alt") or given.get("title") or "").strip()
