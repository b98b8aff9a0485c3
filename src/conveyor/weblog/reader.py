"""Read an untrusted weblog tar from its beginning to its end, and let through only what may stand in a weblog.

Files, folders, and links that stay inside the tree. tarfile's own data filter is not enough: it had escapes
(CVE-2025-4138, -4330, -4517), and it knows no limits. The rules here need no look at the disk:

- A name is relative, has no ``..``, and none of its folders is a link.
- A link's text goes up first and then down (``../../b/c``), and not above the tree's root. What it goes through on the
  way down is a folder, or a link for which the same holds; so no chain of links leaves the tree.
- A hard link names a regular file that came before it.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from conveyor.errors import WeblogDamagedError, WeblogTooLargeError, WeblogUnsafeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP = b"\x1f\x8b"
_READ_LIMIT = 1 << 20  # bytes that may be asked for at once, and that the headers of one member may have in all
_LATEST = 1 << 33  # seconds since the epoch, in the year 2242; pax headers may say anything
_NAME_LIMIT, _PATH_LIMIT, _DEPTH_LIMIT = 255, 4096, 64
_DAMAGE = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError, OverflowError)
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

    def take(self, member: Member, content: IO[bytes] | None) -> None:
        """Take one member; ``content`` is a file's."""


class Nobody:
    """A sink that reads each file to its end and keeps nothing."""

    def take(self, member: Member, content: IO[bytes] | None) -> None:
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
    stream = _Inflated(tar, label, allowed)
    rules = _Rules(label, reserved)
    total = members = 0
    try:
        # tarfile asks the stream itself, so that no header can make it ask for more than the stream will give.
        with _open(stream) as archive:
            for info in _headers(archive, stream):
                members += 1
                if members > limits.members:
                    raise WeblogTooLargeError(f"the weblog {label} has more than {limits.members} members")
                member = rules.check(info)
                if rules.entries > limits.members:  # folders that only names of other members tell of count as well
                    raise WeblogTooLargeError(f"the weblog {label} has more than {limits.members} files and folders")
                if member is None:
                    continue
                total += member.size
                if total > allowed:
                    raise _too_large(label, allowed)
                is_file = member.kind is MemberKind.FILE
                sink.take(member, archive.extractfile(info) if is_file else None)
        # tarfile stops at a broken header as it does at the end; a whole tar ends with blocks of zeros.
        if stream.last_block != bytes(tarfile.BLOCKSIZE):
            raise WeblogDamagedError(f"the weblog {label} is damaged: it ends without the mark of its end")
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):  # the mark is two blocks: one alone is a header that was lost
            raise WeblogDamagedError(f"the weblog {label} is damaged: it goes on after the mark of its end")
        stream.drain()
    except _DAMAGE as error:
        raise WeblogDamagedError(f"the weblog {label} is damaged: {error}") from error
    if members == 0:
        raise WeblogDamagedError(f"the weblog {label} is damaged: it has no members")
    return Weight(total, members)


def _open(stream: _Inflated) -> tarfile.TarFile:
    with stream.reading_headers():  # that of the first member is read at once
        return tarfile.TarFile(fileobj=cast("IO[bytes]", stream))


def _headers(archive: tarfile.TarFile, stream: _Inflated) -> Iterator[tarfile.TarInfo]:
    """The headers one by one, without all that the archive would keep of them: their list, and global pax headers."""
    while True:
        with stream.reading_headers():
            info = archive.next()
        if info is None:
            return
        archive.members = []  # type: ignore[attr-defined]  # typeshed leaves it out; the documentation of TarFile.next has it
        archive.pax_headers = {}
        yield info


def _too_large(label: str, allowed: int) -> WeblogTooLargeError:
    return WeblogTooLargeError(f"the weblog {label} unpacks to more than {allowed} bytes")


class _Inflated:
    """The tar's bytes, inflated where it is gzipped, read once from front to back, counted and bounded."""

    def __init__(self, tar: BinaryIO, label: str, allowed: int) -> None:
        start = tar.read(len(_GZIP))
        tar.seek(0)
        self._source: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=tar) if start == _GZIP else tar
        self._label = label
        self._most = 2 * allowed  # the headers count as well
        self._position = 0
        self._for_headers: int | None = None
        self.last_block = b""

    @contextmanager
    def reading_headers(self) -> Iterator[None]:
        """Bound what is read until the next member: tarfile would collect extended headers without end."""
        self._for_headers = _READ_LIMIT
        try:
            yield
        except (LookupError, TypeError, AttributeError, RecursionError) as error:  # tarfile's own, on broken headers
            raise tarfile.ReadError(f"a header cannot be read ({type(error).__name__})") from error
        self._for_headers = None

    def read(self, size: int) -> bytes:
        # Less than nothing would be all there is.
        if not 0 <= size <= _READ_LIMIT:
            raise WeblogUnsafeError(f"the weblog {self._label} has a header of {size} bytes")
        if self._for_headers is not None:
            self._for_headers -= size
            if self._for_headers < 0:
                raise WeblogUnsafeError(
                    f"the weblog {self._label} has headers of more than {_READ_LIMIT} bytes for a member"
                )
        return self._take(size)

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        self._position += len(data)
        if self._position > self._most:
            raise _too_large(self._label, self._most)
        if size == tarfile.BLOCKSIZE:
            self.last_block = data
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        """Skip forward; tarfile never has to go back, and a header that wants to is broken."""
        if position < self._position:
            raise WeblogDamagedError(f"the weblog {self._label} is damaged: a header points backwards")
        while position > self._position:
            if not self._take(min(_READ_LIMIT, position - self._position)):
                raise WeblogDamagedError(f"the weblog {self._label} is damaged: it ends inside a file")

    def drain(self) -> None:
        """Read to the end: gzip's checksum stands there."""
        while self._take(_READ_LIMIT):
            pass


