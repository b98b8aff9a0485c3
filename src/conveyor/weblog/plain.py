"""Files whose headers are like those of earlier ones: nearly all of a weblog's, read with a fraction of the work.

Whatever is unusual about a member is left to :mod:`conveyor.weblog.headers`, which alone says what is wrong with it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from conveyor.weblog.fields import SPACES, byte_sum, nanoseconds
from conveyor.weblog.stream import BLOCK

_REST, _LINK, _PREFIX = 156, 157, 345  # where a header has what stands after its checksum, the type at first
_FILE, _PAX = ord("0"), ord("x")
# Name (up to its last slash, and a part that needs no further look), mode, size, time and checksum as nearly all programs
# write them. Where the name's field is not as long as it has to be, the match ends elsewhere.
_FIELDS = re.compile(
    rb"([^\0]{1,99})/([A-Za-z0-9_][\w.+-]*)\0*([0-7]{7})\0.{16}([0-7]{11})[\0 ]([0-7]{11})[\0 ]([0-7]{6})\0 ",
    re.ASCII | re.DOTALL,
)
# The header of POSIX that tarfile writes before a file for the fraction of its time: size and checksum, and all it says.
_TIME_FIELDS = re.compile(rb".{124}([0-7]{11})[\0 ].{12}([0-7]{6})\0 ", re.DOTALL)
_TIME = re.compile(rb"([0-9]{2}) mtime=([0-9]{1,11}\.[0-9]{1,30})\n\0*")


class PlainFile(NamedTuple):
    """A file: its name up to the last slash and after it, and its ``size`` bytes, which begin at ``start``.

    ``modified`` is in nanoseconds since the epoch.
    """

    folder: bytes
    name: bytes
    executable: bool
    modified: int
    start: int
    size: int


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
        found, end = _FIELDS.match(content, at), at + BLOCK
        if found is None or found.end() != at + _REST or bytes(content[at + _REST : end]) != self._rest:
            return None
        folder, name, mode, size, modified, total = found.groups()
        if int(total, 8) != byte_sum(content[at : at + 148]) + self._sum:
            return None
        when = nanoseconds(int(modified, 8)) if exact is None else exact
        return PlainFile(folder, name, int(mode, 8) & 0o111 != 0, when, end, int(size, 8))


def _read_time(content: memoryview, at: int) -> int | None:
    """Return the time in nanoseconds that a header of POSIX says, if one stands there and says nothing else."""
    fields, said = _TIME_FIELDS.match(content, at), _TIME.fullmatch(content, at + BLOCK, at + 2 * BLOCK)
    if fields is None or said is None or not int(fields[1], 8) == int(said[1]) == said.end(2) + 1 - said.start():
        return None
    if int(fields[2], 8) != byte_sum(content[at : at + 148]) + byte_sum(content[at + _REST : at + BLOCK]) + SPACES:
        return None
    return nanoseconds(float(said[2]))
