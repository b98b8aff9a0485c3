"""Read an untrusted weblog tar from its beginning to its end, and let through only what may stand in a weblog.

Files, folders, and links that stay inside the tree. tarfile and its data filter are not used: the filter had escapes
(CVE-2025-4138, -4330, -4517, CVE-2026-7774, -11940, -19672), and it knows no limits. The rules need no look at the disk:

- A name is relative, has no ``..``, and none of its folders is a link.
- A link's text goes up first and then down (``../../b/c``), and not above the tree's root. What it goes through on the
  way down is a folder, or a link for which the same holds; so no chain of links leaves the tree.
- A hard link names a regular file that came before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from conveyor.errors import WeblogTooLargeError
from conveyor.weblog.headers import FILES, FOLDER, HARD_LINK, SYMBOLIC_LINK, Headers, unsafe
from conveyor.weblog.stream import Content, Stream

if TYPE_CHECKING:
    from typing import BinaryIO

    from conveyor.errors import WeblogUnsafeError
    from conveyor.weblog.headers import Header

_NAME_LIMIT, _PATH_LIMIT, _DEPTH_LIMIT = 255, 4096, 64
_ALWAYS_ALLOWED = 100_000_000  # bytes that a weblog may unpack to whatever its ratio is


class MemberKind(StrEnum):
    """What a member of a weblog may be."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    HARD_LINK = "hard link"


@dataclass(frozen=True)
class Member:
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
    """How much a weblog may be: bytes and members when unpacked, and how many times the size of its tar."""

    bytes: int
    members: int
    ratio: int


@dataclass(frozen=True)
class Weight:
    """What a weblog came to: bytes of its files, number of members."""

    bytes: int
    members: int


class Sink(Protocol):
    """Who takes the members: a writer, or nobody where only the rules are to be checked."""

    def take(self, member: Member, content: Content | None) -> None:
        """Take one member; ``content`` is a file's."""


class Nobody:
    """A sink that reads each file to its end and keeps nothing."""

    def take(self, member: Member, content: Content | None) -> None:
        while content is not None and content.read(1 << 20):
            pass


def read_weblog(
    tar: BinaryIO, size: int, label: str, limits: Limits, sink: Sink, reserved: frozenset[str] = frozenset()
) -> Weight:
    """Pass every member of a tar of ``size`` bytes to a sink; none may have a ``reserved`` name at the top.

    Raises :class:`~conveyor.errors.WeblogDamagedError`, :class:`~conveyor.errors.WeblogUnsafeError` or
    :class:`~conveyor.errors.WeblogTooLargeError`; ``label`` names the tar in their messages.
    """
    allowed = min(limits.bytes, max(_ALWAYS_ALLOWED, limits.ratio * size))
    stream = Stream(tar, label, 2 * allowed)  # the headers count as well
    rules = _Rules(label, reserved)
    total = members = 0
    for header in Headers(stream, label):
        members += 1
        if members > limits.members:
            raise WeblogTooLargeError(f"the weblog {label} has more than {limits.members} members")
        member = rules.check(header)
        if rules.entries > limits.members:  # folders that only names of other members tell of count as well
            raise WeblogTooLargeError(f"the weblog {label} has more than {limits.members} files and folders")
        total += header.size
        if total > allowed:
            raise WeblogTooLargeError(f"the weblog {label} unpacks to more than {allowed} bytes")
        content = Content(stream, header.size)
        if member is not None:
            sink.take(member, content if member.kind is MemberKind.FILE else None)
        content.finish()
    stream.drain()
    if members == 0:
        raise stream.damaged("it has no members")
    return Weight(total, members)


class _Tree:
    """One folder of what the members so far come to: memory and time grow with names, not with the length of paths."""

    __slots__ = ("kind", "names")

    def __init__(self, kind: MemberKind) -> None:
        self.kind = kind
        self.names: dict[str, _Tree] = {}


