"""Records of the manifest: of one entry, and of many entries of one directory, packed.

The records of a directory are kept by *chunk*: all of them together, or, if there are many, those whose names have the same
CRC modulo the number of chunks. A chunk is a chain of segments, each with a checksum; the last of several records of a name
counts.
"""

from __future__ import annotations

import operator
import os
import stat
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from conveyor.filesystem.treecopy.digest import ABSENT, CHECKSUM_SIZE, SIZE, checksum_of, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD = struct.Struct(f"<II{CHECKSUM_SIZE}s")  # the number of records, the bytes of names, the checksum of what follows
_FIXED = struct.Struct(f"<IqqQqQq{SIZE}s")
_SOURCE = struct.Struct(f"<IqqQq16x{SIZE}x")  # of the same, what is said of the source

# How finely file systems keep times, in nanoseconds: Lustre keeps seconds, ext4 with small inodes too, others less.
_GRAINS = (100, 1_000, 1_000_000, 10_000_000, 1_000_000_000)

_SECOND = 1_000_000_000  # nanoseconds
#: Times, in seconds since the epoch, that every file system keeps: from 1980 to 2038. NFSv3 knows none before 1970, FAT none
#: before 1980, ext4 with small inodes none after it; they take the nearest that they know, or a wrong one.
TIMES_OF_EVERY_FILE_SYSTEM = range(315_532_800, 1 << 31)

# Fields of a stat by their numbers, which takes less time than by their names.
_MODE, _INODE, _SIZE = stat.ST_MODE, stat.ST_INO, stat.ST_SIZE

#: The chunk that holds a directory's own record, under the name "".
DIR_RECORD = -1


class DamagedError(ValueError):
    """The bytes are not what was written."""


def is_kept(time: int, copied: int) -> bool:
    """Tell if a time, in nanoseconds, was kept as finely as a file system can, or is one that not every one can hold."""
    return (
        copied == time
        or any(copied == time - time % grain for grain in _GRAINS)
        or time // _SECOND not in TIMES_OF_EVERY_FILE_SYSTEM
    )


def keeps_time(source: os.stat_result, copy: os.stat_result) -> bool:
    """Tell if a copy has the source's modification time. That of a link, which some file systems cannot set, is let be."""
    return stat.S_ISLNK(source.st_mode) or is_kept(source.st_mtime_ns, copy.st_mtime_ns)


class Record(NamedTuple):
    """One entry. Times are in nanoseconds since the epoch.

    ``size`` is a file's length in bytes; in a directory's own record the number of its chunks. ``changed`` is the status
    change time (ctime). ``digest`` is that of a file's content (see ``content``) or of a link's text.
    """

    mode: int
    size: int
    modified: int
    source_inode: int
    source_changed: int
    copy_inode: int
    copy_changed: int
    digest: bytes = ABSENT

    def proves_source(self, status: os.stat_result) -> bool:
        """Tell if the source is as it was when it was copied."""
        now = source_fields(status)
        return now == self[:_OF_SOURCE] or (
            self.mode == status.st_mode and stat.S_ISDIR(self.mode) and now[2:] == self[2:_OF_SOURCE]
        )

    def proves_copy(self, status: os.stat_result) -> bool:
        """Tell if the copy is as it was written."""
        return (
            self.copy_changed == status.st_ctime_ns
            and self.copy_inode == status.st_ino
            and (stat.S_ISLNK(self.mode) or is_kept(self.modified, status.st_mtime_ns))
            and self._fits(status)
        )

    def _fits(self, status: os.stat_result) -> bool:
        return self.mode == status.st_mode and (self.size == status.st_size or stat.S_ISDIR(self.mode))


#: The first fields of the record of an entry other than a directory, from the stat of the source.
source_fields = operator.attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ino", "st_ctime_ns")
_OF_SOURCE = 5
_links = operator.attrgetter("st_nlink")

#: A directory's entry in its parent's chunk: that there is one. The rest is in its own record.
DIRECTORY = Record(stat.S_IFDIR, 0, 0, 0, 0, 0, 0)
#: The same, packed.
DIRECTORY_ROW = _FIXED.pack(*DIRECTORY)


def record_of(
    source: os.stat_result, copy: os.stat_result, digest: bytes = ABSENT, chunks: int | None = None
) -> Record:
    """The record of an entry that was copied: ``source`` as it was before, ``copy`` as it was when it was finished."""
    mode, size, modified, inode, changed = source_fields(source)
    return Record(
        mode, size if chunks is None else chunks, modified, inode, changed, copy.st_ino, copy.st_ctime_ns, digest
    )


