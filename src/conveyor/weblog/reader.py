"""Read an untrusted weblog tar from its beginning to its end, and let through only what may stand in a weblog.

Files, directories, and links that stay inside the tree. tarfile and its data filter are not used: the filter had escapes
(CVE-2025-4138, -4330, -4517, CVE-2026-7774, -11940, -19672), and it knows no limits. The rules need no look at the disk:

- A name is relative, has no ``..``, and none of its directories is a link.
- A link's text goes up only from directories that came before it (``../../b/c``), and not above the tree's root. What it
  goes through on the way down is a directory, or a link for which the same holds; so no chain of links leaves the tree.
- A hard link names a regular file that came before it, or a link that may stand in its own place too.
- A directory is never replaced, so that what was found to be one stays one.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from conveyor.errors import WeblogTooLargeError
from conveyor.layout import NAME_MAX
from conveyor.weblog.headers import DIRECTORY, FILES, HARD_LINK, SYMBOLIC_LINK, Headers, unsafe_error
from conveyor.weblog.inflate import inflated
from conveyor.weblog.names import name_length
from conveyor.weblog.stream import BLOCK, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conveyor.errors import WeblogUnsafeError
    from conveyor.weblog.headers import Header
    from conveyor.weblog.inflate import Readable
    from conveyor.weblog.sparse import Segment

_PATH_LIMIT, _DEPTH_LIMIT = 4096, 64
_PAGE = "index.html"
_PLAIN = re.compile(r"[A-Za-z0-9_][\w.+-]{0,99}", re.ASCII)  # a name that needs no further look
_HINT = "if the weblog is right, raise {}"
_ALWAYS_ALLOWED = 100_000_000  # bytes that a weblog may unpack to whatever its ratio is


class MemberKind(StrEnum):
    """The kinds of entry that a weblog may have."""

    FILE = "file"
    DIRECTORY = "folder"
    LINK = "link"
    HARD_LINK = "hard link"


class Member(NamedTuple):  # which is made faster than a frozen dataclass, and one is made for each file
    """One member that passed all rules: ``size`` in bytes, ``modified`` in nanoseconds.

    ``text`` is a link's, ``target`` the path of a hard link's file. A sparse file's content are its ``segments`` alone.
    """

    kind: MemberKind
    path: tuple[str, ...]
    size: int = 0
    executable: bool = False
    modified: int = 0
    text: str = ""
    target: tuple[str, ...] = ()
    segments: tuple[Segment, ...] | None = None


@dataclass(frozen=True)
class Limits:
    """Limits of an unpacked weblog: bytes, members, and its size as a multiple of its tar's."""

    bytes: int
    members: int
    ratio: int


@dataclass(frozen=True)
class WeblogTotals:
    """Totals of a weblog: bytes of its files, number of members, and the SHA-256 digest of its tar, in hexadecimal.

    ``entries`` are the files, directories and links of the tree, ``page`` is the path of its first page in it; None if there
    is no ``index.html``.
    """

    bytes: int
    members: int
    digest: str
    entries: int
    page: str | None


class Sink(Protocol):
    """A receiver of members: a writer, or a :class:`NullSink` if only the rules are to be checked."""

    def take(self, member: Member, content: Iterator[memoryview] | None) -> None:
        """Take one member; ``content`` is a file's, None for other kinds, and need not be read."""


class NullSink:
    """A sink that discards everything."""

    def take(self, member: Member, content: Iterator[memoryview] | None) -> None:
        pass


