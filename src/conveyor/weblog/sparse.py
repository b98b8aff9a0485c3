"""The maps of sparse files: which segments of such a file a tar has; the rest are holes.

Sources: the manual of GNU tar, *Storing Sparse Files* (pax 0.0, 0.1, 1.0) and *Basic Tar Format* (old GNU, star). A map that
two programs could read as two files is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conveyor.weblog.fields import read_number
from conveyor.weblog.stream import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Offset and length of a segment in its file, in bytes.
Segment = tuple[int, int]

#: The beginning of all keywords of pax headers that are about a sparse file.
SPARSE_KEYS = b"GNU.sparse."
#: Bytes of the prefix of a name in star's header of a sparse file; other things follow there.
STAR_PREFIX = 107
_MAJOR, _MINOR, _MAP, _COUNT, _NAME = (SPARSE_KEYS + key for key in (b"major", b"minor", b"map", b"numblocks", b"name"))
_PAIR = (SPARSE_KEYS + b"offset", SPARSE_KEYS + b"numbytes")
_SIZES = (SPARSE_KEYS + b"size", SPARSE_KEYS + b"realsize")
_MOST = 10_000  # segments of a file
_DIGITS = re.compile(rb"[0-9]{1,20}")
# In an old header: where the map begins, where a byte says that it goes on, and where the file's size is.
_GNU_MAP, _GNU_GOES_ON, _GNU_SIZE = slice(386, 482), 482, slice(483, 495)
_STAR_MAP, _STAR_GOES_ON, _STAR_SIZE = slice(356, 452), 355, slice(452, 464)
_STAR_ATIME, _STAR_CTIME = slice(476, 488), slice(488, 500)
_OLD = 24  # bytes of a segment there
_MORE_MAP, _MORE_GOES_ON = slice(0, 504), 504  # in the blocks that follow


class SparseError(Exception):
    """A map that does not say clearly what the file is; the text says why, as a predicate."""


class SparseRecords:
    """What the records of a pax header say of a sparse file."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._pairs: list[bytes] = []

    def add(self, key: bytes, value: bytes) -> None:
        """Add a record. Raises SparseError if it contradicts another."""
        if key in _PAIR:  # version 0.0 says both again and again, in turn
            if key != _PAIR[len(self._pairs) % 2]:
                raise SparseError("is a sparse file with a map that cannot be read")
            check_count(len(self._pairs) // 2)
            self._pairs.append(value)
        elif key in self._values:
            raise SparseError(f"is told a {key.decode(errors='replace')} twice")
        else:
            self._values[key] = value

    def __bool__(self) -> bool:
        return bool(self._values or self._pairs)

    @property
    def name(self) -> bytes | None:
        """The file's name, if the header's own is one for programs that know no sparse files."""
        return self._values.get(_NAME)

    @property
    def size(self) -> int:
        """The file's size in bytes, with its holes."""
        sizes = {self._values[key] for key in _SIZES if key in self._values}
        if len(sizes) != 1:
            raise SparseError("is a sparse file that does not say its size, or two of them")
        return _decimal(sizes.pop())

    def segments(self, content: Iterator[bytes]) -> list[Segment]:
        """Return the map; in version 1.0 it stands in the first blocks of the content."""
        version = self._values.get(_MAJOR, b"0"), self._values.get(_MINOR)
        if version == (b"1", b"0"):
            found = _read_map(content)
        elif version[0] != b"0" or (_MAP in self._values and self._pairs):
            raise SparseError("is a sparse file of a version that is not known")
        else:
            check_count(self._values.get(_MAP, b"").count(b",") // 2)
            found = _pairs(self._values[_MAP].split(b",") if _MAP in self._values else self._pairs)
        if _COUNT in self._values and _decimal(self._values[_COUNT]) != len(found):
            raise SparseError("is a sparse file with a map of another length than it says")
        return found


def read_old_map(block: bytes, more: Iterator[bytes]) -> tuple[int, list[Segment]]:
    """Return the file's size in bytes and the map that stand in its header and the blocks that follow.

    These count as content in star's headers, and not in those of GNU tar.
    """
    if block[257:263] == b"ustar ":
        size, part, goes_on = block[_GNU_SIZE], block[_GNU_MAP], block[_GNU_GOES_ON] != 0
    elif block[_STAR_ATIME].endswith(b" ") and block[_STAR_CTIME].endswith(b" "):
        size, part, goes_on = block[_STAR_SIZE], block[_STAR_MAP], block[_STAR_GOES_ON] != 0
        if block[345] or not part[10]:  # as newer ones do it: all of the map follows
            part, goes_on = b"", True
    else:
        raise SparseError("is a sparse file of a format that is not known")
    found = _old_segments(part, goes_on=goes_on)
    while goes_on:
        block = next(more)
        goes_on = block[_MORE_GOES_ON] != 0
        found += _old_segments(block[_MORE_MAP], goes_on=goes_on)
        check_count(len(found))
    return _field(size), found


def _old_segments(part: bytes, *, goes_on: bool) -> list[Segment]:
    """Return the segments of a part of a map, of which each has 12 bytes for its offset and 12 for its length."""
    starts = [at for at in range(0, len(part), _OLD) if part[at + _OLD // 2]]
    if starts != list(range(0, len(part) if goes_on else len(starts) * _OLD, _OLD)):
        raise SparseError("is a sparse file with a map that has an end, and goes on")
    middle = _OLD // 2
    return [(_field(part[at : at + middle]), _field(part[at + middle : at + _OLD])) for at in starts]


def _read_map(content: Iterator[bytes]) -> list[Segment]:
    """Read a map of decimal numbers, a line each, their count first; zeros fill up its last block."""
    lines: list[bytes] = []
    rest, wanted = b"", 1
    while len(lines) < wanted:
        *more, rest = (rest + next(content, b"")).split(b"\n")
        if not more:  # no number is as long as a block
            raise SparseError("is a sparse file with a map that cannot be read")
        lines += more
        check_count(_decimal(lines[0]))
        wanted = 1 + 2 * _decimal(lines[0])
    if len(lines) > wanted:
        raise SparseError("is a sparse file with a map of another length than it says")
    return _pairs(lines[1:])


def check_count(segments: int) -> None:
    """Raise SparseError if a file has too many segments."""
    if segments > _MOST:
        raise SparseError(f"is a sparse file of more than {_MOST} segments")


def _decimal(digits: bytes) -> int:
    """Read a decimal number. Raises SparseError."""
    if not _DIGITS.fullmatch(digits):
        raise SparseError("is a sparse file with a map that is no number")
    return int(digits)


def _field(digits: bytes) -> int:
    found = read_number(digits)
    if found is None:
        raise SparseError("is a sparse file with a map that is no number")
    return found


def _pairs(numbers: Sequence[bytes]) -> list[Segment]:
    """Return the segments of offsets and lengths in turn."""
    if len(numbers) % 2:
        raise SparseError("is a sparse file with a map that cannot be read")
    return [(_decimal(offset), _decimal(length)) for offset, length in zip(numbers[::2], numbers[1::2], strict=True)]


def check_map(segments: Sequence[Segment], size: int, stored: int) -> None:
    """Check that a map is in order, within a file of ``size`` bytes, and has the ``stored`` bytes of the tar.

    Raises SparseError. Some programs begin each segment with a new block and others do not, so that all but the last have
    to be whole blocks.
    """
    end = last = total = 0
    for offset, length in segments:
        if offset < end or length < 0 or offset + length > size:
            raise SparseError("is a sparse file with a map that is not in order, or goes beyond its end")
        if length:
            if last % BLOCK:
                raise SparseError("is a sparse file with segments that are no whole blocks")
            last = length
        end, total = offset + length, total + length
    if total != stored:
        raise SparseError(f"is a sparse file with a map of {total} bytes, and has {stored}")
