"""The headers of a tar, one for each member, as POSIX (ustar, pax), GNU tar and old tars write it.

Why not ``tarfile``: its reading of hostile headers takes quadratic time, goes round for ever, or sees another member than
other programs do in Python versions that we support (CVE-2024-6232, CVE-2025-8194, CVE-2025-13462). A weblog needs
little of it, and what programs read differently (CVE-2026-53655) is refused here.

Sources: POSIX.1-2017, pax, *ustar Interchange Format* and *pax Extended Header*; the manual of GNU tar, *Basic Tar Format*.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from conveyor.errors import WeblogUnsafeError
from conveyor.weblog.fields import SPACES, byte_sum, nanoseconds, read_number
from conveyor.weblog.formats import recognise
from conveyor.weblog.names import decode_name
from conveyor.weblog.plain import PlainHeaders
from conveyor.weblog.sparse import SPARSE_KEYS, STAR_PREFIX, SparseError, SparseRecords, check_map, read_old_map
from conveyor.weblog.stream import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.errors import ConveyorError
    from conveyor.weblog.sparse import Segment
    from conveyor.weblog.stream import Stream

FILES, HARD_LINK, SYMBOLIC_LINK, DIRECTORY = (b"0", b"\0", b"7"), b"1", b"2", b"5"
_OLD_FILE, _PAX, _PAX_FOR_ALL, _LONG_NAME, _LONG_LINK = b"\0", b"x", b"g", b"L", b"K"
_EXTENSIONS = {_PAX: _PAX, b"X": _PAX, _PAX_FOR_ALL: _PAX_FOR_ALL, _LONG_NAME: _LONG_NAME, _LONG_LINK: _LONG_LINK}
# GNU tar's: a sparse file, a volume's label, a folder with its list of names, the rest of a file of an earlier volume
_SPARSE, _LABEL, _LISTED_DIRECTORY, _CONTINUED = b"S", b"V", b"D", b"M"
_MOST_BYTES, _MOST_RECORDS = 1 << 20, 100  # of the extended headers of one member
# name, mode, size, modification time, checksum, type, link's text, magic, prefix
_FIELDS = struct.Struct("100s8s16x12s12s8sc100s6s82x155s12x")
_CHECKSUM = slice(148, 156)
_ZEROS = bytes(BLOCK)
_POSIX = b"ustar\0"
_BEFORE_1970 = re.compile(rb"[ 0]*-[0-9]+[ \0]*")  # as packers for Node write it
_INTEGER = re.compile(rb"-?[0-9]{1,20}")
_SEEN = (b"path", b"linkpath", b"size", b"mtime")  # the keywords that matter here
_CONTINUES = b"GNU.volume.offset"


class Header(NamedTuple):
    """The header of a member: ``size`` of its file in bytes, ``modified`` in nanoseconds since the epoch.

    ``stored`` bytes of content follow in the tar. In a sparse file they are its ``segments``; None if they are all of it.
    """

    name: str
    kind: bytes
    size: int = 0
    executable: bool = False
    modified: int = 0
    link: str = ""
    stored: int = 0
    segments: tuple[Segment, ...] | None = None


@dataclass
class _Extended:
    """The extended headers before a member: values by keyword, and the length of all of them in bytes.

    ``pax_identifies``: one of POSIX says a name, a size or a map. ``continues``: the member is the rest of a file.
    """

    names: dict[bytes, bytes] = field(default_factory=dict)
    kinds: set[bytes] = field(default_factory=set)
    sparse: SparseRecords = field(default_factory=SparseRecords)
    pax_identifies: bool = False
    continues: bool = False
    bytes: int = 0


class Headers:
    """Iterable over the headers of a tar; the caller reads or skips a member's content before the next header."""

    def __init__(self, stream: Stream, label: str) -> None:
        self._stream = stream
        self._label = label
        self._link_with_size = ("", 0)  # the last hard link whose header told a size, and where that header ended
        self.plain = PlainHeaders()  # of those that a caller may read itself, before it asks for the next header

    def __iter__(self) -> Iterator[Header]:
        """Yield every member's header, up to the end mark.

        Raises :class:`~conveyor.errors.WeblogDamagedError` if a header cannot be read or the mark is missing, and
        :class:`~conveyor.errors.WeblogUnsafeError` if it could be read in two ways, or is too long.
        """
        extended = _Extended()
        while block := self._next():
            kind = block[156:157]
            if kind in _EXTENSIONS:
                self._extend(extended, _EXTENSIONS[kind], self._size(block))
            elif kind == _LABEL:  # the tar's own name, and no member
                size = max(self._size(block), 0)
                self._stream.skip(size + -size % BLOCK)
            else:
                yield self._member(block, extended)
                if extended.bytes:
                    extended = _Extended()
        if extended.bytes:
            raise self._stream.damaged_error("it ends after a header that belongs to another")

    def _next(self) -> bytes:
        """Return the next header's block after checking its checksum; empty at the end mark."""
        block = self._stream.read(BLOCK)
        if len(block) < BLOCK:
            is_first = self._stream.position == len(block)
            if is_first and block:
                raise self._stream.damaged_error(recognise(block))
            raise self._stream.cut_short_error(
                "it is empty" if is_first else "it is cut off: it has no end-of-archive marker"
            )
        if block == _ZEROS:
            # The mark is two blocks: one alone is a header that was lost.
            if self._stream.read(BLOCK).strip(b"\0"):
                raise self._stream.damaged_error("it goes on after its end-of-archive marker")
            return b""
        written = block[_CHECKSUM]
        total = byte_sum(block) - sum(written) + SPACES
        if written != b"%06o\0 " % total:  # as nearly all programs write it
            signed = total - 256 * sum(byte > 127 for byte in block[: _CHECKSUM.start] + block[_CHECKSUM.stop :])
            if read_number(written) not in (total, signed):  # old tars added signed characters
                raise self._no_header_error(block)
        return block

    def _no_header_error(self, block: bytes) -> ConveyorError:
        if self._stream.position == BLOCK and not block[257:].startswith(_POSIX[:5]):
            return self._stream.damaged_error(recognise(block))
        name, end = self._link_with_size
        if name and end == self._stream.position - BLOCK:
            why = "is a hard link that has a content of its own (star -link-data), which few programs read"
            return unsafe_error(self._label, name, why)
        return self._stream.damaged_error("a header has a wrong checksum")

    def _member(self, block: bytes, extended: _Extended) -> Header:
        name, mode, size, modified, _, kind, link, magic, prefix = _FIELDS.unpack(block)
        path, to = _text(name), _text(link) if link[0] else ""
        if magic == _POSIX and prefix[0]:
            path = f"{_text(prefix[:STAR_PREFIX] if kind == _SPARSE else prefix)}/{path}"
        said = extended.names
        if b"path" in said:
            path = _text(said[b"path"], is_field=False)
        if extended.pax_identifies and not extended.kinds.isdisjoint((_LONG_NAME, _LONG_LINK)):
            self._refuse(path, "is told its name or size by extended headers of POSIX and of GNU tar")
        length = self._pax_number(said[b"size"]) if b"size" in said else self._number(size, "size")
        if length < 0:
            self._refuse(path, f"has {length} bytes")
        if path.endswith("/") and kind in FILES:  # old tars have no other mark of a directory
            if kind != _OLD_FILE or length:
                self._refuse(path, "is a file with the name of a folder")
            kind = DIRECTORY
        if kind == HARD_LINK and b"size" not in said and length:
            self._link_with_size = path, self._stream.position
            length = 0  # some programs tell the file's size here, and nearly none lets content follow
        header = Header(
            name=path,
            kind=kind,
            size=length,
            executable=bool(self._number(mode, "mode") & 0o111),
            modified=self._time(said, modified),
            link=_text(said[b"linkpath"], is_field=False) if b"linkpath" in said else to,
            stored=length,
        )
        if kind == _SPARSE or extended.sparse:
            return self._sparse(header, block, extended.sparse)
        if kind == _LISTED_DIRECTORY:  # who unpacks all of a tar needs no list of names
            return header._replace(kind=DIRECTORY, size=0)
        if kind == _CONTINUED or extended.continues:
            self._refuse(path, "is the rest of a file that begins in an earlier volume of a multi-volume tar")
        if length and kind not in FILES:
            self._refuse(path, f"is no file, and has {length} bytes")
        self.plain.learn(block)
        return header

    def _sparse(self, header: Header, block: bytes, records: SparseRecords) -> Header:
        """Return the header of a sparse file, given that of what the tar has of it: its map, in part, and its segments."""
        name = header.name if records.name is None else _text(records.name, is_field=False)
        start = self._stream.position
        try:
            if header.kind == _SPARSE and not records:
                size, segments = read_old_map(block, self._blocks(_MOST_BYTES))
                in_content = self._stream.position - start if block[257:263] == _POSIX else 0  # star's size has the map
            elif header.kind in FILES:
                size, segments = records.size, records.segments(self._blocks(header.stored))
                in_content = self._stream.position - start
            else:
                raise SparseError("is told to be sparse, and is no file")
            check_map(segments, size, header.stored - in_content)
        except SparseError as error:
            self._refuse(name, str(error))
        return header._replace(
            name=name, kind=FILES[0], size=size, stored=header.stored - in_content, segments=tuple(segments)
        )

    def _blocks(self, most: int) -> Iterator[bytes]:
        """Yield the blocks that follow, up to ``most`` bytes."""
        for _ in range(min(most, _MOST_BYTES) // BLOCK):
            yield self._stream.exactly(BLOCK, "the map of a sparse file")

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
        content = self._stream.exactly(size, "a header")
        self._stream.skip(-size % BLOCK)
        if kind in (_LONG_NAME, _LONG_LINK):
            self._say(extended, b"path" if kind == _LONG_NAME else b"linkpath", content.split(b"\0", 1)[0])
            return
        for key, value in self._records(content):
            matters = key in _SEEN or key.startswith(SPARSE_KEYS)
            if matters and kind == _PAX_FOR_ALL and key != b"mtime":
                self._refuse("a header for all members", f"says their {key.decode(errors='replace')}")
            if matters and kind == _PAX:
                self._say(extended, key, value)
                extended.pax_identifies |= key != b"mtime"
            extended.continues |= key == _CONTINUES

    def _say(self, extended: _Extended, key: bytes, value: bytes) -> None:
        """Record a value of an extended header; refuse a second one, since programs differ in which they believe."""
        if key in extended.names:
            self._refuse(_text(value), f"is told a {key.decode()} twice")
        if not key.startswith(SPARSE_KEYS):
            extended.names[key] = value
            return
        try:
            extended.sparse.add(key, value)
        except SparseError as error:
            self._refuse("a member", str(error))

    def _records(self, content: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keyword and value of each record of a pax header: its own length in bytes, space, keyword=value, newline."""
        content = content.rstrip(b"\0")  # some programs fill the block
        position = count = 0
        while position < len(content):
            space = content.find(b" ", position, position + 8)
            digits = content[position:space] if space > 0 else b""
            end = position + int(digits) if digits.isdigit() else 0
            key, equals, value = content[space + 1 : end - 1].partition(b"=")
            if not (space < end <= len(content)) or content[end - 1 : end] != b"\n" or not (key and equals):
                raise self._stream.damaged_error("an extended header cannot be read")
            count += not key.startswith(SPARSE_KEYS)  # of which there is one for each hole
            if count > _MOST_RECORDS:
                self._refuse("an extended header", f"has more than {_MOST_RECORDS} records")
            yield key, value
            position = end

    def _size(self, block: bytes) -> int:
        return self._number(_FIELDS.unpack(block)[2], "size")

    def _number(self, digits: bytes, what: str) -> int:
        number = read_number(digits)
        if number is None:
            raise self._stream.damaged_error(f"a header's {what} is no number")
        return number

    def _pax_number(self, digits: bytes) -> int:
        if not _INTEGER.fullmatch(digits):
            raise self._stream.damaged_error("a header's size is no number")
        return int(digits)

    def _time(self, said: dict[bytes, bytes], modified: bytes) -> int:
        if b"mtime" not in said:
            found = read_number(modified)
            if found is not None:
                return nanoseconds(found)
            if _BEFORE_1970.fullmatch(modified):
                return 0
            raise self._stream.damaged_error("a header's time is no number")
        try:
            return nanoseconds(float(said[b"mtime"][:64]))
        except (ValueError, OverflowError):
            raise self._stream.damaged_error("a header's time is no number") from None

    def _refuse(self, name: str, why: str) -> NoReturn:
        raise unsafe_error(self._label, name, why)


def unsafe_error(label: str, name: str, why: str) -> WeblogUnsafeError:
    """Return the error that refuses one member."""
    shown = name if len(name) <= 120 else name[:117] + "..."
    return WeblogUnsafeError(f"the weblog {label} is not safe to unpack: {shown!r} {why}")


def _text(value: bytes, *, is_field: bool = True) -> str:
    """Decode a name; in a fixed field of a header it ends at the first NUL."""
    return decode_name(value.split(b"\0", 1)[0] if is_field else value)
