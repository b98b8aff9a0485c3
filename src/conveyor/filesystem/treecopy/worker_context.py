"""Where a process works: it says here what it has done, is told here to stop, and waits here for its share of the rate."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from typing import TYPE_CHECKING

from conveyor.errors import InterruptedRunError
from conveyor.filesystem.treecopy.copy_options import Totals

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.treecopy.messages import Message

_DONE = struct.Struct("QQ")
_INSTANT = struct.Struct("d")
_STOP, _NEXT, _SLOTS, _SLOT = 0, 8, 64, 64  # offsets and a slot's size: a cache line each
_PATIENCE = 0.1  # seconds between two questions whether to stop
# What is done between two safe points at most. To tell and to ask costs as much as a look at a file.
_ENTRIES, _BYTES = 16, 1 << 20


class SharedCounters:
    """A page that all processes of one phase share: a flag that asks for an end, what each has done, and the rate."""

    def __init__(self, workers: int, max_rate: int | None) -> None:
        self.max_rate = max_rate
        self._slots = workers + 1
        self._page = mmap.mmap(-1, _SLOTS + _SLOT * self._slots)
        # A lock that goes with its holder: a worker that is killed while it holds it stops no other.
        self._lock = os.memfd_create("conveyor-rate") if max_rate else -1

    def close(self) -> None:
        self._page.close()
        if self._lock >= 0:
            os.close(self._lock)

    @property
    def stopped(self) -> bool:
        return self._page[_STOP] != 0

    def stop(self) -> None:
        """Ask every process for an end at its next safe point."""
        self._page[_STOP] = 1

    def set_done(self, slot: int, files: int, size: int) -> None:
        _DONE.pack_into(self._page, _SLOTS + _SLOT * slot, files, size)

    def done(self) -> Totals:
        """What all have done."""
        slots = [_DONE.unpack_from(self._page, _SLOTS + _SLOT * slot) for slot in range(self._slots)]
        return Totals(sum(files for files, _ in slots), sum(size for _, size in slots))

    def reserve(self, size: int) -> float:
        """The instant, on the monotonic clock, from which this process may go on after writing ``size`` bytes."""
        if not self.max_rate:
            return 0.0
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            [free] = _INSTANT.unpack_from(self._page, _NEXT)
            instant = max(float(free), time.monotonic()) + size / self.max_rate
            _INSTANT.pack_into(self._page, _NEXT, instant)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
        return instant


def interrupted_error() -> InterruptedRunError:
    return InterruptedRunError("asked to end in the middle of a directory that is copied")


class WorkerContext:
    """One process's place. ``emit`` takes its messages; ``ask`` is called at every safe point."""

    def __init__(
        self,
        counters: SharedCounters,
        slot: int,
        send: Callable[[Message], None],
        poll: Callable[[], object] = lambda: None,
    ) -> None:
        self._board = counters
        self._slot = slot
        self._poll = poll
        self.send = send
        self.files = 0
        self.bytes = 0
        self._entries = 0
        self._reported = 0

    def count(self, files: int = 0, size: int = 0) -> None:
        """So much more is done, of something that goes on: a safe point now and then."""
        self.files += files
        self.bytes += size
        self._entries += 1
        if self._entries >= _ENTRIES or self.bytes - self._reported >= _BYTES:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Tell what is done. This is a safe point; raises :class:`InterruptedRunError` where an end is asked for."""
        self._entries, self._reported = 0, self.bytes
        self._board.set_done(self._slot, self.files, self.bytes)
        self._poll()
        if self._board.stopped:
            raise interrupted_error()

    def throttle(self, size: int) -> None:
        """So much was written: wait as long as the rate asks."""
        if self._board.max_rate:
            instant = self._board.reserve(size)
            while (left := instant - time.monotonic()) > 0:
                time.sleep(min(left, _PATIENCE))
                self.checkpoint()
