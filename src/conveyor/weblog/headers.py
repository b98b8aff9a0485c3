"""The headers of a tar, one for each member, as POSIX (ustar, pax), GNU tar and old tars write it.

Why not ``tarfile``: its reading of hostile headers takes quadratic time, goes round for ever, or sees another member than
other programs do in Python versions that we support (CVE-2024-6232, CVE-2025-8194, CVE-2025-13462). A weblog needs
little of it, and what programs read differently (CVE-2026-53655) is refused here.

Sources: POSIX.1-2017, pax, *ustar Interchange Format* and *pax Extended Header*; the manual of GNU tar, *Basic Tar Format*.
"""

from __future__ import annotations

import functools
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, NoReturn
from zlib import adler32

from conveyor.errors import WeblogUnsafeError
from conveyor.weblog.stream import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.weblog.stream import Stream

FILES, HARD_LINK, SYMBOLIC_LINK, DIRECTORY = (b"0", b"\0", b"7"), b"1", b"2", b"5"
_OLD_FILE, _PAX, _PAX_FOR_ALL, _LONG_NAME, _LONG_LINK = b"\0", b"x", b"g", b"L", b"K"
_EXTENSIONS = (_PAX, _PAX_FOR_ALL, _LONG_NAME, _LONG_LINK)
_MOST_BYTES, _MOST_RECORDS = 1 << 20, 100  # of the extended headers of one member
_LATEST = 1 << 33  # seconds since the epoch, in the year 2242; pax headers may say anything
# name, mode, size, modification time, checksum, type, link's text, magic, prefix
_FIELDS = struct.Struct("100s8s16x12s12s8sc100s6s82x155s12x")
_CHECKSUM = slice(148, 156)
_ZEROS = bytes(BLOCK)
_POSIX = b"ustar\0"
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_INTEGER = re.compile(rb"-?[0-9]{1,20}")
_SEEN = (b"path", b"linkpath", b"size", b"mtime")  # the keywords that matter here


class Header(NamedTuple):
    """The header of a member: ``size`` of its content in bytes, ``modified`` in nanoseconds since the epoch."""

    name: str
    kind: bytes
    size: int = 0
    executable: bool = False
    modified: int = 0
    link: str = ""


@dataclass
class _Extended:
    """The extended headers before a member: values by keyword, and the length of all of them in bytes."""

    names: dict[bytes, bytes] = field(default_factory=dict)
    kinds: set[bytes] = field(default_factory=set)
    sparse: bool = False
    bytes: int = 0


