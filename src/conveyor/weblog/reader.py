"""Read an untrusted weblog tar from its beginning to its end, and let through only what may stand in a weblog.

Files, directories, and links that stay inside the tree. tarfile and its data filter are not used: the filter had escapes
(CVE-2025-4138, -4330, -4517, CVE-2026-7774, -11940, -19672), and it knows no limits. The rules need no look at the disk:

- A name is relative, has no ``..``, and none of its directories is a link.
- A link's text goes up first and then down (``../../b/c``), and not above the tree's root. What it goes through on the
  way down is a directory, or a link for which the same holds; so no chain of links leaves the tree.
- A hard link names a regular file that came before it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from conveyor.errors import WeblogTooLargeError
from conveyor.layout import NAME_MAX
from conveyor.weblog.headers import DIRECTORY, FILES, HARD_LINK, SYMBOLIC_LINK, Headers, unsafe_error
from conveyor.weblog.inflate import inflated
from conveyor.weblog.stream import BLOCK, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.errors import WeblogUnsafeError
    from conveyor.weblog.headers import Header
    from conveyor.weblog.inflate import Readable

_PATH_LIMIT, _DEPTH_LIMIT = 4096, 64
_ALWAYS_ALLOWED = 100_000_000  # bytes that a weblog may unpack to whatever its ratio is


class MemberKind(StrEnum):
    """The kinds of entry that a weblog may have."""

    FILE = "file"
    DIRECTORY = "folder"
    LINK = "link"
    HARD_LINK = "hard link"


class Member(NamedTuple):  # which is made faster than a frozen dataclass, and one is made for each file
    """One member that passed all rules. ``modified`` in nanoseconds; ``target`` is a link's text, or a path's parts."""

    kind: MemberKind
    path: tuple[str, ...]
    size: int = 0
    executable: bool = False
    modified: int = 0
    text: str = ""
    target: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Limits of an unpacked weblog: bytes, members, and its size as a multiple of its tar's."""

    bytes: int
    members: int
    ratio: int


@dataclass(frozen=True)
class WeblogTotals:
    """Totals of a weblog: bytes of its files, number of members, and the SHA-256 digest of its tar, in hexadecimal."""

    bytes: int
    members: int
    digest: str


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
    allowed = min(limits.bytes, max(_ALWAYS_ALLOWED, limits.ratio * size))
    with contextlib.closing(inflated(tar, size)) as source:
        stream = Stream(source, label, 2 * allowed)  # the headers count as well
        total, members = _pass_on(stream, label, limits.members, allowed, sink, reserved)
        return WeblogTotals(total, members, source.result)


def _pass_on(
    stream: Stream, label: str, most: int, allowed: int, sink: Sink, reserved: frozenset[str]
) -> tuple[int, int]:
    rules = _Rules(label, reserved)
    total = members = 0
    for header in Headers(stream, label):
        members += 1
        if members > most:
            raise WeblogTooLargeError(f"the weblog {label} has more than {most} members")
        member = rules.check(header)
        if rules.entries > most:  # directories that only the paths of members name count too
            raise WeblogTooLargeError(f"the weblog {label} has more than {most} files and folders")
        total += header.size
        if total > allowed:
            raise WeblogTooLargeError(f"the weblog {label} unpacks to more than {allowed} bytes")
        content = stream.pieces(header.size)
        if member is not None:
            sink.take(member, content if member.kind is MemberKind.FILE else None)
        for _ in content:  # what the sink left
            pass
        stream.skip(-header.size % BLOCK)
    stream.drain()
    if members == 0:
        raise stream.damaged_error("it has no members")
    return total, members


# The tree of the members so far: a directory is the dict of its entries, anything else its kind. Memory and time grow with
# the number of names, not with the length of paths.
_Directory = dict[str, "_Directory | MemberKind"]