def row_of(source: os.stat_result, copy: os.stat_result, digest: bytes) -> bytes:
    """The same record packed, as a *row*, which takes less time."""
    return _FIXED.pack(
        source[_MODE],
        source[_SIZE],
        source.st_mtime_ns,
        source[_INODE],
        source.st_ctime_ns,
        copy[_INODE],
        copy.st_ctime_ns,
        digest,
    )


def pack_dir_record(source: os.stat_result, copy: os.stat_result, chunks: int) -> bytes:
    """A segment of the record of a directory itself."""
    row = _FIXED.pack(*record_of(source, copy, chunks=chunks))
    return _HEAD.pack(1, 0, checksum_of(row)) + row


def pack(records: Mapping[str, Record]) -> bytes:
    """A segment of these records."""
    return pack_rows({name: _FIXED.pack(*record) for name, record in records.items()})


def pack_rows(rows: Mapping[str, bytes]) -> bytes:
    """The same of records that are packed already."""
    names = os.fsencode("\0".join(rows))
    body = names + b"".join(rows.values())
    return _HEAD.pack(len(rows), len(names), checksum_of(body)) + body


def unpack(segments: bytes) -> dict[str, Record]:
    """The records of a chunk by name; raises :class:`DamagedError`."""
    return {name: Record._make(fields) for name, fields in unpack_fields(segments).items()}


def unpack_fields(segments: bytes, form: struct.Struct = _FIXED) -> dict[str, tuple[Any, ...]]:
    """The same, but of each record its fields, or those that ``form`` has, as a mere tuple, which takes less time."""
    records: dict[str, tuple[Any, ...]] = {}
    for count, length, body in _bodies(segments):
        if count:
            names = os.fsdecode(body[:length]).split("\0")
            records.update(zip(names, form.iter_unpack(body[length:]), strict=True))
    return records


def unpack_rows(segments: bytes) -> dict[str, bytes]:
    """The same, but each record packed still."""
    return {name: _FIXED.pack(*fields) for name, fields in unpack_fields(segments).items()}


def unpack_sources(segments: bytes) -> dict[str, tuple[int, ...]]:
    """The same, but of each record what it says of the source, in the order of ``source_fields``."""
    return unpack_fields(segments, _SOURCE)


def record_in(row: bytes) -> Record:
    """The record that is packed in a row."""
    return Record._make(_FIXED.unpack(row))


def prove_sources(directory: int, recorded: Mapping[str, tuple[int, ...]]) -> bool:
    """Tell if the entries of these names in an open directory are all as ``unpack_sources`` tells of them.

    False also if a file has several names, since all of these have to be looked at.
    """
    look = os.stat
    try:
        found = [look(name, dir_fd=directory, follow_symlinks=False) for name in recorded]
    except FileNotFoundError:
        return False
    return list(map(source_fields, found)) == list(recorded.values()) and max(map(_links, found), default=1) == 1


def unpack_dir_record(segments: bytes) -> Record | None:
    """A directory's own record, None if there is none; raises :class:`DamagedError`."""
    if not segments:
        return None
    count, length, body = _bodies(segments)[-1]
    return Record._make(_FIXED.unpack(body)) if count == 1 and not length else None


def check(segments: bytes) -> None:
    """Raise :class:`DamagedError` unless the bytes are whole segments with the right checksums."""
    _bodies(segments)


def _bodies(segments: bytes) -> list[tuple[int, int, bytes]]:
    """Of each segment the number of its records, the bytes of their names, and both together."""
    if len(segments) >= _HEAD.size:  # mostly there is but one
        count, length, checksum = _HEAD.unpack_from(segments)
        body = segments[_HEAD.size :]
        if len(body) == length + count * _FIXED.size and checksum_of(body) == checksum:
            return [(count, length, body)]
    bodies, position = [], 0
    while position < len(segments):
        start = position + _HEAD.size
        if len(segments) < start:
            raise DamagedError("a segment's head is torn")
        count, length, checksum = _HEAD.unpack_from(segments, position)
        position = start + length + count * _FIXED.size
        body = segments[start:position]
        if len(segments) < position or checksum_of(body) != checksum:
            raise DamagedError("a segment is not what was written")
        bodies.append((count, length, body))
    return bodies


def directory_key(path: str) -> bytes:
    """The key of a directory in the manifest: short, however deep it is."""
    return digest_of(os.fsencode(path))


def chunk_of(name: bytes, chunks: int) -> int:
    """The chunk of its directory that a name is in."""
    return zlib.crc32(name) % chunks