def read_weblog(
    tar: Readable, size: int, label: str, limits: Limits, sink: Sink, reserved: frozenset[str] = frozenset()
) -> WeblogTotals:
    """Pass every member of a tar of ``size`` bytes to a sink; none may have a ``reserved`` name at the top.

    The tar is read to its end. Raises :class:`~conveyor.errors.WeblogDamagedError`,
    :class:`~conveyor.errors.WeblogUnsafeError` or :class:`~conveyor.errors.WeblogTooLargeError`; ``label`` names the tar in
    their messages.
    """
    allowed, too_large = _allowed(limits, size, label)
    with contextlib.closing(inflated(tar, size)) as source:
        stream = Stream(source, label, 2 * allowed, too_large)  # the headers count as well
        rules = _Rules(label, reserved)
        total = members = 0
        for header in Headers(stream, label):
            members += 1
            total += header.size
            member = rules.check(header)
            if total > allowed:
                raise too_large
            # Directories that only the paths of members name count too.
            if members > limits.members or rules.entries > limits.members:
                why = f"the weblog {label} has more than {limits.members} members, which weblog_max_members allows"
                raise WeblogTooLargeError(why, hint=_HINT.format("weblog_max_members"))
            content = stream.pieces(header.stored)
            if member is not None:
                sink.take(member, content if member.kind is MemberKind.FILE else None)
            for _ in content:  # what the sink left
                pass
            stream.skip(-header.stored % BLOCK)
        stream.drain()
        if members == 0:
            raise stream.damaged_error("it has no members")
        return WeblogTotals(total, members, source.result, rules.entries, "/".join(rules.page) or None)


def _allowed(limits: Limits, size: int, label: str) -> tuple[int, WeblogTooLargeError]:
    """Return the bytes that a tar of ``size`` bytes may unpack to, and the error if it has more."""
    by_ratio = max(_ALWAYS_ALLOWED, limits.ratio * size)
    setting = "weblog_max_bytes" if limits.bytes <= by_ratio else "weblog_max_ratio"
    allowed = min(limits.bytes, by_ratio)
    why = f"the weblog {label} unpacks to more than {allowed} bytes, which {setting} allows"
    return allowed, WeblogTooLargeError(why, hint=_HINT.format(setting))


class _Link(NamedTuple):
    """A link of the tree."""

    text: str


# The tree of the members so far: a directory is the dict of its entries. Memory and time grow with the number of names,
# not with the length of paths.
_Directory = dict[str, "_Directory | _Link | MemberKind"]


class _Folder(NamedTuple):
    """A directory that a member was in: what stands before the member's own name, its path, and its entries."""

    text: str
    path: tuple[str, ...]
    directory: _Directory