class _Rules:
    """What a member may be, given those before it. Memory grows with folders and links, and with files' names."""

    def __init__(self, label: str, reserved: frozenset[str]) -> None:
        self._label = label
        self._reserved = reserved
        self._kinds: dict[tuple[str, ...], MemberKind] = {}

    @property
    def entries(self) -> int:
        """How many files, folders and links the members so far come to on disk."""
        return len(self._kinds)

    def check(self, info: tarfile.TarInfo) -> Member | None:
        """The member, if it passes; None for the tree's root itself."""
        path = self._path(info, info.name)
        if not path:
            if info.isdir():
                return None
            raise self._refuse(info, "has no name")
        if path[0] in self._reserved:
            raise self._refuse(info, "has a name that Conveyor needs for itself")
        for depth in range(1, len(path)):
            if self._kinds.setdefault(path[:depth], MemberKind.FOLDER) is not MemberKind.FOLDER:
                raise self._refuse(info, "goes through something that is no folder")
        member = self._member(info, path)
        before = self._kinds.get(path)
        both = {before, member.kind}
        if before is not None and both not in ({MemberKind.FOLDER}, {MemberKind.FILE}):
            raise self._refuse(info, f"would replace a {before}")
        self._kinds[path] = member.kind
        return member

    def _member(self, info: tarfile.TarInfo, path: tuple[str, ...]) -> Member:
        modified = int(min(max(info.mtime, 0), _LATEST) * 1_000_000_000)
        if info.isdir():
            return Member(MemberKind.FOLDER, path, modified=modified)
        if info.issym():
            self._check_link(info, path)
            return Member(MemberKind.LINK, path, text=info.linkname)
        if info.islnk():
            target = self._path(info, info.linkname)
            if self._kinds.get(target) not in (MemberKind.FILE, MemberKind.HARD_LINK):
                raise self._refuse(info, f"is a hard link to {info.linkname[:120]!r}, no file that came before it")
            return Member(MemberKind.HARD_LINK, path, target=target)
        if info.size < 0:
            raise self._refuse(info, f"has {info.size} bytes")
        if info.isreg() and not info.issparse():
            return Member(MemberKind.FILE, path, info.size, executable=bool(info.mode & 0o111), modified=modified)
        raise self._refuse(info, f"is neither file, folder nor link (type {info.type!r})")

    def _path(self, info: tarfile.TarInfo, name: str) -> tuple[str, ...]:
        if name.startswith("/") or "\0" in name:
            raise self._refuse(info, "has an absolute name")
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if ".." in parts:
            raise self._refuse(info, "leaves the tree")
        self._check_length(info, parts)
        return parts

    def _check_link(self, info: tarfile.TarInfo, path: tuple[str, ...]) -> None:
        text = info.linkname
        if not text or text.startswith("/") or "\0" in text:
            raise self._refuse(info, f"is a link out of the tree: {text[:120]!r}")
        parts = [part for part in text.split("/") if part not in ("", ".")]
        up = 0
        while up < len(parts) and parts[up] == "..":
            up += 1
        if up > len(path) - 1 or ".." in parts[up:]:
            raise self._refuse(info, f"is a link out of the tree: {text[:120]!r}")
        self._check_length(info, tuple(parts))
        if len(text.encode("utf-8", "surrogateescape")) >= _PATH_LIMIT:  # './' again and again counts here too
            raise self._refuse(info, "is a link whose text is too long")

    def _check_length(self, info: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        lengths = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
        if (
            len(parts) > _DEPTH_LIMIT
            or sum(lengths) + len(parts) > _PATH_LIMIT
            or max(lengths, default=0) > _NAME_LIMIT
        ):
            raise self._refuse(info, "has a name that is too long")

    def _refuse(self, info: tarfile.TarInfo, why: str) -> WeblogUnsafeError:
        name = info.name if len(info.name) <= 120 else info.name[:117] + "..."
        return WeblogUnsafeError(f"the weblog {self._label} is not safe to unpack: {name!r} {why}")
