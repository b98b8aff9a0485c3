"""One part of one folder, copied: what is proven stays, what is not is opened some files ahead of being read."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.differs import ChangedError, DiffersError
from conveyor.filesystem.treecopy.entries import READ, EntryCopier, Target, identity, lstat
from conveyor.filesystem.treecopy.messages import Difference, HardlinkSeen, Job, Task
from conveyor.filesystem.treecopy.names import IS_DIRECTORY, IS_SPECIAL, bare
from conveyor.filesystem.treecopy.records import DIRECTORY, Record, unpack
from conveyor.filesystem.treecopy.walk import below

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.treecopy.worker_context import WorkerContext

# The kernel's clock for files goes in steps, of up to 10 ms; some file systems keep seconds. Two changes within one step
# look like one.
_STEP, _LONG_STEP = 10_000_000, 1_000_000_000  # nanoseconds
# What a file is answered with that was renamed, removed or replaced since its name was read.
_GONE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})


def wait_for_clock_tick(descriptor: int, status: os.stat_result) -> os.stat_result:
    """A look at what is open, at least one step of the clock after its last change, so that a later one shows."""
    step = _STEP if status.st_ctime_ns % _LONG_STEP else _LONG_STEP
    age = time.time_ns() - status.st_ctime_ns
    if not 0 <= age < step:
        return status
    time.sleep((step - age) / 1e9)
    return os.fstat(descriptor)


class ChunkCopy:
    """The copy of a part of a folder: ``records`` of what is proven or copied, ``whole`` if nothing is left to others."""

    def __init__(
        self,
        task: Task,
        source: int,
        target: Target,
        entries: EntryCopier,
        context: WorkerContext,
        *,
        readahead: int,
        recheck: bool,
        path_error: Callable[[OSError | DiffersError, str], Exception],
    ) -> None:
        self.recorded = unpack(task.recorded)
        self.records: dict[str, Record] = {}
        self.complete = True
        self._task = task
        self._source = source
        self._target = target
        self._entries = entries
        self._desk = context
        self._readahead = readahead
        self._recheck = recheck
        self._path_error = path_error
        self._open: deque[tuple[str, int, os.stat_result]] = deque()

    def copy(self, names: list[str]) -> None:
        """Copy what the names stand for; those of folders are made, and files that are big or linked left to others."""
        current = ""
        try:
            for name in names:
                current = bare(name)
                if name.endswith(IS_SPECIAL):
                    self._special(current)
                elif name.endswith(IS_DIRECTORY):
                    self._target.mkdir(current)
                    self.records[current] = DIRECTORY
                elif not self._proven(current):
                    self._prefetch(current)
                    if len(self._open) > self._readahead:
                        current = self._open[0][0]
                        self._file(*self._open.popleft())
            while self._open:
                current = self._open[0][0]
                self._file(*self._open.popleft())
            self.complete = self.complete and len(self.records) == len(names)
        except (OSError, DiffersError) as error:
            raise self._path_error(error, below(self._task.path, current)) from error
        finally:
            while self._open:
                os.close(self._open.pop()[1])

    def _proven(self, name: str) -> bool:
        """Whether the manifest, a look at the source and a look at the copy agree."""
        record = self.recorded.get(name)
        if record is None:
            return False
        source = lstat(self._source, name)
        if source is None or not record.proves_source(source):
            return False
        if not self._recheck:  # after the first visit the copy is what this run made, or found
            copy = self._target.lstat(name)
            if copy is None or not record.proves_copy(copy):
                return False
        self.records[name] = record
        if source.st_nlink > 1:
            self._linked(name, source, proven=True)
        self._desk.count(1, source.st_size)
        return True

    def _prefetch(self, name: str) -> None:
        """Open a file and have its content read ahead."""
        try:
            file = os.open(name, READ, dir_fd=self._source)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._changed(name)
            return
        status = wait_for_clock_tick(file, os.fstat(file))
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and not self._entries.is_big(status):
            if self._readahead:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
            self._open.append((name, file, status))
            return
        os.close(file)
        if not stat.S_ISREG(status.st_mode):
            self._changed(name)
        elif status.st_nlink > 1:
            self._linked(name, status, proven=False)
        else:
            self.complete = False
            task = self._task
            self._desk.send(Task(Job.BIG, task.path, name, task.chunk, dir_record=identity(status)))

    def _file(self, name: str, file: int, status: os.stat_result) -> None:
        try:
            self.records[name] = self._entries.file(name, file, status, self._target, self._desk)
        except ChangedError:
            pass
        finally:
            os.close(file)
        if self._recheck:
            self._changed(name)
        self._desk.count(1)

    def _special(self, name: str) -> None:
        if self._proven(name):
            return
        status = lstat(self._source, name)
        if status is None or stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            self._changed(name)
        elif status.st_nlink > 1:
            self._linked(name, status, proven=False)
        else:
            self.records[name] = self._entries.special(name, self._source, status, self._target)
            self._changed(name)
            self._desk.count(1)

    def _linked(self, name: str, status: os.stat_result, *, proven: bool) -> None:
        self.complete = self.complete and proven
        self._desk.send(HardlinkSeen(status.st_ino, self._task.path, self._task.chunk, name, proven))

    def _changed(self, name: str) -> None:
        if self._recheck:
            self._desk.send(Difference(below(self._task.path, name), "changed"))