class _Rules:
    """The rules that each member has to pass, given those before it."""

    def __init__(self, label: str, reserved: frozenset[str]) -> None:
        self._label = label
        self._reserved = reserved
        self._root: _Directory = {}
        self._last = _Folder("", (), self._root)
        self.entries = 0  # files, directories and links of the members so far, on disk
        self.page: tuple[str, ...] = ()  # the path of the index.html nearest to the root

    def check(self, header: Header) -> Member | None:
        """Return the member if it passes; None for the root of the tree itself. Raises WeblogUnsafeError if it does not."""
        path, directory = self._place(header)
        if not path:
            if header.kind == DIRECTORY:
                return None
            raise self._unsafe_error(header, "has no name")
        member, name = self._member(header, path), path[-1]
        before = directory.get(name)
        is_directory = member.kind is MemberKind.DIRECTORY
        if before is not None and isinstance(before, dict) is not is_directory:
            raise self._unsafe_error(header, f"would replace a {_kind(before)}")
        if before is None:
            self.entries += 1
        if not is_directory:
            directory[name] = _Link(member.text) if member.text else member.kind  # a hard link to a link is a link
        elif before is None:
            directory[name] = {}
        if name == _PAGE and not is_directory and not 0 < len(self.page) <= len(path):
            self.page = path
        return member

    def _place(self, header: Header) -> tuple[tuple[str, ...], _Directory]:
        """Return a member's path and the directory that it is in, with those that are missing on the way."""
        text, found = header.name, self._last
        start = text.rfind("/") + 1
        # Most members follow another one of their folder, and have a plain name.
        if found.text and text.startswith(found.text) and start == len(found.text) and _PLAIN.fullmatch(text, start):
            return (*found.path, text[start:]), found.directory
        path = self._path(header, text)
        if not path:
            return path, self._root
        if path[0] in self._reserved:
            raise self._unsafe_error(header, "has a name that Conveyor needs for itself")
        directory = self._directory_of(header, path)
        if path[-1] == text[start:] and start <= NAME_MAX:
            self._last = _Folder(text[:start], path[:-1], directory)
        return path, directory

    def _directory_of(self, header: Header, path: tuple[str, ...]) -> _Directory:
        """Return the directory that a member is in, with those that are missing on the way."""
        directory = self._root
        for name in path[:-1]:
            below = directory.get(name)
            if below is None:
                below = directory[name] = {}
                self.entries += 1
            if not isinstance(below, dict):
                raise self._unsafe_error(header, f"goes through {name[:120]!r}, a {_kind(below)}")
            directory = below
        return directory

    def _member(self, header: Header, path: tuple[str, ...]) -> Member:
        if header.kind in FILES:
            size, executable, modified = header.size, header.executable, header.modified
            return Member(MemberKind.FILE, path, size, executable, modified, segments=header.segments)
        if header.kind == DIRECTORY:
            return Member(MemberKind.DIRECTORY, path, modified=header.modified)
        if header.kind == SYMBOLIC_LINK:
            self._check_link(header, path, header.link)
            return Member(MemberKind.LINK, path, text=header.link)
        if header.kind == HARD_LINK:
            return self._hard_link(header, path)
        raise self._unsafe_error(header, f"is neither file, folder nor link (type {header.kind!r})")

    def _hard_link(self, header: Header, path: tuple[str, ...]) -> Member:
        target = self._path(header, header.link)
        match self._find(target):
            case _Link(text):
                self._check_link(header, path, text)
                return Member(MemberKind.HARD_LINK, path, text=text, target=target)
            case MemberKind():
                return Member(MemberKind.HARD_LINK, path, target=target)
            case None:
                why = f"is a hard link to {header.link[:120]!r}, no file that came before it"
            case _:
                why = f"is a hard link to {header.link[:120]!r}, a folder"
        raise self._unsafe_error(header, why)

    def _find(self, path: Sequence[str]) -> _Directory | _Link | MemberKind | None:
        found: _Directory | _Link | MemberKind | None = self._root
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def _path(self, header: Header, name: str) -> tuple[str, ...]:
        if name.startswith("/") or "\0" in name:
            raise self._unsafe_error(header, "has an absolute name")
        parts = tuple([part for part in name.split("/") if part not in ("", ".")])
        if ".." in parts:
            raise self._unsafe_error(header, "has '..' in its name")
        # What is short as a whole has no part that is too long; most names are.
        if len(name) > NAME_MAX or len(parts) > _DEPTH_LIMIT or not name.isascii():
            self._check_length(header, parts)
        return parts

    def _check_link(self, header: Header, path: tuple[str, ...], text: str) -> None:
        """Check where a link with this text leads that stands at ``path``."""
        if not text or text.startswith("/") or "\0" in text:
            raise self._unsafe_error(header, f"is a link out of the tree: {text[:120]!r}")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        self._check_length(header, parts)
        if name_length(text) >= _PATH_LIMIT:  # './' again and again counts here too
            raise self._unsafe_error(header, "is a link whose text is too long")
        reached = list(path[:-1])
        for part in parts:
            if part != "..":
                reached.append(part)
                continue
            if not reached:
                raise self._unsafe_error(header, f"is a link out of the tree: {text[:120]!r}")
            if not isinstance(self._find(reached), dict):
                why = (
                    f"is a link that goes up from {reached[-1][:120]!r}, no folder that came before it: {text[:120]!r}"
                )
                raise self._unsafe_error(header, why)
            reached.pop()

    def _check_length(self, header: Header, parts: Sequence[str]) -> None:
        lengths = [name_length(part) for part in parts]
        if sum(lengths) + len(parts) > _PATH_LIMIT or max(lengths, default=0) > NAME_MAX:
            raise self._unsafe_error(header, "has a name that is too long")
        if len(parts) > _DEPTH_LIMIT:
            raise self._unsafe_error(header, f"is too deep: in {len(parts) - 1} folders, and {_DEPTH_LIMIT - 1} may be")

    def _unsafe_error(self, header: Header, why: str) -> WeblogUnsafeError:
        return unsafe_error(self._label, header.name, why)


def _kind(found: _Directory | _Link | MemberKind) -> MemberKind:
    match found:
        case _Link():
            return MemberKind.LINK
        case MemberKind():
            return found
    return MemberKind.DIRECTORY
