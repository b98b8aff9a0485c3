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

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from conveyor.errors import WeblogTooLargeError
from conveyor.layout import NAME_MAX
from conveyor.values import frozen
from conveyor.weblog.headers import DIRECTORY, FILES, HARD_LINK, SYMBOLIC_LINK, Headers, unsafe_error
from conveyor.weblog.inflate import InflatedTar
from conveyor.weblog.limits import Limits
from conveyor.weblog.names import encode_name, name_length
from conveyor.weblog.stream import BLOCK, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conveyor.errors import WeblogUnsafeError
    from conveyor.weblog.headers import Header
    from conveyor.weblog.inflate import Readable
    from conveyor.weblog.plain import PlainHeaders
    from conveyor.weblog.sparse import Segment

_PATH_LIMIT, _DEPTH_LIMIT = 4096, 64
_PAGE = "index.html"
_RECENT, _LONGEST = 128, 100  # directories, and characters of how they are written where a header has no more room
_PACKED = 1 << 15  # bytes of names that are looked through faster than a dictionary of them is worth
_HINT = "if the weblog is right, raise {}"
_ALWAYS_ALLOWED = 100_000_000  # bytes that a weblog may unpack to whatever its ratio is


class MemberKind(StrEnum):
    """The kinds of entry that a weblog may have."""

    FILE = "file"
    DIRECTORY = "folder"
    LINK = "link"
    HARD_LINK = "hard link"


_A_FILE = MemberKind.FILE  # found faster
_NOT_PLAIN = frozenset(("", ".", "..", _PAGE))


class Member(NamedTuple):
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


@frozen
class WeblogTotals:
    """Totals of a weblog: bytes of its files, number of members, and the digest of its tar.

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

    def take(self, member: Member, content: Iterable[memoryview] | None) -> None:
        """Take one member; ``content`` is a sparse file's, None for other kinds, and need not be read."""

    def take_file(
        self, folder: tuple[str, ...], name: str, content: Iterable[memoryview], executable: bool, modified: int
    ) -> None:
        """Take a file that is not sparse, as nearly all members are; ``modified`` in nanoseconds."""


class NullSink:
    """A sink that discards everything."""

    def take(self, member: Member, content: Iterable[memoryview] | None) -> None:
        pass

    def take_file(
        self, folder: tuple[str, ...], name: str, content: Iterable[memoryview], executable: bool, modified: int
    ) -> None:
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
    source = InflatedTar(tar)
    stream = Stream(source, label, 2 * allowed, too_large)  # the headers count as well
    reading = _Reading(stream, label, Limits(allowed, limits.members, limits.ratio), too_large, sink, reserved)
    reading.read()
    rules = reading.rules
    return WeblogTotals(reading.bytes, reading.members, source.digest, rules.entries, "/".join(rules.page) or None)


class _Reading:
    """The members of one weblog as they come, on their way to a sink."""

    def __init__(
        self,
        stream: Stream,
        label: str,
        limits: Limits,
        too_large: WeblogTooLargeError,
        sink: Sink,
        reserved: frozenset[str],
    ) -> None:
        self.rules = _Rules(label, reserved)
        self.bytes = self.members = 0
        self._stream = stream
        self._label = label
        self._limits = limits
        self._too_large = too_large
        self._sink = sink

    def read(self) -> None:
        """Read the tar to its end."""
        headers = Headers(self._stream, self._label)
        for header in headers:
            self._take(header)
            self._take_plain_files(headers.plain)
        self._stream.drain()
        if self.members == 0:
            raise self._stream.damaged_error("it has no members")

    def _take(self, header: Header) -> None:
        """Take a member of any kind, with its content."""
        self.members += 1
        self.bytes += header.size
        member = self.rules.check(header)
        if self.bytes > self._limits.bytes:
            raise self._too_large
        # Directories that only the paths of members name count too.
        if max(self.members, self.rules.entries) > self._limits.members:
            most = self._limits.members
            why = f"the weblog {self._label} has more than {most} members, which weblog_max_members allows"
            raise WeblogTooLargeError(why, hint=_HINT.format("weblog_max_members"))
        content = self._stream.pieces(header.stored)
        if member is not None:
            self._pass_on(member, content)
        self._finish(content, header.stored)

    def _pass_on(self, member: Member, content: Iterable[memoryview]) -> None:
        if member.kind is not MemberKind.FILE:
            self._sink.take(member, None)
        elif member.segments is not None:
            self._sink.take(member, content)
        else:
            self._sink.take_file(member.path[:-1], member.path[-1], content, member.executable, member.modified)

    def _finish(self, content: Iterable[memoryview], size: int) -> None:
        """Skip what a sink left of a member's content of so many bytes, and what fills its last block."""
        for _ in content:
            pass
        self._stream.skip(-size % BLOCK)

    def _take_plain_files(self, headers: PlainHeaders) -> None:
        """Take the files that come next, up to the first that needs more than a glance: this one is left where it is."""
        rules, limits, take_file = self.rules, self._limits, self._sink.take_file
        content, at = self._stream.ahead(), 0
        while file := headers.read(content, at):
            folder, name, executable, modified, start, size = file
            if self.bytes + size > limits.bytes or self.members >= limits.members or rules.entries >= limits.members:
                break
            path = rules.check_plain(folder, name)
            if path is None:
                break
            self.members += 1
            self.bytes += size
            end = start + size
            at = end + -size % BLOCK
            if at <= len(content):
                take_file(path, name, (content[start:end],), executable, modified)
            else:
                self._stream.skip(start)
                rest = self._stream.pieces(size)
                take_file(path, name, rest, executable, modified)
                self._finish(rest, size)
                content, at = self._stream.ahead(), 0
        self._stream.skip(at)


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