class _Rules:
    """What a member may be, given those before it."""

    def __init__(self, label: str, reserved: frozenset[str]) -> None:
        self._label = label
        self._reserved = reserved
        self._root = _Tree(MemberKind.FOLDER)
        self.entries = 0  # files, folders and links that the members so far come to on disk

    def check(self, header: Header) -> Member | None:
        """The member, if it passes; None for the tree's root itself."""
        path = self._path(header, header.name)
        if not path:
            if header.kind == FOLDER:
                return None
            raise self._refuse(header, "has no name")
        if path[0] in self._reserved:
            raise self._refuse(header, "has a name that Conveyor needs for itself")
        folder = self._root
        for name in path[:-1]:
            folder = self._make(folder, name, MemberKind.FOLDER)
            if folder.kind is not MemberKind.FOLDER:
                raise self._refuse(header, "goes through something that is no folder")
        member = self._member(header, path)
        before = folder.names.get(path[-1])
        if before is None:
            self._make(folder, path[-1], member.kind)
        elif {before.kind, member.kind} not in ({MemberKind.FOLDER}, {MemberKind.FILE}):
            raise self._refuse(header, f"would replace a {before.kind}")
        return member

    def _make(self, folder: _Tree, name: str, kind: MemberKind) -> _Tree:
        """What stands under the name; if nothing does, something of this kind from now on."""
        found = folder.names.get(name)
        if found is None:
            found = folder.names[name] = _Tree(kind)
            self.entries += 1
        return found

    def _member(self, header: Header, path: tuple[str, ...]) -> Member:
        if header.kind == FOLDER:
            return Member(MemberKind.FOLDER, path, modified=header.modified)
        if header.kind == SYMBOLIC_LINK:
            self._check_link(header, path)
            return Member(MemberKind.LINK, path, text=header.link)
        if header.kind == HARD_LINK:
            target = self._path(header, header.link)
            if self._kind(target) not in (MemberKind.FILE, MemberKind.HARD_LINK):
                raise self._refuse(header, f"is a hard link to {header.link[:120]!r}, no file that came before it")
            return Member(MemberKind.HARD_LINK, path, target=target)
        if header.kind in FILES:
            return Member(MemberKind.FILE, path, header.size, executable=header.executable, modified=header.modified)
        raise self._refuse(header, f"is neither file, folder nor link (type {header.kind!r})")

    def _kind(self, path: tuple[str, ...]) -> MemberKind | None:
        found: _Tree | None = self._root
        for name in path:
            found = found.names.get(name) if found else None
        return found.kind if found else None

    def _path(self, header: Header, name: str) -> tuple[str, ...]:
        if name.startswith("/") or "\0" in name:
            raise self._refuse(header, "has an absolute name")
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if ".." in parts:
            raise self._refuse(header, "leaves the tree")
        self._check_length(header, parts)
        return parts

    def _check_link(self, header: Header, path: tuple[str, ...]) -> None:
        text = header.link
        if not text or text.startswith("/") or "\0" in text:
            raise self._refuse(header, f"is a link out of the tree: {text[:120]!r}")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        up = 0
        while up < len(parts) and parts[up] == "..":
            up += 1
        if up > len(path) - 1 or ".." in parts[up:]:
            raise self._refuse(header, f"is a link out of the tree: {text[:120]!r}")
        self._check_length(header, tuple(parts))
        if len(text.encode("utf-8", "surrogateescape")) >= _PATH_LIMIT:  # './' again and again counts here too
            raise self._refuse(header, "is a link whose text is too long")

    def _check_length(self, header: Header, parts: tuple[str, ...]) -> None:
        lengths = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
        if (
            len(parts) > _DEPTH_LIMIT
            or sum(lengths) + len(parts) > _PATH_LIMIT
            or max(lengths, default=0) > _NAME_LIMIT
        ):
            raise self._refuse(header, "has a name that is too long")

    def _refuse(self, header: Header, why: str) -> WeblogUnsafeError:
        return unsafe(self._label, header.name, why)
