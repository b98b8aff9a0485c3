"""Blocks that a forked process makes ahead: all of them, in order, errors where they are asked for, and no process left."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import IoFailedError
from conveyor.filesystem.readahead import ForkedReader, InlineReader

if TYPE_CHECKING:
    from collections.abc import Generator

    from conveyor.filesystem.readahead import BlockReader

LARGEST = 1000
MANY = 50  # more than wait at a time


def numbered(count: int, error: Exception | None = None) -> Generator[bytes, None, str]:
    for number in range(count):
        yield number.to_bytes(2, "big") * (number % (LARGEST // 2) + 1)
    if error is not None:
        raise error
    return "all"


def ahead(blocks: Generator[bytes, None, str]) -> ForkedReader[str]:
    return ForkedReader(blocks, LARGEST, "that counted")


def take_all(blocks: BlockReader[str]) -> list[bytes]:
    taken = []
    while block := blocks.take():
        taken.append(bytes(block))
    return taken


@pytest.mark.parametrize("way", [InlineReader, ahead])
@pytest.mark.parametrize("count", [0, 1, 8, 9, MANY])
def test_all_blocks_come_in_order_and_then_what_comes_of_them(way: type[InlineReader[str]], count: int) -> None:
    """However many there are, each comes once, whole; the generator's own result is there at the end."""
    with closing(way(numbered(count))) as blocks:
        assert take_all(blocks) == list(numbered(count))
        assert blocks.result == "all"
        assert not blocks.take()
        assert blocks.result == "all"


@pytest.mark.parametrize("way", [InlineReader, ahead])
def test_an_error_comes_after_the_blocks_before_it(way: type[InlineReader[str]]) -> None:
    """What making a block raised is raised where that block is asked for, as it was, with its path."""
    error = OSError(errno.EIO, "read: it broke", "/a/tar")
    with closing(way(numbered(MANY, error))) as blocks:
        for _ in range(MANY):
            assert blocks.take()
        with pytest.raises(OSError, match="it broke") as caught:
            blocks.take()
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, "/a/tar")


@pytest.mark.parametrize("taken", [0, 1, MANY])
def test_closing_leaves_no_process(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """Whatever is left to make, the process is gone and waited for, and closing again does nothing."""
    fork, forked = os.fork, list[int]()

    def noted() -> int:
        forked.append(fork())
        return forked[-1]

    monkeypatch.setattr(os, "fork", noted)
    blocks = ahead(numbered(10 * MANY))
    for _ in range(taken):
        assert blocks.take()
    blocks.close()
    blocks.close()
    [pid] = forked
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    assert not blocks.take()


def test_a_process_that_dies_is_an_error() -> None:
    """It is told what died and how, and nothing waits for it for ever."""

    def dying() -> Generator[bytes, None, str]:
        yield b"one"
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    with closing(ahead(dying())) as blocks:
        assert bytes(blocks.take()) == b"one"
        with pytest.raises(IoFailedError, match="a process that counted was killed by SIGKILL"):
            blocks.take()
        assert not blocks.take()
