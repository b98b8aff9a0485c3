"""Copy a chunk of a directory: what is proven stays; other files are opened ahead, so that the kernel reads them."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.content import ChangedError, DiffersError
from conveyor.filesystem.treecopy.entries import READ, Target, identity, lstat
from conveyor.filesystem.treecopy.messages import ChunkTask, HardlinkSeen, LargeFileTask
from conveyor.filesystem.treecopy.records import DIRECTORY, Record, unpack
from conveyor.filesystem.treecopy.walk import bare, below, is_directory

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_directory import CopyWalk
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

# The kernel's clock for files goes in steps, of up to 10 ms; some file systems keep seconds. Two changes within one step
# look like one.
_STEP, _LONG_STEP = 10_000_000, 1_000_000_000  # nanoseconds
# The errors of opening a file that was renamed, removed or replaced since its name was read.
_GONE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})


def wait_for_clock_tick(descriptor: int, status: os.stat_result) -> os.stat_result:
    """The stat of what is open, at least one step of the clock after its last change, so that a later change shows."""
    step = _STEP if status.st_ctime_ns % _LONG_STEP else _LONG_STEP
    age = time.time_ns() - status.st_ctime_ns
    if not 0 <= age < step:
        return status
    time.sleep((step - age) / 1e9)
    return os.fstat(descriptor)


class ChunkCopy:
    """The copy of a chunk: ``records`` of what is proven or copied; ``complete`` if nothing is left to other tasks.

    ``left`` is to be sent once the records are: what comes of it is added to them.
    """

    def __init__(self, walk: CopyWalk, task: ChunkTask, source: int, target: Target, context: WorkerContext) -> None:
        self.recorded = unpack(task.recorded)
        self.records: dict[str, Record] = {}
        self.complete = True
        self.left: list[LargeFileTask | HardlinkSeen] = []
        self._walk = walk
        self._task = task
        self._source = source
        self._target = target
        self._context = context
        self._settled = time.time_ns() - _LONG_STEP  # what changed before, changed at least one step of the clock ago
        self._open: deque[tuple[str, int, os.stat_result]] = deque()

    def copy(self, names: list[str]) -> None:
        """Copy the entries of these names; directories are only made, large files and hard links left to other tasks."""
        current = ""
        try:
            for name in names:
                current = name if "/" not in name else bare(name)
                if current in self.recorded and not is_directory(name) and self._is_proven(current):
                    continue
                if current is name:
                    self._prefetch(name)
                    if len(self._open) > self._walk.readahead:
                        current = self._open[0][0]
                        self._file(*self._open.popleft())
                elif is_directory(name):
                    self._target.mkdir(current)
                    self.records[current] = DIRECTORY
                else:
                    self._special(current)
            while self._open:
                current = self._open[0][0]
                self._file(*self._open.popleft())
            self.complete = self.complete and len(self.records) == len(names)
        except (OSError, DiffersError) as error:
            raise self._walk.path_error(error, below(self._task.path, current)) from error
        finally:
            while self._open:
                os.close(self._open.pop()[1])

    def _is_proven(self, name: str) -> bool:
        """Tell if the manifest, the source and the copy agree; keep the record then."""
        record = self.recorded[name]
        source = lstat(self._source, name)
        if source is None or not record.proves_source(source):
            return False
        if not self._walk.recheck:  # after the first walk the copy is what this run made, or found
            copy = lstat(self._target.descriptor, name)
            if copy is None or not record.proves_copy(copy):
                return False
        self.records[name] = record
        if source.st_nlink > 1:
            self._hardlink(name, source, proven=True)
        self._context.count(1, source.st_size)
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
        status = os.fstat(file)
        if status.st_ctime_ns > self._settled:
            status = wait_for_clock_tick(file, status)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and not self._walk.copier.is_large(status):
            if self._walk.readahead and self._walk.copier.will_read(status):
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
            self._open.append((name, file, status))
            return
        os.close(file)
        if not stat.S_ISREG(status.st_mode):
            self._changed(name)
        elif status.st_nlink > 1:
            self._hardlink(name, status, proven=False)
        else:
            self.complete = False
            self.left.append(LargeFileTask(self._task.path, name, self._task.chunk, identity(status)))

    def _file(self, name: str, file: int, status: os.stat_result) -> None:
        try:
            self.records[name] = self._walk.copier.file(name, file, status, self._target, self._context)
        except ChangedError:
            pass
        finally:
            os.close(file)
        if self._walk.recheck:
            self._changed(name)
        self._context.count(1)

    def _special(self, name: str) -> None:
        status = lstat(self._source, name)
        if status is None or stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            self._changed(name)
        elif status.st_nlink > 1:
            self._hardlink(name, status, proven=False)
        else:
            self.records[name] = self._walk.copier.special(name, self._source, status, self._target)
            self._changed(name)
            self._context.count(1)

    def _hardlink(self, name: str, status: os.stat_result, *, proven: bool) -> None:
        self.complete = self.complete and proven
        self.left.append(HardlinkSeen(status.st_ino, self._task.path, self._task.chunk, name, proven))

    def _changed(self, name: str) -> None:
        self._walk.note_change(below(self._task.path, name), self._context)
