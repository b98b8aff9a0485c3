"""Reading ahead in a thread: gzip as RFC 1952 has it, errors where they are asked for, and no thread that is left."""

from __future__ import annotations

import errno
import gzip
import io
import random
import threading
from contextlib import closing

import pytest

from conveyor.weblog.inflate import Ahead, DamagedError

NOISE = random.Random(1).randbytes(3_000_000)
ONE = gzip.compress(b"one")


def read(content: bytes) -> bytes:
    with closing(Ahead(io.BytesIO(content))) as source:
        data = take_all(source)
        assert source.take() == b""
    return data


def take_all(source: Ahead) -> bytes:
    return b"".join(iter(source.take, b""))


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
    with pytest.raises(DamagedError):
        read(content)


@pytest.mark.parametrize("taken", [0, 1])
def test_no_thread_is_left_where_not_all_is_taken(taken: int) -> None:
    """Closing ends the thread, though it has more to give than may wait."""
    before = threading.active_count()
    source = Ahead(io.BytesIO(gzip.compress(bytes(50_000_000), 1)))
    for _ in range(taken):
        assert source.take()
    source.close()
    source.close()
    assert threading.active_count() == before
    assert source.take() == b""


class Broken:
    """A file that gives its first bytes, and then an error."""

    def __init__(self) -> None:
        self._parts = [gzip.compress(NOISE)[:1_000_000]]

    def read(self, size: int, /) -> bytes:
        if not self._parts:
            raise OSError(errno.EIO, "it broke")
        return self._parts.pop()


@pytest.mark.parametrize("asked", [False, True])
def test_an_error_of_the_file_is_raised_where_its_bytes_are_asked_for(asked: bool) -> None:
    """What reading the file raised in the thread is raised by ``take``; whoever asks for no more never sees it."""
    before = threading.active_count()
    source = Ahead(Broken())
    if asked:
        with pytest.raises(OSError, match="it broke"):
            take_all(source)
    source.close()
    assert threading.active_count() == before
