"""Blocks of bytes that a forked process makes ahead of their use.

A process, not a thread: two threads that both call the kernel every few microseconds hand each other the interpreter's lock
each time, and together take as long as one.
"""

from __future__ import annotations

import itertools
import mmap
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from conveyor.filesystem import forking

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_SLOTS = 8
_NOTHING = memoryview(b"")


class BlockReader(Protocol[T_co]):
    """Blocks of bytes, and the result of making all of them."""

    def take(self) -> memoryview:
        """The next block, good until the one after it is asked for; nothing at the end. Raises what making it raised."""

    @property
    def result(self) -> T_co:
        """The result; there is none before the end."""

    def close(self) -> None:
        """Make no more of them."""


class InlineReader(Generic[T]):
    """Blocks that this process makes itself, each when it is asked for."""

    result: T

    def __init__(self, blocks: Generator[bytes, None, T]) -> None:
        self._blocks = blocks

    def take(self) -> memoryview:
        try:
            return memoryview(next(self._blocks))
        except StopIteration as end:
            if end.value is not None:  # a generator that is asked again has none
                self.result = end.value
            return _NOTHING

    def close(self) -> None:
        self._blocks.close()


class ForkedReader(Generic[T]):
    """Blocks that a forked process makes, a few ahead; they pass through memory that both share.

    No block is longer than ``largest`` bytes; up to ``together`` of them pass as one. ``doing`` is its work, for the error
    if it dies: "that copied", for example.
    """

    result: T

    def __init__(self, blocks: Generator[bytes, None, T], largest: int, doing: str, *, together: int = 1) -> None:
        self._doing = doing
        self._largest = largest
        self._slot = largest * together
        self._page = mmap.mmap(-1, _SLOTS * self._slot)
        self._slots = memoryview(self._page)
        self._taken = 0
        self._over = False
        self._pid, self._channel = forking.start(lambda channel: self._make(blocks, channel))

    def take(self) -> memoryview:
        if self._over:
            return _NOTHING
        if self._taken:
            self._channel.send(None)  # the last one's slot is free
        try:
            length, result, error = self._channel.receive()
        except EOFError:
            pid, self._pid, self._over = self._pid, 0, True
            self._channel.close()
            raise forking.died_error(pid, self._doing) from None
        if length:
            start = self._taken % _SLOTS * self._slot
            self._taken += 1
            return self._slots[start : start + length]
        self._over = True
        if error is not None:
            raise error
        self.result = result
        return _NOTHING

    def close(self) -> None:
        self._over = True
        if self._pid:
            self._channel.close()
            forking.end(self._pid)
            self._pid = 0

    def _make(self, blocks: Generator[bytes, None, T], channel: forking.Channel) -> None:
        """Make blocks in the forked process, in one free slot after the other; then send the result, or the error."""
        end: tuple[int, T | None, Exception | None] | None = None
        for number in itertools.count():
            if number >= _SLOTS:
                channel.receive()
            at = start = number % _SLOTS * self._slot
            while end is None and at + self._largest <= start + self._slot:
                try:
                    block = next(blocks)
                except StopIteration as over:
                    end = 0, over.value, None
                except Exception as error:  # noqa: BLE001 - it is raised when the next block is asked for
                    end = 0, None, error
                else:
                    self._page[at : at + len(block)] = block
                    at += len(block)
            if at > start:
                channel.send((at - start, None, None))
            if end is not None:
                channel.send(end)
                return
