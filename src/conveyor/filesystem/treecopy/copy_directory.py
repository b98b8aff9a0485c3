"""The visit that copies. What the manifest proves stays; the rest is copied, or copied again.

The same visit is the last look at the source: where it finds nothing to copy, the source still is what was copied.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.attributes import finish
from conveyor.filesystem.treecopy.copy_entries import ChunkCopy, wait_for_clock_tick
from conveyor.filesystem.treecopy.descent import DirStack
from conveyor.filesystem.treecopy.differs import ChangedError, DiffersError
from conveyor.filesystem.treecopy.entries import READ, EntryCopier, Target, identity, lstat
from conveyor.filesystem.treecopy.messages import Difference, Job, ManifestUpdate, Task
from conveyor.filesystem.treecopy.names import DirListing, bare
from conveyor.filesystem.treecopy.records import Record, pack, record_of
from conveyor.filesystem.treecopy.walk import TreeWalk, below, dir_update, unpack_dir_record

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import CopyOptions, PathAt
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


class CopyWalk(TreeWalk):
    """``again`` says that this is no first visit: what it copies has changed meanwhile, and is told as ``changed``."""

    operation = "copy"

    def __init__(self, source: PathAt, copy: PathAt, options: CopyOptions, *, recheck: bool, flush: bool) -> None:
        super().__init__(source, options.chunk_size, copy)
        self._copy = DirStack(copy.directory.descriptor, copy.name)
        self._entries = EntryCopier(options, flush=flush)
        self._ahead = options.readahead
        self._recheck = recheck

    def close(self) -> None:
        super().close()
        self._copy.close()

    def do(self, task: Task, context: WorkerContext) -> None:
        match task.job:
            case Job.FOLDER:
                self._folder(task, context)
            case Job.RUN:
                source, _ = self.enter(task.path)
                self._part(
                    task,
                    task.names.split("\0"),
                    source,
                    self._target(task.path, target_is_new=task.target_is_new),
                    context,
                )
            case Job.BIG:
                self._big(task, context)
            case Job.GROUP:
                self._group(task, context)

    def _target(self, path: str, *, target_is_new: bool = False) -> Target:
        return Target(path, self._copy.open(path), target_is_new=target_is_new)

    def _folder(self, task: Task, context: WorkerContext) -> None:
        dir_record = unpack_dir_record(task)
        try:
            source, status = self.enter(task.path)
        except (FileNotFoundError, NotADirectoryError):
            if not task.path:
                raise
            self._changed(task.path, context)  # its parent's next visit sees what became of it
            return
        status = wait_for_clock_tick(source, status)
        descriptor = self._copy.open(task.path)
        if self._recheck and dir_record is not None and dir_record.proves_source(status):
            names = self.recorded_listing(task, source, dir_record)
            target = Target(task.path, descriptor, target_is_new=False)
        else:
            names = self.listing(source, dir_record)
            target = self._cleared(task, names, descriptor, context)
        if names.chunks == 1:
            complete = self._part(task, names.chunk(0), source, target, context)
        else:
            self.send_chunks(task, names, context, target_is_new=target.is_new)
            complete = self._recheck
        if complete:
            now = os.fstat(descriptor)
            if not (
                dir_record
                and dir_record.size == names.chunks
                and dir_record.proves_source(status)
                and dir_record.proves_copy(now)
            ):
                now = finish(source, status, descriptor)
                self._entries.make_durable(descriptor)
                context.send(dir_update(task.path, record_of(status, now, chunks=names.chunks)))

    def _cleared(self, task: Task, names: DirListing, descriptor: int, context: WorkerContext) -> Target:
        """The folder of the copy, without what the source has not."""
        if task.target_is_new:
            return Target(task.path, descriptor, target_is_new=True)
        there = DirListing.read(descriptor, self.chunk_size, names.chunks)
        target = Target(task.path, descriptor, target_is_new=not there.count)
        for number in range(names.chunks if there.count else 0):
            for name in set(there.chunk(number)) - set(names.chunk(number)):
                target.remove(bare(name))
                self._changed(below(task.path, bare(name)), context)
        return target

    def _part(self, task: Task, names: list[str], source: int, target: Target, context: WorkerContext) -> bool:
        """Copy what these names of a folder stand for; False where some of it is left to others."""
        part = ChunkCopy(
            task,
            source,
            target,
            self._entries,
            context,
            readahead=self._ahead,
            recheck=self._recheck,
            path_error=self.path_error,
        )
        try:
            part.copy(names)
        except Exception:
            if part.records:
                with contextlib.suppress(OSError):  # what went wrong first is what is told
                    context.send(ManifestUpdate(task.path, task.chunk, pack(part.records), replace=False))
            raise
        if part.records != part.recorded:
            context.send(ManifestUpdate(task.path, task.chunk, pack(part.records), replace=True))
        self.send_subdirectories(task.path, names, context, target_is_new=target.is_new)
        return part.complete

    def _big(self, task: Task, context: WorkerContext) -> None:
        path, name = below(task.path, task.names), task.names
        try:
            source, _ = self.enter(task.path)
            file = os.open(name, READ, dir_fd=source)
            try:
                status = os.fstat(file)
                recorded = task.recorded if identity(status) == task.dir_record else b""
                record = self._entries.file(name, file, status, self._target(task.path), context, recorded)
            finally:
                os.close(file)
            context.send(ManifestUpdate(task.path, task.chunk, pack({name: record}), replace=False))
        except (ChangedError, FileNotFoundError):
            pass
        except (OSError, DiffersError) as error:
            raise self.path_error(error, path) from error
        self._changed(path, context)
        context.count(1)

    def _group(self, task: Task, context: WorkerContext) -> None:
        """Copy a file with several names under the first of them, and link the others to it."""
        anchor, first, status = -1, "", None
        record: Record | None = None
        linked = []
        path = ""
        try:
            for member in task.names.split("\0"):
                part, _, path = member.partition("/")
                directory, _, name = path.rpartition("/")
                source, _ = self.enter(directory)
                now = lstat(source, name)
                target = self._target(directory)
                target.remove(name)
                self._changed(path, context)
                if record is None and now is not None:
                    record = self._first(name, source, now, target, context)
                    anchor, first, status = os.dup(target.descriptor), name, now
                elif now is not None and status is not None and _same(now, status):
                    os.link(first, name, src_dir_fd=anchor, dst_dir_fd=target.descriptor, follow_symlinks=False)
                else:
                    continue
                linked.append((directory, int(part), name))
                context.count(1)
            if record is not None:
                path = below(linked[0][0], first)
                copy = os.stat(first, dir_fd=anchor, follow_symlinks=False)
                record = record._replace(copy_changed=copy.st_ctime_ns)
                for directory, number, name in linked:
                    context.send(ManifestUpdate(directory, number, pack({name: record}), replace=False))
        except (ChangedError, FileNotFoundError):
            pass  # the next visit sees what became of it
        except (OSError, DiffersError) as error:
            raise self.path_error(error, path) from error
        finally:
            if anchor >= 0:
                os.close(anchor)

    def _first(self, name: str, source: int, status: os.stat_result, target: Target, context: WorkerContext) -> Record:
        if not stat.S_ISREG(status.st_mode):
            return self._entries.special(name, source, status, target)
        file = os.open(name, READ, dir_fd=source)
        try:
            return self._entries.file(name, file, os.fstat(file), target, context)
        finally:
            os.close(file)

    def _changed(self, path: str, context: WorkerContext) -> None:
        if self._recheck:
            context.send(Difference(path, "changed"))


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_ctime_ns) == (other.st_ino, other.st_ctime_ns)
