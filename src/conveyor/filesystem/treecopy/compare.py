"""Walks that compare a tree with its manifest: by the stat of each entry, or by reading all of it."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.content import Content
from conveyor.filesystem.treecopy.copy_options import Side
from conveyor.filesystem.treecopy.digest import CLONED, digest_of
from conveyor.filesystem.treecopy.entries import GONE, READ, lstat
from conveyor.filesystem.treecopy.messages import (
    ChunkTask,
    ClonesSeen,
    Difference,
    DigestsMade,
    DirTask,
    ManifestUpdate,
)
from conveyor.filesystem.treecopy.records import Record, is_kept, pack, unpack, unpack_dir_record
from conveyor.filesystem.treecopy.walk import TreeWalk, bare, below

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import CopyOptions, PathAt
    from conveyor.filesystem.treecopy.messages import Task
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


class Change(StrEnum):
    """The change of an entry since it was copied; the values are the words that users read.

    ``CORRUPT``: its content is another one although nobody wrote to it: size, times and inode are as they were.
    ``TOUCHED``: only its time, mode or owner changed.
    """

    MODIFIED = "changed"
    TOUCHED = "touched"
    CORRUPT = "rotted"
    MISSING = "missing"
    ADDED = "new"


class StatCheck(TreeWalk):
    """Compares each entry of one side with its record by its stat alone."""

    operation = "compare"
    is_light = True

    def __init__(self, tree: PathAt, chunk_size: int, side: Side) -> None:
        super().__init__(tree, chunk_size)
        self._may_skim = side is Side.SOURCE
        self.proves = Record.proves_source if side is Side.SOURCE else Record.proves_copy

    def do(self, task: Task, context: WorkerContext) -> None:
        if (entered := self.enter_if_there(task.path)) is None:
            self._gone(task, context)
            return
        directory, status = entered
        if isinstance(task, ChunkTask):
            self._compare(task, directory, task.listed(), context)
        elif isinstance(task, DirTask):
            self._directory(task, directory, status, context)

    def _gone(self, task: Task, context: WorkerContext) -> None:
        """Tell of a directory that somebody removed since its name was read, or of the names in a chunk of it."""
        names = unpack(task.recorded) if isinstance(task, ChunkTask) else [""]
        for name in names:
            context.send(Difference(below(task.path, name) if name else task.path, Change.MISSING))

    def _directory(self, task: DirTask, directory: int, status: os.stat_result, context: WorkerContext) -> None:
        record = unpack_dir_record(task.dir_record)
        if record is None:
            context.send(Difference(task.path, Change.ADDED))
            return
        if (change := self.directory_change(task.path, record, status)) is not None:
            context.send(Difference(task.path, change))
        # The root was renamed since: its stat does not prove that it has the names that it had.
        steady = task.path and self.proves(record, status)
        if steady and self._may_skim and record.size == 1 and self.skim(task, directory, context):
            return
        listing = self.recorded_listing(task, directory, record) if steady else self.listing(directory, record)
        if listing.chunks == 1:
            chunk = ChunkTask(task.path, "", 0, recorded=task.recorded)
            self._compare(chunk, directory, listing.chunk(0), context)
        else:  # empty ones too: what is missing is missed in its chunk
            self.send_chunks(task.path, listing, context, empty_too=True)

    def _compare(self, task: ChunkTask, directory: int, names: list[str], context: WorkerContext) -> None:
        """Compare the entries of these names with the records of their chunk."""
        recorded = unpack(task.recorded)
        bares = [bare(name) for name in names]
        changes = {}
        current = ""
        try:
            for current in bares:
                record = recorded.get(current)
                change = Change.ADDED if record is None else self.entry_change(directory, current, record, context)
                if change is not None:
                    changes[current] = change
        except OSError as error:
            raise self.path_error(error, below(task.path, current)) from error
        changes |= dict.fromkeys(recorded.keys() - set(bares), Change.MISSING)
        for name, change in changes.items():
            context.send(Difference(below(task.path, name), change))
        self.after_chunk(task, recorded, changes, context)
        self.send_subdirs(task.path, [name for name in names if bare(name) not in changes], context)

    def directory_change(self, path: str, record: Record, status: os.stat_result) -> Change | None:
        """The change of a directory itself. The root's times say nothing, and each name in it is looked at.

        It was renamed since; and xfs takes an exchange for a change of what is in it: who died then has not set that back.
        """
        if not path:
            now = status.st_ctime_ns
            record = record._replace(modified=status.st_mtime_ns, source_changed=now, copy_changed=now)
        return None if self.proves(record, status) else Change.MODIFIED

    def entry_change(self, directory: int, name: str, record: Record, context: WorkerContext) -> Change | None:
        """The change of an entry, None if there is none. Directories have tasks of their own."""
        status = lstat(directory, name)
        if status is None:
            return Change.MISSING
        if stat.S_ISDIR(record.mode):
            return None if stat.S_ISDIR(status.st_mode) else Change.MODIFIED
        context.count(1, status.st_size)
        return None if self.proves(record, status) else Change.MODIFIED

    def after_chunk(
        self, task: ChunkTask, recorded: dict[str, Record], changes: dict[str, Change], context: WorkerContext
    ) -> None:
        """Do what is to be done after a chunk was compared."""


class ContentCheck(StatCheck):
    """Compares each entry with its record by reading all of it; but a clone that nobody wrote to is only counted.

    With ``drop_cache``, what the kernel has in memory of a file is dropped before, so that it comes from the disk.
    With ``drop_corrupt``, what differs is taken out of the manifest, so that it is copied again.
    """

    operation = "read back"
    is_light = False

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
        self._may_skim = False
        self._content = Content(options.buffer, block, read_back=False)
        self._drop_cache = drop_cache
        self._drop_corrupt = drop_corrupt
        self._made: dict[str, Record] = {}

    def directory_change(self, path: str, record: Record, status: os.stat_result) -> Change | None:
        return None if record.mode == status.st_mode else Change.TOUCHED

    def entry_change(self, directory: int, name: str, record: Record, context: WorkerContext) -> Change | None:
        status = lstat(directory, name)
        if status is None:
            return Change.MISSING
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(record.mode):
            return Change.MODIFIED
        if stat.S_ISDIR(record.mode):
            return None
        if record.digest == CLONED:  # of one that was touched, nothing tells if its content is the same
            return None if self.proves(record, status) else Change.MODIFIED
        context.count(1)
        try:
            is_same = record.size == status.st_size and self._digest(directory, name, record, context) == record.digest
        except OSError as error:
            if error.errno not in GONE:
                raise
            return Change.MISSING if lstat(directory, name) is None else Change.MODIFIED
        if is_same:
            same_time = stat.S_ISLNK(record.mode) or is_kept(record.modified, status.st_mtime_ns)
            return None if record.mode == status.st_mode and same_time else Change.TOUCHED
        # Asked after it was read, which may take an hour: somebody may have written to it meanwhile.
        return Change.CORRUPT if self._is_as_written(directory, name, record) else Change.MODIFIED

    def _is_as_written(self, directory: int, name: str, record: Record) -> bool:
        status = lstat(directory, name)
        return status is not None and self.proves(record, status)

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
        self, task: ChunkTask, recorded: dict[str, Record], changes: dict[str, Change], context: WorkerContext
    ) -> None:
        kept = {name: record for name, record in recorded.items() if name not in changes}
        if clones := [record.size for record in kept.values() if record.digest == CLONED]:
            context.send(ClonesSeen(len(clones), sum(clones)))
        if self._drop_corrupt and changes:
            context.send(ManifestUpdate(task.path, task.chunk, pack(kept), replace=True))


class DigestWalk(ContentCheck):
    """The same, but clones that nobody wrote to are read too, and their digests put into the manifest."""

    def entry_change(self, directory: int, name: str, record: Record, context: WorkerContext) -> Change | None:
        if record.digest == CLONED and self._is_as_written(directory, name, record):
            digest = self._digest(directory, name, record, context)
            if self._is_as_written(directory, name, record):  # still: what was read is what was cloned
                context.count(1)
                self._made[name] = record._replace(digest=digest)
                return None
        return super().entry_change(directory, name, record, context)

    def after_chunk(
        self, task: ChunkTask, recorded: dict[str, Record], changes: dict[str, Change], context: WorkerContext
    ) -> None:
        if made := self._made:
            self._made, recorded = {}, recorded | made
            context.send(ManifestUpdate(task.path, task.chunk, pack(recorded), replace=True))
            context.send(DigestsMade(len(made), sum(record.size for record in made.values())))
        super().after_chunk(task, recorded, changes, context)
