"""Files whose headers are like those of earlier ones: nearly all of a weblog's, read with a fraction of the work.

Whatever is unusual about a member is left to :mod:`conveyor.weblog.headers`, which alone says what is wrong with it.
"""

from __future__ import annotations

import re
import struct
from typing import TypeAlias

from conveyor.weblog.fields import SPACES, byte_sum, nanoseconds, read_number, read_time
from conveyor.weblog.stream import BLOCK

_REST, _LINK, _PREFIX = 156, 157, 345  # where a header has what stands after its checksum, the type at first
_FILE, _PAX = ord("0"), ord("x")
_FIELDS = struct.Struct("100s8s16x12s12s8s356s")  # name, mode, size, time, checksum, and what stands after it
# The header of POSIX that tarfile writes before a file for the fraction of its time: size and checksum, and all it says.
_TIME_FIELDS = re.compile(rb".{124}([0-7]{11})[\0 ].{12}([0-7]{6})\0 ", re.DOTALL)
_TIME = re.compile(rb"([0-9]{2}) mtime=([0-9]{1,11}\.[0-9]{1,30})\n\0*")


#: A file: its name up to the last slash and after it, True if it is executable, its time in nanoseconds since the epoch,
#: the place where its content begins, and the length of that in bytes. A bare tuple is made in a quarter of the time.
PlainFile: TypeAlias = tuple[bytes, str, bool, int, int, int]


class PlainHeaders:
    """Reader of headers that are like one that it was shown."""

    def __init__(self) -> None:
        self._rest = b""
        self._sum = 0

    def learn(self, block: bytes) -> None:
        """Take a header for an example, if it is that of a file, and has no link and no prefix to its name."""
        rest = block[_REST:]
        if rest != self._rest and (block[_REST], block[_LINK], block[_PREFIX]) == (_FILE, 0, 0):
            self._rest, self._sum = rest, byte_sum(rest) + SPACES

    def read(self, content: memoryview, at: int) -> PlainFile | None:
        """Return the file whose header stands at a place of what comes next in the tar.

        None if it differs from the known one in more than name, owner, mode, size, time and checksum, or these are unusual.
        """
        exact = None
        if len(content) > at + _REST and content[at + _REST] == _PAX:
            exact = _read_time(content, at)
            if exact is None:
                return None
            at += 2 * BLOCK
        start = at + BLOCK
        if len(content) < start:
            return None
        field, mode, size, modified, total, rest = _FIELDS.unpack_from(content, at)
        # As nearly all programs write it; the rest is known, and so is its sum.
        if rest != self._rest or total != b"%06o\0 " % (byte_sum(content[at : at + 148]) + self._sum):
            return None
        folder, _, name = field.rstrip(b"\0").rpartition(b"/")
        digits, permissions = size.rstrip(b"\0 "), read_number(mode)
        when = read_time(modified) if exact is None else exact
        if permissions is None or when is None or not digits.isdigit() or b"\0" in name:
            return None
        try:
            return folder, name.decode("ascii"), permissions & 0o111 != 0, when, start, int(digits, 8)
        except ValueError:  # a name with other characters, or no octal number
            return None


def _read_time(content: memoryview, at: int) -> int | None:
    """Return the time in nanoseconds that a header of POSIX says, if one stands there and says nothing else."""
    fields, said = _TIME_FIELDS.match(content, at), _TIME.fullmatch(content, at + BLOCK, at + 2 * BLOCK)
    if fields is None or said is None or not int(fields[1], 8) == int(said[1]) == said.end(2) + 1 - said.start():
        return None
    if int(fields[2], 8) != byte_sum(content[at : at + 148]) + byte_sum(content[at + _REST : at + BLOCK]) + SPACES:
        return None
    return nanoseconds(float(said[2]))