class _Directory(dict[str, "_Directory | _Link | MemberKind"]):
    """A directory of the tree of the members so far: its entries by name.

    The names of its files are packed into one text once others are read, which takes a fifth of the memory.
    """

    __slots__ = ("packed",)

    def __init__(self) -> None:
        super().__init__()
        self.packed = ""

    def find(self, name: str) -> _Directory | _Link | MemberKind | None:
        """Return what there is of this name."""
        if name in self:
            return self[name]
        return MemberKind.FILE if self.packed and f"/{name}/" in self.packed else None

    def pack(self) -> None:
        """Pack the names of files, if they are so few that looking through them takes no time."""
        files = [name for name, entry in self.items() if entry is MemberKind.FILE]
        packed = "/".join((self.packed.rstrip("/"), *files, ""))
        if not files or len(packed) > _PACKED:
            return
        others = [(name, entry) for name, entry in self.items() if entry is not MemberKind.FILE]
        self.packed = packed
        self.clear()  # which gives the memory back, as leaving out some does not
        self.update(others)


class _Rules:
    """The rules that each member has to pass, given those before it."""

    def __init__(self, label: str, reserved: frozenset[str]) -> None:
        self._label = label
        self._reserved = reserved
        self._root = _Directory()
        # Path and entries of the directories that were used lately, by what stands before the last slash of a member's name.
        self._recent: dict[bytes, tuple[tuple[str, ...], _Directory]] = {}
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
        before = directory.find(name)
        is_directory = member.kind is MemberKind.DIRECTORY
        if before is not None and isinstance(before, _Directory) is not is_directory:
            raise self._unsafe_error(header, f"would replace a {_kind(before)}")
        if before is None:
            self.entries += 1
        if is_directory and before is None:
            directory[name] = _Directory()
        elif not is_directory and before is not member.kind:
            directory[name] = _Link(member.text) if member.text else member.kind  # a hard link to a link is a link
        if name == _PAGE and not is_directory and not 0 < len(self.page) <= len(path):
            self.page = path
        return member

    def check_plain(self, folder: bytes, name: str) -> tuple[str, ...] | None:
        """Return the path of a new file's directory, if that was used lately; None: look closer."""
        found = self._recent.get(folder)
        if found is None:
            return None
        path, directory = found
        if name in _NOT_PLAIN or name in directory or (directory.packed and directory.find(name) is not None):
            return None
        directory[name] = _A_FILE
        self.entries += 1
        return path

    def _place(self, header: Header) -> tuple[tuple[str, ...], _Directory]:
        """Return a member's path and the directory that it is in, with those that are missing on the way."""
        path = self._path(header, header.name)
        if not path:
            return path, self._root
        if path[0] in self._reserved:
            raise self._unsafe_error(header, "has a name that Conveyor needs for itself")
        directory = self._directory_of(header, path)
        folder, _, name = header.name.rpartition("/")
        if len(path) > 1 and name == path[-1] and len(folder) < _LONGEST:
            self._remember(encode_name(folder), path[:-1], directory)
        return path, directory

    def _remember(self, folder: bytes, path: tuple[str, ...], directory: _Directory) -> None:
        """Remember a directory, in which no member has a reserved name, for the plain files that will be in it."""
        self._recent[folder] = path, directory
        if len(self._recent) > _RECENT:
            _, oldest = self._recent.pop(next(iter(self._recent)))
            oldest.pack()

    def _directory_of(self, header: Header, path: tuple[str, ...]) -> _Directory:
        """Return the directory that a member is in, with those that are missing on the way."""
        directory = self._root
        for name in path[:-1]:
            below = directory.find(name)
            if below is None:
                below = directory[name] = _Directory()
                self.entries += 1
            if not isinstance(below, _Directory):
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
            found = found.find(name) if isinstance(found, _Directory) else None
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
            if not isinstance(self._find(reached), _Directory):
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
