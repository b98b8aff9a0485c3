"""Inflating: gzip as RFC 1952 has it, and the digest of what was read."""

from __future__ import annotations

import errno
import gzip
import io
import random

import pytest
from xxhash import xxh3_128_hexdigest

from conveyor.weblog.inflate import InflatedTar, InflateError

NOISE = random.Random(1).randbytes(3_000_000)
ONE = gzip.compress(b"one")


def drain(source: InflatedTar) -> bytes:
    data = b""
    while block := source.take():
        data += block
    return data


def read(content: bytes) -> bytes:
    source = InflatedTar(io.BytesIO(content))
    data = drain(source)
    assert source.digest == f"xxh3-128:{xxh3_128_hexdigest(content)}"
    return data


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", b""),
        (b"plain", b"plain"),
        (NOISE, NOISE),
        (gzip.compress(NOISE), NOISE),
        (gzip.compress(bytes(9_000_000)), bytes(9_000_000)),
        (ONE + gzip.compress(b"two"), b"onetwo"),
        (ONE + bytes(2_000_000) + gzip.compress(b"two") + bytes(5), b"onetwo"),
        (gzip.compress(b"") + ONE, b"one"),
        (gzip.compress(NOISE) + gzip.compress(NOISE), NOISE + NOISE),
    ],
    ids=[
        "nothing",
        "plain",
        "long",
        "gzipped",
        "zeros",
        "two members",
        "zeros between",
        "an empty member",
        "long ones",
    ],
)
def test_what_is_gzipped_is_inflated_and_what_is_not_is_as_it_is(content: bytes, expected: bytes) -> None:
    """All members of a gzip file come one after the other; zeros after one are passed over."""
    assert read(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        ONE[:-1],
        ONE[:12],
        ONE[:2],
        ONE[:-8] + bytes(4) + ONE[-4:],
        ONE[:-4] + bytes(4),
        ONE + b"garbage",
        ONE + bytes(9) + b"garbage",
        ONE + ONE[:1],
        gzip.compress(NOISE)[:-1_000_000],
        b"\x1f\x8b" + NOISE,
    ],
    ids=["no end", "no data", "mark", "checksum", "length", "garbage", "zeros, garbage", "half a mark", "cut", "noise"],
)
def test_what_is_not_whole_is_damaged(content: bytes) -> None:
    """An end that is missing, a checksum or a length that is wrong, and anything but zeros after a member are errors."""
    with pytest.raises(InflateError):
        read(content)


class Broken:
    """A file that gives its first bytes, and then an error."""

    def __init__(self) -> None:
        self._parts = [gzip.compress(NOISE)[:1_000_000]]

    def read(self, size: int, /) -> bytes:
        if not self._parts:
            raise OSError(errno.EIO, "it broke")
        return self._parts.pop()


def test_an_error_of_the_file_is_raised_where_its_bytes_are_asked_for() -> None:
    """What was read before comes first; then what reading the file raised is raised."""
    source = InflatedTar(Broken())
    assert source.take()
    with pytest.raises(OSError, match="it broke"):
        drain(source)
