"""Blocks of bytes that are made ahead of their use, by a forked process.

A process, not a thread: two threads that both call the kernel every few microseconds hand each other the interpreter's lock
each time, and together take as long as one.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import struct
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from conveyor.filesystem import forking

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_SLOTS = 8
_HEAD = struct.Struct("<q")  # a block's length; or that of what is pickled at the end, negative
_NOTHING = memoryview(b"")


class BlockReader(Protocol[T_co]):
    """Blocks of bytes, and what comes of them when all of them are taken."""

    def take(self) -> memoryview:
        """The next block, good until the one after it is asked for; nothing at the end. Raises what making it raised."""

    @property
    def result(self) -> T_co:
        """What comes of it; there is none before the end."""

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

    No block is longer than ``largest`` bytes. What the process is ``doing`` is told if it dies: "that copied", for example.
    """

    result: T

    def __init__(self, blocks: Generator[bytes, None, T], largest: int, doing: str) -> None:
        self._doing = doing
        self._largest = largest
        self._page = mmap.mmap(-1, _SLOTS * largest)
        self._slots = memoryview(self._page)
        self._taken = 0
        self._over = False
        to_fill, self._free = os.pipe()
        self._filled, filled = os.pipe()

        def work() -> None:
            self._hang_up()  # or it would never hear that this process did
            with contextlib.suppress(BrokenPipeError):
                self._make(blocks, to_fill, filled)

        try:
            self._pid = forking.fork(work)
        except BaseException:
            self._hang_up()
            raise
        finally:
            os.close(to_fill)
            os.close(filled)

    def take(self) -> memoryview:
        if self._over:
            return _NOTHING
        if self._taken:
            with contextlib.suppress(BrokenPipeError):  # that it died is noticed where it is read from
                os.write(self._free, b"\0")  # the last one's slot
        [length] = _HEAD.unpack(self._read(_HEAD.size))
        if length > 0:
            start = self._taken % _SLOTS * self._largest
            self._taken += 1
            return self._slots[start : start + length]
        self._over = True
        result, error = pickle.loads(self._read(-length))
        if error is not None:
            raise error
        self.result = result
        return _NOTHING

    def close(self) -> None:
        self._over = True
        if self._pid:
            self._hang_up()
            forking.end(self._pid)
            self._pid = 0

    def _hang_up(self) -> None:
        os.close(self._free)
        os.close(self._filled)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = os.read(self._filled, size - len(data))
            if not part:
                pid, self._pid, self._over = self._pid, 0, True
                self._hang_up()
                raise forking.died_error(pid, self._doing)
            data += part
        return data

    def _make(self, blocks: Generator[bytes, None, T], to_fill: int, filled: int) -> None:
        """The life of the forked process."""
        number = 0
        result, error = None, None
        try:
            while True:
                block = next(blocks)
                if number >= _SLOTS and not os.read(to_fill, 1):
                    return
                start = number % _SLOTS * self._largest
                self._page[start : start + len(block)] = block
                os.write(filled, _HEAD.pack(len(block)))
                number += 1
        except StopIteration as end:
            result = end.value
        except BrokenPipeError:
            raise
        except Exception as caught:  # noqa: BLE001 - it is raised where the next block is asked for
            error = caught
        end_of_it = pickle.dumps((result, error), pickle.HIGHEST_PROTOCOL)
        rest = memoryview(_HEAD.pack(-len(end_of_it)) + end_of_it)
        while rest:
            rest = rest[os.write(filled, rest) :]
