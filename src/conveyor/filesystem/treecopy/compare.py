"""The visits that compare a tree with its manifest: by a look at each entry, or by reading all of it."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.content import Content
from conveyor.filesystem.treecopy.copy_options import Side
from conveyor.filesystem.treecopy.digest import digest_of
from conveyor.filesystem.treecopy.entries import READ, lstat
from conveyor.filesystem.treecopy.messages import Difference, Job, ManifestUpdate, Task
from conveyor.filesystem.treecopy.names import bare
from conveyor.filesystem.treecopy.records import Record, is_kept, pack, unpack
from conveyor.filesystem.treecopy.walk import TreeWalk, below, unpack_dir_record

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import CopyOptions, PathAt
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


class Change(StrEnum):
    """What became of an entry since it was copied.

    ``rotted``: its content is another one, although nobody wrote to it: its size, times and inode are as they were.
    ``touched``: only its time, mode or owner changed.
    """

    MODIFIED = "changed"
    TOUCHED = "touched"
    CORRUPT = "rotted"
    MISSING = "missing"
    ADDED = "new"


class StatCheck(TreeWalk):
    """Whether each entry of one side still is what the manifest says, told by a look at it alone."""

    operation = "compare"

    def __init__(self, tree: PathAt, run: int, side: Side) -> None:
        super().__init__(tree, run)
        self.proves = Record.proves_source if side is Side.SOURCE else Record.proves_copy

    def do(self, task: Task, context: WorkerContext) -> None:
        directory, status = self.enter(task.path)
        if task.job is Job.RUN:
            self.compare(task, directory, task.names.split("\0") if task.names else [], context)
            return
        dir_record = unpack_dir_record(task)
        if dir_record is None:
            context.send(Difference(task.path, Change.ADDED))
            return
        if (what := self.directory_change(task.path, dir_record, status)) is not None:
            context.send(Difference(task.path, what))
        # The root was renamed since: it does not show whether it has the names that it had.
        steady = task.path and self.proves(dir_record, status)
        listed = self.recorded_listing(task, directory, dir_record) if steady else self.listing(directory, dir_record)
        if listed.chunks == 1:
            self.compare(task, directory, listed.chunk(0), context)
            return
        for number in range(listed.chunks):  # all of them: what is missing is missed in its part
            context.send(Task(Job.RUN, task.path, "\0".join(listed.chunk(number)), number))

    def compare(self, task: Task, directory: int, names: list[str], context: WorkerContext) -> None:
        """Compare what the names of a part of a folder stand for with its records."""
        recorded = unpack(task.recorded)
        bares = [bare(name) for name in names]
        found = {}
        current = ""
        try:
            for current in bares:
                record = recorded.get(current)
                what = Change.ADDED if record is None else self.entry_change(directory, current, record, context)
                if what is not None:
                    found[current] = what
        except OSError as error:
            raise self.path_error(error, below(task.path, current)) from error
        found |= dict.fromkeys(recorded.keys() - set(bares), Change.MISSING)
        for name, what in found.items():
            context.send(Difference(below(task.path, name), what))
        self.after_chunk(task, recorded, found, context)
        self.send_subdirectories(task.path, [name for name in names if bare(name) not in found], context)

    def directory_change(self, path: str, dir_record: Record, status: os.stat_result) -> Change | None:
        """What became of a folder itself. To rename the root changes its status, so that of this one nothing is told."""
        if not path:
            dir_record = dir_record._replace(source_changed=status.st_ctime_ns, copy_changed=status.st_ctime_ns)
        return None if self.proves(dir_record, status) else Change.MODIFIED

    def entry_change(self, directory: int, name: str, record: Record, context: WorkerContext) -> Change | None:
        """What became of an entry; None where it is as it was. Folders are told of when they are visited."""
        status = lstat(directory, name)
        if status is None:
            return Change.MISSING
        if stat.S_ISDIR(record.mode):
            return None if stat.S_ISDIR(status.st_mode) else Change.MODIFIED
        context.count(1, status.st_size)
        return None if self.proves(record, status) else Change.MODIFIED

    def after_chunk(
        self, task: Task, recorded: dict[str, Record], found: dict[str, Change], context: WorkerContext
    ) -> None:
        """A part has been compared."""


class ContentCheck(StatCheck):
    """Whether each entry still has the content that the manifest says, told by reading all of it.

    With ``anew``, what the kernel has in memory of a file is dropped before, so that it comes from the disk.
    With ``forget``, what rotted is taken out of the manifest, so that it is copied again.
    """

    operation = "read back"

    def __init__(
        self,
        tree: PathAt,
        options: CopyOptions,
        block: int,
        side: Side,
        *,
        drop_cache: bool = False,
        drop_corrupt: bool = False,
    ) -> None:
        super().__init__(tree, options.chunk_size, side)
        self._content = Content(options.buffer, block, read_back=False)
        self._drop_cache = drop_cache
        self._drop_corrupt = drop_corrupt

    def directory_change(self, path: str, dir_record: Record, status: os.stat_result) -> Change | None:
        return None if dir_record.mode == status.st_mode else Change.TOUCHED

    def entry_change(self, directory: int, name: str, record: Record, context: WorkerContext) -> Change | None:
        status = lstat(directory, name)
        if status is None:
            return Change.MISSING
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(record.mode):
            return Change.MODIFIED
        if stat.S_ISDIR(record.mode):
            return None
        context.count(1)
        as_written = self.proves(record, status)
        if record.size == status.st_size and self._digest(directory, name, record, context) == record.digest:
            same = record.mode == status.st_mode and is_kept(record.modified, status.st_mtime_ns)
            return None if same else Change.TOUCHED
        return Change.CORRUPT if as_written else Change.MODIFIED

    def _digest(self, directory: int, name: str, record: Record, context: WorkerContext) -> bytes:
        if stat.S_ISLNK(record.mode):
            return digest_of(os.fsencode(os.readlink(name, dir_fd=directory)))
        if not stat.S_ISREG(record.mode):
            return record.digest
        file = os.open(name, READ, dir_fd=directory)
        try:
            if self._drop_cache:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            return self._content.digest(file, record.size, context)
        finally:
            os.close(file)

    def after_chunk(
        self, task: Task, recorded: dict[str, Record], found: dict[str, Change], context: WorkerContext
    ) -> None:
        if self._drop_corrupt and found:
            kept = {name: record for name, record in recorded.items() if name not in found}
            context.send(ManifestUpdate(task.path, task.chunk, pack(kept), replace=True))
