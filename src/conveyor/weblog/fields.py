"""The fields of a tar's header: numbers, and the sum that checks it.

Source: POSIX.1-2017, pax, *ustar Interchange Format*; the manual of GNU tar, *Basic Tar Format*.
"""

from __future__ import annotations

import functools
import re
from zlib import adler32

SPACES = 8 * ord(" ")  # the checksum's own bytes count as these
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_LATEST = 1 << 33  # seconds since the epoch, in the year 2242; pax headers may say anything


@functools.lru_cache(maxsize=1000)  # modes, times and sizes are much the same from member to member
def read_number(digits: bytes) -> int | None:
    """Read a field's number: octal, or binary if its first bit is set (GNU tar); None if it is neither."""
    if digits[0] in (0x80, 0xFF):
        number = int.from_bytes(digits[1:], "big") - (1 << 8 * (len(digits) - 1)) * (digits[0] == 0xFF)
        # star and others write a time before 1970 as an unsigned number of 64 bits.
        return number - (1 << 64) if 1 << 63 <= number < 1 << 64 else number
    found = _OCTAL.fullmatch(digits)
    return None if found is None else int(found[1] or b"0", 8)


@functools.lru_cache(maxsize=1000)
def read_time(digits: bytes) -> int | None:
    """Read a field's number as a time that a file can have, in nanoseconds; None if it is none."""
    number = read_number(digits)
    return None if number is None else nanoseconds(number)


def byte_sum(part: bytes | memoryview) -> int:
    """Add up the bytes of a header or a part of it, faster than ``sum``.

    adler32's lower half is the sum plus one, modulo 65521; that of 256 bytes is less. Source: RFC 1950, section 2.2.
    """
    if len(part) <= 256:
        return (adler32(part) & 0xFFFF) - 1
    return (adler32(part[:256]) & 0xFFFF) + (adler32(part[256:]) & 0xFFFF) - 2


def nanoseconds(seconds: float) -> int:
    """Return a time that a file can have. Raises :class:`ValueError` or :class:`OverflowError` if it is no number."""
    return int(min(max(seconds, 0), _LATEST) * 1_000_000_000)