class _Rules:
    """The rules that each member has to pass, given those before it."""

    def __init__(self, label: str, reserved: frozenset[str]) -> None:
        self._label = label
        self._reserved = reserved
        self._root: _Directory = {}
        self.entries = 0  # files, directories and links of the members so far, on disk

    def check(self, header: Header) -> Member | None:
        """Return the member if it passes; None for the root of the tree itself. Raises WeblogUnsafeError if it does not."""
        path = self._path(header, header.name)
        if not path:
            if header.kind == DIRECTORY:
                return None
            raise self._unsafe_error(header, "has no name")
        if path[0] in self._reserved:
            raise self._unsafe_error(header, "has a name that Conveyor needs for itself")
        directory = self._root
        for name in path[:-1]:
            below = directory.get(name)
            if below is None:
                below = directory[name] = {}
                self.entries += 1
            if isinstance(below, MemberKind):
                raise self._unsafe_error(header, "goes through something that is no folder")
            directory = below
        member = self._member(header, path)
        before = directory.get(path[-1])
        if before is None:
            directory[path[-1]] = {} if member.kind is MemberKind.DIRECTORY else member.kind
            self.entries += 1
        elif {_kind(before), member.kind} not in ({MemberKind.DIRECTORY}, {MemberKind.FILE}):
            raise self._unsafe_error(header, f"would replace a {_kind(before)}")
        return member

    def _member(self, header: Header, path: tuple[str, ...]) -> Member:
        if header.kind in FILES:
            return Member(MemberKind.FILE, path, header.size, header.executable, header.modified)
        if header.kind == DIRECTORY:
            return Member(MemberKind.DIRECTORY, path, modified=header.modified)
        if header.kind == SYMBOLIC_LINK:
            self._check_link(header, path)
            return Member(MemberKind.LINK, path, text=header.link)
        if header.kind == HARD_LINK:
            target = self._path(header, header.link)
            if self._find(target) not in (MemberKind.FILE, MemberKind.HARD_LINK):
                raise self._unsafe_error(
                    header, f"is a hard link to {header.link[:120]!r}, no file that came before it"
                )
            return Member(MemberKind.HARD_LINK, path, target=target)
        raise self._unsafe_error(header, f"is neither file, folder nor link (type {header.kind!r})")

    def _find(self, path: tuple[str, ...]) -> _Directory | MemberKind | None:
        found: _Directory | MemberKind | None = self._root
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def _path(self, header: Header, name: str) -> tuple[str, ...]:
        if name.startswith("/") or "\0" in name:
            raise self._unsafe_error(header, "has an absolute name")
        parts = tuple([part for part in name.split("/") if part not in ("", ".")])
        if ".." in parts:
            raise self._unsafe_error(header, "leaves the tree")
        # What is short as a whole has no part that is too long; most names are.
        if len(name) > NAME_MAX or len(parts) > _DEPTH_LIMIT or not name.isascii():
            self._check_length(header, parts)
        return parts

    def _check_link(self, header: Header, path: tuple[str, ...]) -> None:
        text = header.link
        if not text or text.startswith("/") or "\0" in text:
            raise self._unsafe_error(header, f"is a link out of the tree: {text[:120]!r}")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        up = 0
        while up < len(parts) and parts[up] == "..":
            up += 1
        if up > len(path) - 1 or ".." in parts[up:]:
            raise self._unsafe_error(header, f"is a link out of the tree: {text[:120]!r}")
        self._check_length(header, tuple(parts))
        if len(text.encode("utf-8", "surrogateescape")) >= _PATH_LIMIT:  # './' again and again counts here too
            raise self._unsafe_error(header, "is a link whose text is too long")

    def _check_length(self, header: Header, parts: tuple[str, ...]) -> None:
        lengths = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
        if len(parts) > _DEPTH_LIMIT or sum(lengths) + len(parts) > _PATH_LIMIT or max(lengths, default=0) > NAME_MAX:
            raise self._unsafe_error(header, "has a name that is too long")

    def _unsafe_error(self, header: Header, why: str) -> WeblogUnsafeError:
        return unsafe_error(self._label, header.name, why)


def _kind(found: _Directory | MemberKind) -> MemberKind:
    return found if isinstance(found, MemberKind) else MemberKind.DIRECTORY
