"""The progress of a copy: reported to a callback, and kept in a file for ``conveyor status``."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from conveyor.clock import now
from conveyor.documents.codec import dump, load
from conveyor.documents.kept_documents import Progress, ProgressHead
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.layout import PROGRESS, temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.engine.endpoints import Endpoint

#: The file, in ``.conveyor`` in spool, as long as a copy runs; a crash may leave it, or half of one.
PROGRESS_FILES = (PROGRESS, temporary_name(PROGRESS))
_LIMIT = 64 * 1024  # bytes
_WINDOW = 10.0  # seconds; the rate is that of the last ones
_WRITTEN_EVERY = 3.0  # seconds
_FILE = 64 * 1024  # bytes that are copied in the time that a file costs besides


class ProgressCallback(Protocol):
    """A callback that gets, a few times a second, the progress of the copies of a run."""

    def __call__(self, request: str, progress: Progress | None) -> None:
        """Take how far the copy of a request's directory is; None when it is over. Must not raise."""


def no_progress(request: str, progress: Progress | None) -> None:
    """A watcher that looks away."""


class Pace:
    """The rate of a phase, from its last seconds, and the time that is left."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._phase = ""
        self._known = Totals()
        self._samples: deque[tuple[float, Totals]] = deque()

    def progress(self, directory: str, phase: str, done: Totals, total: Totals) -> Progress:
        if phase != self._phase:
            self._phase = phase
            self._samples.clear()
        if total != Totals():
            self._known = total
        elif phase == "remove":  # what is removed is what was copied; of bytes, nothing is told then
            total = Totals(self._known.files, 0)
        moment = self._clock()
        self._samples.append((moment, done))
        while len(self._samples) > 2 and moment - self._samples[1][0] >= _WINDOW:
            self._samples.popleft()
        start, before = self._samples[0]
        passed = moment - start
        speed = (_effort(done) - _effort(before)) / passed if passed > 0 else 0
        left = _effort(total) - _effort(done)
        return Progress(
            directory,
            phase,
            done.files,
            done.bytes,
            total.files or None,
            total.bytes or None,
            int(max(0, done.bytes - before.bytes) / passed) if passed > 0 else None,
            int(left / speed) if speed > 0 and left >= 0 else None,
            now(),
        )


def _effort(weight: Totals) -> int:
    """The work in these totals, in bytes: a file costs time by itself as well."""
    return weight.bytes + _FILE * weight.files


class ProgressReporter:
    """Tells of the copies of one conveyance, as the engine of the copies tells it.

    ``token`` is that of the claim under which the conveyance runs: who finds the file knows by it whose it is.
    """

    def __init__(
        self,
        spool: Endpoint,
        request: str,
        token: str,
        on_progress: ProgressCallback,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._request = request
        self._token = token
        self._on_progress = on_progress
        self._clock = clock
        self._directory = ""
        self._pace = Pace(clock)
        self._written: float | None = None  # when, or when there was first something to write
        self._is_there = False
        self._copied = {"": 0}

    @property
    def copied(self) -> int:
        """The bytes that were copied so far."""
        return sum(self._copied.values())

    @contextlib.contextmanager
    def about(self, directory: str) -> Iterator[None]:
        """Report about this directory within the block; nothing of it is left at the end."""
        self._directory = directory
        self._pace = Pace(self._clock)
        self._written = None
        try:
            yield
        finally:
            self._end()

    def tell(self, phase: str, done: Totals, total: Totals) -> None:
        """Take what the engine of the copies says."""
        if phase == "copy":
            self._copied[self._directory] = done.bytes
        progress = self._pace.progress(self._directory, phase, done, total)
        self._on_progress(self._request, progress)
        moment = self._clock()
        if self._written is None:  # of a copy that takes a moment, nobody will ask
            self._written = moment
        elif moment - self._written >= _WRITTEN_EVERY:
            self._written = moment
            self._write(progress)

    def _write(self, progress: Progress) -> None:
        head = ProgressHead(schema="conveyor-progress/1", claim=self._token)
        content = dump({**head, **vars(progress)})
        with contextlib.suppress(OSError):  # a full disk stops the copy, not the talk about it
            self._is_there = True
            self._spool.fs.write(self._spool.meta, PROGRESS, content, durable=False)

    def _end(self) -> None:
        if self._written is not None:
            self._on_progress(self._request, None)
        if self._is_there:
            with contextlib.suppress(OSError):
                clear_progress(self._spool)
                self._is_there = False


def clear_progress(spool: Endpoint) -> bool:
    """Remove the file, and half of one; True if there was anything. Raises :class:`OSError`."""
    found = [name for name in PROGRESS_FILES if spool.meta_kind(name) is Kind.FILE]
    for name in found:
        spool.fs.unlink(spool.meta, name)
    return bool(found)


def progress_is_left(spool: Endpoint) -> bool:
    """Tell whether the file is there: a copy runs, or a run died."""
    return any(spool.meta_kind(name) is Kind.FILE for name in PROGRESS_FILES)


def read_progress(spool: Endpoint, token: str) -> Progress | None:
    """The progress of the run whose claim has this token; None if it copies nothing, or has just begun."""
    if spool.meta_kind(PROGRESS) is not Kind.FILE:
        return None
    try:
        content = spool.fs.read(spool.meta, PROGRESS, limit=_LIMIT)
        return load(Progress, content) if load(ProgressHead, content)["claim"] == token else None
    except (ValueError, FileNotFoundError):  # over at this moment
        return None
