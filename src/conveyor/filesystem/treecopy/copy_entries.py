"""Copy a chunk of a directory: what is proven stays; other files are opened ahead, so that the kernel reads them."""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.content import ChangedError, DiffersError
from conveyor.filesystem.treecopy.entries import GONE, READ, Target, identity, lstat
from conveyor.filesystem.treecopy.messages import ChunkTask, HardlinkSeen, LargeFileTask
from conveyor.filesystem.treecopy.records import DIRECTORY_ROW, record_in, row_of, unpack_rows
from conveyor.filesystem.treecopy.walk import bare, below, is_directory

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_directory import CopyWalk
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

# The kernel's clock for files goes in steps, of up to 10 ms; some file systems keep seconds. Two changes within one step
# look like one.
_STEP, _LONG_STEP = 10_000_000, 1_000_000_000  # nanoseconds


def wait_for_clock_tick(descriptor: int, status: os.stat_result) -> os.stat_result:
    """The stat of what is open, at least one step of the clock after its last change, so that a later change shows."""
    step = _STEP if status.st_ctime_ns % _LONG_STEP else _LONG_STEP
    age = time.time_ns() - status.st_ctime_ns
    if not 0 <= age < step:
        return status
    time.sleep((step - age) / 1e9)
    return os.fstat(descriptor)


class ChunkCopy:
    """The copy of a chunk: ``rows`` of what is proven or copied; ``complete`` if nothing is left to other tasks.

    ``made`` are the directories, by their marked names, that the copy had not.

    ``left`` is to be sent once the records are: what comes of it is added to them.
    """

    def __init__(self, walk: CopyWalk, task: ChunkTask, source: int, target: Target, context: WorkerContext) -> None:
        self.recorded = unpack_rows(task.recorded) if task.recorded else {}
        self.rows: dict[str, bytes] = {}
        self.made: list[str] = []
        self.complete = True
        self.left: list[LargeFileTask | HardlinkSeen] = []
        self._walk = walk
        self._copier = walk.copier
        self._task = task
        self._source = source
        self._target = target
        self._context = context
        self._settled = time.time_ns() - _LONG_STEP  # what changed before, changed at least one step of the clock ago
        self._ahead = walk.readahead
        self._waiting: deque[tuple[str, int, os.stat_result]] = deque()

    def copy(self, names: list[str]) -> None:
        """Copy the entries of these names; directories are only made, large files and hard links left to other tasks."""
        current, ahead, waiting, recorded = "", self._ahead, self._waiting, self.recorded
        try:
            for name in names:
                current = name if "/" not in name else bare(name)
                if current in recorded and not is_directory(name) and self._is_proven(current):
                    continue
                if current is name:
                    self._prefetch(name)
                    if len(waiting) > ahead:
                        current, file, status = waiting.popleft()
                        self._file(current, file, status)
                elif is_directory(name):
                    if self._target.mkdir(current):
                        self.made.append(name)
                        self._changed(current)
                    self.rows[current] = DIRECTORY_ROW
                else:
                    self._special(current)
            while waiting:
                current, file, status = waiting.popleft()
                self._file(current, file, status)
            self.complete = self.complete and len(self.rows) == len(names)
        except (OSError, DiffersError) as error:
            raise self._walk.path_error(error, below(self._task.path, current)) from error
        finally:
            while waiting:
                os.close(waiting.pop()[1])

    def _is_proven(self, name: str) -> bool:
        """Tell if the manifest, the source and the copy agree; keep the record then."""
        record = record_in(self.recorded[name])
        source = lstat(self._source, name)
        if source is None or not record.proves_source(source):
            return False
        if not self._walk.recheck:  # after the first walk the copy is what this run made, or found
            copy = lstat(self._target.descriptor, name)
            if copy is None or not record.proves_copy(copy):
                return False
        self.rows[name] = self.recorded[name]
        if source.st_nlink > 1:
            self._hardlink(name, source, proven=True)
        self._context.count(1, source.st_size)
        return True

    def _prefetch(self, name: str) -> None:
        """Open a file and have its content read ahead."""
        try:
            file = os.open(name, READ, dir_fd=self._source)
        except OSError as error:
            if error.errno not in GONE:
                raise
            self._changed(name)
            return
        status = os.fstat(file)
        if status.st_ctime_ns > self._settled:
            status = wait_for_clock_tick(file, status)
        size = status[stat.ST_SIZE]
        if stat.S_ISREG(status[stat.ST_MODE]) and status[stat.ST_NLINK] == 1 and size <= self._copier.block:
            if self._ahead and size < self._copier.cloner.expected:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
            self._waiting.append((name, file, status))
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
            now, digest = self._copier.file(name, file, status, self._target, self._context)
            self.rows[name] = row_of(status, now, digest)
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
            now, digest = self._copier.special(name, self._source, status, self._target)
            self.rows[name] = row_of(status, now, digest)
            self._changed(name)
            self._context.count(1)

    def _hardlink(self, name: str, status: os.stat_result, *, proven: bool) -> None:
        self.complete = self.complete and proven
        self.left.append(HardlinkSeen(status.st_ino, self._task.path, self._task.chunk, name, proven))

    def _changed(self, name: str) -> None:
        self._walk.note_change(below(self._task.path, name), self._context)