class Headers:
    """Iterable over the headers of a tar; the caller reads or skips a member's content before the next header."""

    def __init__(self, stream: Stream, label: str) -> None:
        self._stream = stream
        self._label = label

    def __iter__(self) -> Iterator[Header]:
        """Yield every member's header, up to the end mark.

        Raises :class:`~conveyor.errors.WeblogDamagedError` if a header cannot be read or the mark is missing, and
        :class:`~conveyor.errors.WeblogUnsafeError` if it could be read in two ways, or is too long.
        """
        extended = _Extended()
        while block := self._next():
            kind = block[156:157]
            if kind in _EXTENSIONS:
                self._extend(extended, kind, self._size(block))
            else:
                yield self._member(block, extended)
                if extended.bytes:
                    extended = _Extended()
        if extended.bytes:
            raise self._stream.damaged_error("it ends after a header that belongs to another")

    def _next(self) -> bytes:
        """Return the next header's block after checking its checksum; empty at the end mark."""
        is_first = not self._stream.position
        block = self._stream.read(BLOCK)
        if len(block) < BLOCK:
            if is_first and block:
                raise self._stream.damaged_error(f"it is no tar archive: it has only {len(block)} bytes")
            raise self._stream.cut_short_error("it is empty" if is_first else "it ends without the mark of its end")
        if block == _ZEROS:
            # The mark is two blocks: one alone is a header that was lost.
            if self._stream.read(BLOCK).strip(b"\0"):
                raise self._stream.damaged_error("it goes on after the mark of its end")
            return b""
        written = block[_CHECKSUM]
        total = _sum(block) - sum(written) + 8 * ord(" ")
        if written != b"%06o\0 " % total:  # as nearly all programs write it
            signed = total - 256 * sum(byte > 127 for byte in block[: _CHECKSUM.start] + block[_CHECKSUM.stop :])
            if self._number(written, "checksum") not in (total, signed):  # old tars added signed characters
                raise self._stream.damaged_error("a header has a wrong checksum")
        return block

    def _member(self, block: bytes, extended: _Extended) -> Header:
        name, mode, size, modified, _, kind, link, magic, prefix = _FIELDS.unpack(block)
        path, to = _text(name), _text(link) if link[0] else ""
        if magic == _POSIX and prefix[0]:
            path = f"{_text(prefix)}/{path}"
        said = extended.names
        if b"path" in said:
            path = _text(said[b"path"], is_field=False)
        if extended.sparse:
            self._refuse(path, "is a sparse file")
        length = self._pax_number(said[b"size"]) if b"size" in said else self._number(size, "size")
        if length < 0:
            self._refuse(path, f"has {length} bytes")
        if path.endswith("/") and kind in FILES:  # old tars have no other mark of a directory
            if kind != _OLD_FILE or length:
                self._refuse(path, "is a file with the name of a folder")
            kind = DIRECTORY
        if kind == HARD_LINK and b"size" not in said:
            length = 0  # some programs tell the file's size here, and none lets content follow
        if length and kind not in FILES:
            self._refuse(path, f"is no file, and has {length} bytes")
        return Header(
            name=path,
            kind=kind,
            size=length,
            executable=bool(self._number(mode, "mode") & 0o111),
            modified=self._time(said, modified),
            link=_text(said[b"linkpath"], is_field=False) if b"linkpath" in said else to,
        )

    def _extend(self, extended: _Extended, kind: bytes, size: int) -> None:
        if size < 0:
            self._refuse("an extended header", f"has {size} bytes")
        extended.bytes += BLOCK + size
        if extended.bytes > _MOST_BYTES:
            raise WeblogUnsafeError(
                f"the weblog {self._label} has headers of more than {_MOST_BYTES} bytes for a member"
            )
        if kind in extended.kinds and kind != _PAX_FOR_ALL:
            raise self._stream.damaged_error("a member has two extended headers of one kind")
        extended.kinds.add(kind)
        if _PAX in extended.kinds and not extended.kinds.isdisjoint((_LONG_NAME, _LONG_LINK)):
            self._refuse("a member", "has extended headers of POSIX and of GNU tar")
        content = self._stream.exactly(size, "a header")
        self._stream.skip(-size % BLOCK)
        if kind in (_LONG_NAME, _LONG_LINK):
            self._say(extended, b"path" if kind == _LONG_NAME else b"linkpath", content.split(b"\0", 1)[0])
            return
        for key, value in self._records(content):
            if key.startswith(b"GNU.sparse."):
                extended.sparse = True
            elif key in _SEEN:
                if kind == _PAX_FOR_ALL and key != b"mtime":
                    self._refuse("a header for all members", f"says their {key.decode()}")
                if kind == _PAX:
                    self._say(extended, key, value)

    def _say(self, extended: _Extended, key: bytes, value: bytes) -> None:
        """Record a value of an extended header; refuse a second one, since programs differ in which they believe."""
        if key in extended.names:
            self._refuse(_text(value), f"is told a {key.decode()} twice")
        extended.names[key] = value

    def _records(self, content: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keyword and value of each record of a pax header: its own length in bytes, space, keyword=value, newline."""
        content = content.rstrip(b"\0")  # some programs fill the block
        position = count = 0
        while position < len(content):
            count += 1
            if count > _MOST_RECORDS:
                self._refuse("an extended header", f"has more than {_MOST_RECORDS} records")
            space = content.find(b" ", position, position + 8)
            digits = content[position:space] if space > 0 else b""
            end = position + int(digits) if digits.isdigit() else 0
            key, equals, value = content[space + 1 : end - 1].partition(b"=")
            if not (space < end <= len(content)) or content[end - 1 : end] != b"\n" or not (key and equals):
                raise self._stream.damaged_error("an extended header cannot be read")
            yield key, value
            position = end

    def _size(self, block: bytes) -> int:
        return self._number(_FIELDS.unpack(block)[2], "size")

    def _number(self, digits: bytes, what: str) -> int:
        number = _number(digits)
        if number is None:
            raise self._stream.damaged_error(f"a header's {what} is no number")
        return number

    def _pax_number(self, digits: bytes) -> int:
        if not _INTEGER.fullmatch(digits):
            raise self._stream.damaged_error("a header's size is no number")
        return int(digits)

    def _time(self, said: dict[bytes, bytes], modified: bytes) -> int:
        try:
            moment = float(said[b"mtime"][:64]) if b"mtime" in said else self._number(modified, "time")
            return int(min(max(moment, 0), _LATEST) * 1_000_000_000)
        except (ValueError, OverflowError):
            raise self._stream.damaged_error("a header's time is no number") from None

    def _refuse(self, name: str, why: str) -> NoReturn:
        raise unsafe_error(self._label, name, why)


@functools.lru_cache(maxsize=1000)  # modes, times and sizes are much the same from member to member
def _number(digits: bytes) -> int | None:
    """Read a field's number: octal, or binary if its first bit is set (GNU tar); None if it is neither."""
    if digits[0] in (0x80, 0xFF):
        return int.from_bytes(digits[1:], "big", signed=False) - (1 << 8 * (len(digits) - 1)) * (digits[0] == 0xFF)
    found = _OCTAL.fullmatch(digits)
    return None if found is None else int(found[1] or b"0", 8)


def _sum(block: bytes) -> int:
    """Add up a header's bytes, faster than ``sum``: adler32's lower half is the sum plus one, modulo 65521.

    The sum of 256 bytes is less than that. Source: RFC 1950, section 2.2.
    """
    return (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2


def unsafe_error(label: str, name: str, why: str) -> WeblogUnsafeError:
    """Return the error that refuses one member."""
    shown = name if len(name) <= 120 else name[:117] + "..."
    return WeblogUnsafeError(f"the weblog {label} is not safe to unpack: {shown!r} {why}")


def _text(value: bytes, *, is_field: bool = True) -> str:
    """Decode a name as the operating system would; in a fixed field of a header it ends at the first NUL."""
    return (value.split(b"\0", 1)[0] if is_field else value).decode("utf-8", "surrogateescape")
