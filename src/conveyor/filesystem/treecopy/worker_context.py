"""A worker's context: counters that all processes share, requests to stop, and the common rate."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import time
from typing import TYPE_CHECKING

from conveyor.errors import InterruptedRunError
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.filesystem.treecopy.messages import ManifestRows
from conveyor.filesystem.treecopy.records import directory_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.treecopy.messages import Message

_PATIENCE = 0.1  # seconds between two looks at the request to stop
# What is done between two checkpoints at most, tasks and files. A checkpoint costs as much as the stat of a file.
_ENTRIES, _BYTES = 16, 1 << 20
_ROWS = 1 << 16  # bytes of the manifest that are sent together


class _Common(ctypes.Structure):
    """``free_at``: the instant, on the monotonic clock, from which the next bytes may be written."""

    _fields_ = (
        ("stopped", ctypes.c_bool),
        ("hungry", ctypes.c_bool),
        ("free_at", ctypes.c_double),
        ("padding", ctypes.c_char * 48),
    )


class _Done(ctypes.Structure):
    """The counters of one process, in a cache line of their own."""

    _fields_ = (("files", ctypes.c_uint64), ("bytes", ctypes.c_uint64), ("padding", ctypes.c_char * 48))


class SharedCounters:
    """Memory that all processes of one phase share: a request to stop, what each has done, and the rate."""

    def __init__(self, workers: int, max_rate: int | None) -> None:
        self.max_rate = max_rate
        page = mmap.mmap(-1, ctypes.sizeof(_Common) + (workers + 1) * ctypes.sizeof(_Done))
        self._common = _Common.from_buffer(page)
        self._done = (_Done * (workers + 1)).from_buffer(page, ctypes.sizeof(_Common))
        # A lock that goes with its holder: a worker that is killed while it holds it stops no other.
        self._lock = os.memfd_create("conveyor-rate") if max_rate else -1

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)

    @property
    def stopped(self) -> bool:
        return bool(self._common.stopped)

    def stop(self) -> None:
        """Ask every process to stop at its next checkpoint."""
        self._common.stopped = True

    @property
    def hungry(self) -> bool:
        """True if a worker has nothing to do: whoever has more tasks than one gives some away."""
        return bool(self._common.hungry)

    @hungry.setter
    def hungry(self, is_so: bool) -> None:
        self._common.hungry = is_so

    def slot(self, number: int) -> _Done:
        """The counters of one process."""
        return self._done[number]

    def done(self) -> Totals:
        """The sum over all processes."""
        return Totals(sum(one.files for one in self._done), sum(one.bytes for one in self._done))

    def reserve(self, size: int) -> float:
        """The instant, on the monotonic clock, from which this process may go on after writing ``size`` bytes."""
        if not self.max_rate:
            return 0.0
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            instant = max(float(self._common.free_at), time.monotonic()) + size / self.max_rate
            self._common.free_at = instant
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
        return instant


def interrupted_error() -> InterruptedRunError:
    return InterruptedRunError("asked to end in the middle of a directory that is copied")


class WorkerContext:
    """The context of one process. ``send`` takes its messages; ``poll`` is called at every checkpoint.

    ``files`` and ``bytes`` are what it has done, ``is_throttled`` says that there is a rate to keep to.
    """

    def __init__(
        self,
        counters: SharedCounters,
        slot: int,
        send: Callable[[Message], None],
        poll: Callable[[], object] = lambda: None,
    ) -> None:
        self._counters = counters
        self._done = counters.slot(slot)
        self._poll = poll
        self._send = send
        self._rows: list[tuple[bytes, int, bytes]] = []
        self._stored = 0
        self.is_throttled = counters.max_rate is not None
        self.files = 0
        self.bytes = 0
        self._next_files, self._next_bytes = 0, _BYTES

    def store(self, path: str, chunk: int, segment: bytes) -> None:
        """Set the records of a chunk of a directory in the manifest; many such go together."""
        self._rows.append((directory_key(path), chunk, segment))
        self._stored += len(segment)
        if self._stored >= _ROWS:
            self.flush()

    def send(self, message: Message) -> None:
        """Send a message, behind all that was sent before."""
        self.flush()
        self._send(message)

    def flush(self) -> None:
        """Send what was stored."""
        if self._rows:
            self._send(ManifestRows(self._rows))
            self._rows, self._stored = [], 0

    def begin(self) -> None:
        """Begin with a task; now and then a checkpoint."""
        self._next_files -= 1
        if self.files >= self._next_files:
            self.checkpoint()

    def count(self, files: int = 0, size: int = 0) -> None:
        """Add to what this process has done; now and then a checkpoint."""
        self.files += files
        self.bytes += size
        if self.files >= self._next_files or self.bytes >= self._next_bytes:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Publish what is done; raises :class:`InterruptedRunError` if the process is asked to stop."""
        self._next_files, self._next_bytes = self.files + _ENTRIES, self.bytes + _BYTES
        self._done.files, self._done.bytes = self.files, self.bytes
        self._poll()
        if self._counters.stopped:
            raise interrupted_error()

    def throttle(self, size: int) -> None:
        """Wait as long as the rate asks after ``size`` bytes were written."""
        if self._counters.max_rate:
            instant = self._counters.reserve(size)
            while (left := instant - time.monotonic()) > 0:
                time.sleep(min(left, _PATIENCE))
                self.checkpoint()
