"""The walk that copies. What the manifest proves stays; the rest is copied, or copied again.

The same walk is the last look at the source: if it finds nothing to copy, the source is still what was copied.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.attributes import finish
from conveyor.filesystem.treecopy.content import ChangedError, DiffersError
from conveyor.filesystem.treecopy.copy_entries import ChunkCopy, wait_for_clock_tick
from conveyor.filesystem.treecopy.entries import GONE, READ, EntryCopier, Target, identity, lstat
from conveyor.filesystem.treecopy.messages import (
    ChunkTask,
    Difference,
    DirTask,
    HardlinksTask,
    LargeFileTask,
    ManifestUpdate,
    TableSeen,
)
from conveyor.filesystem.treecopy.records import (
    DIR_RECORD,
    pack,
    pack_dir_record,
    pack_rows,
    record_of,
    row_of,
    unpack_dir_record,
)
from conveyor.filesystem.treecopy.striping import has_layouts
from conveyor.filesystem.treecopy.walk import TABLE_LOCK, DirListing, DirStack, TreeWalk, bare, below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.treecopy.copy_options import CopyOptions, PathAt
    from conveyor.filesystem.treecopy.messages import Task
    from conveyor.filesystem.treecopy.records import Record
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


class CopyWalk(TreeWalk):
    """Copies. ``recheck`` says that all was copied before: what is copied now has changed meanwhile, and is reported."""

    operation = "copy"

    def __init__(self, source: PathAt, copy: PathAt, options: CopyOptions, *, recheck: bool, flush: bool) -> None:
        super().__init__(source, options.chunk_size, copy)
        with error_context("copy", source.path, copy.path):
            keep_layouts = has_layouts(source.directory.descriptor) and has_layouts(copy.directory.descriptor)
        self.copier = EntryCopier(options, flush=flush, keep_layouts=keep_layouts)
        self.readahead = options.readahead
        self.recheck = self.is_light = recheck
        self._copy_stack = DirStack(copy.directory.descriptor, copy.name)

    def close(self) -> None:
        super().close()
        self._copy_stack.close()

    def do(self, task: Task, context: WorkerContext) -> None:
        match task:
            case DirTask():
                self._directory(task, context)
            case ChunkTask():
                self._part(task, context)
            case LargeFileTask():
                self._large_file(task, context)
            case HardlinksTask():
                self._hardlinks(task, context)

    def note_change(self, path: str, context: WorkerContext) -> None:
        """Report that an entry is copied again."""
        if self.recheck:
            context.send(Difference(path, "changed"))

    def _target(self, path: str, *, is_new: bool = False) -> Target:
        return Target(path, self._copy_stack.open(path), is_new=is_new)

    def _directory(self, task: DirTask, context: WorkerContext) -> None:
        record = unpack_dir_record(task.dir_record)
        if (entered := self.enter_if_there(task.path)) is None:
            self._forget(task.path, context)
            return
        source, status = entered[0], wait_for_clock_tick(*entered)
        proven = record if self.recheck and record is not None and record.proves_source(status) else None
        if proven is not None and proven.size == 1 and self.skim(task, source, context):
            self._finish(source, status, self._target(task.path), proven, 1, context)
            return
        if proven is not None:
            listing, target = self.recorded_listing(task, source, proven), self._target(task.path)
        else:
            listing = self.listing(source, record)
            target = self._without_others(self._target(task.path, is_new=task.target_is_new), listing, context)
            self.copier.hand_on_layout(source, target)
        if listing.chunks == 1:
            chunk = ChunkTask(task.path, "", 0, target.is_new, b"" if target.is_new else task.recorded)
            complete = self._chunk(chunk, listing.chunk(0), source, target, context)
        else:
            if target.is_new:  # what may be recorded is of a copy that is gone, in other chunks
                context.store(task.path, DIR_RECORD, b"")
            # Empty ones too: what is recorded of names that are gone goes.
            self.send_chunks(task.path, listing, context, target_is_new=target.is_new, empty_too=True)
            complete = self.recheck
        if complete:
            self._finish(source, status, target, record, listing.chunks, context)

    def _forget(self, path: str, context: WorkerContext) -> None:
        """Remove the copy of a directory that is gone: if it comes back, a copy of it is made anew."""
        parent, _, name = path.rpartition("/")
        with contextlib.suppress(FileNotFoundError):
            self._target(parent).remove(name)
        self.note_change(path, context)

    def _part(self, task: ChunkTask, context: WorkerContext) -> None:
        try:
            source = self._enter_again(task.path)
        except ChangedError:
            context.store(task.path, task.chunk, b"")  # nothing of it was looked at
            self.note_change(task.path, context)
            return
        self._chunk(task, task.listed(), source, self._target(task.path, is_new=task.target_is_new), context)

    def _without_others(self, target: Target, listing: DirListing, context: WorkerContext) -> Target:
        """The directory of the copy, after names that the source has not were removed from it."""
        if target.is_new:
            return target
        there = DirListing.read(target.descriptor, self.chunk_size, listing.chunks)
        target = Target(target.path, target.descriptor, is_new=not there.count)
        for number in range(listing.chunks if there.count else 0):
            for name in set(there.chunk(number)) - set(listing.chunk(number)):
                target.remove(bare(name))
                self.note_change(below(target.path, bare(name)), context)
        return target

    def _finish(
        self,
        source: int,
        status: os.stat_result,
        target: Target,
        record: Record | None,
        chunks: int,
        context: WorkerContext,
    ) -> None:
        """Give a directory of the copy its attributes, unless its record proves that it has them."""
        now = os.fstat(target.descriptor)
        if record and record.size == chunks and record.proves_source(status) and record.proves_copy(now):
            return
        now = finish(source, status, target.descriptor)
        self.copier.make_durable(target.descriptor)
        context.store(target.path, DIR_RECORD, pack_dir_record(status, now, chunks))

    def _chunk(self, task: ChunkTask, names: list[str], source: int, target: Target, context: WorkerContext) -> bool:
        """Copy the entries of these names; False if some of them are left to other tasks."""
        chunk = ChunkCopy(self, task, source, target, context)
        if TABLE_LOCK in names:
            context.send(TableSeen(task.path))
        try:
            chunk.copy(names)
        except Exception:
            if chunk.rows:
                with contextlib.suppress(OSError):  # the first error is the one to report
                    context.send(ManifestUpdate(task.path, task.chunk, pack_rows(chunk.rows), replace=False))
            raise
        if chunk.rows != chunk.recorded or target.is_new:
            context.store(task.path, task.chunk, pack_rows(chunk.rows))
        for message in chunk.left:
            context.send(message)
        # What is recorded below a directory that came back is of a copy that was removed when it went.
        self.send_subdirs(task.path, chunk.made, context, target_is_new=True)
        if len(chunk.made) < len(names):
            made = set(chunk.made)
            self.send_subdirs(task.path, [name for name in names if name not in made], context)
        return chunk.complete

    def _large_file(self, task: LargeFileTask, context: WorkerContext) -> None:
        path = below(task.path, task.name)
        try:
            file, status = self._open_again(task.name, self._enter_again(task.path))
            try:
                recorded = task.recorded if identity(status) == task.identity else b""
                now, digest = self.copier.file(task.name, file, status, self._target(task.path), context, recorded)
            finally:
                os.close(file)
            segment = pack_rows({task.name: row_of(status, now, digest)})
            context.send(ManifestUpdate(task.path, task.chunk, segment, replace=False))
        except (ChangedError, FileNotFoundError):
            pass  # the next walk sees what became of it
        except (OSError, DiffersError) as error:
            raise self.path_error(error, path) from error
        self.note_change(path, context)
        context.count(1)

    def _hardlinks(self, task: HardlinksTask, context: WorkerContext) -> None:
        """Copy a file with several names under the first of them, and link the others to it."""
        anchor, first, status = -1, "", None
        record: Record | None = None
        linked = []
        path = ""
        try:
            for chunk, path in task.names:
                directory, _, name = path.rpartition("/")
                source = self._enter_again(directory)
                now = lstat(source, name)
                target = self._target(directory)
                target.remove(name)
                self.note_change(path, context)
                if record is None and now is not None:
                    record = self._first(name, source, now, target, context)
                    anchor, first, status = os.dup(target.descriptor), name, now
                elif now is not None and status is not None and _is_same_file(now, status):
                    os.link(first, name, src_dir_fd=anchor, dst_dir_fd=target.descriptor, follow_symlinks=False)
                else:
                    continue
                linked.append((directory, chunk, name))
                context.count(1)
            if record is not None:
                path = below(linked[0][0], first)
                copy = os.stat(first, dir_fd=anchor, follow_symlinks=False)
                record = record._replace(copy_changed=copy.st_ctime_ns)
                for directory, chunk, name in linked:
                    context.send(ManifestUpdate(directory, chunk, pack({name: record}), replace=False))
        except (ChangedError, FileNotFoundError):
            self.note_change(path, context)  # the next walk sees what became of it
        except (OSError, DiffersError) as error:
            raise self.path_error(error, path) from error
        finally:
            if anchor >= 0:
                os.close(anchor)

    def _first(self, name: str, source: int, status: os.stat_result, target: Target, context: WorkerContext) -> Record:
        if stat.S_ISDIR(status.st_mode):
            raise ChangedError
        if not stat.S_ISREG(status.st_mode):
            return record_of(status, *self.copier.special(name, source, status, target))
        file, status = self._open_again(name, source)
        try:
            return record_of(status, *self.copier.file(name, file, status, target, context))
        finally:
            os.close(file)

    def _enter_again(self, path: str) -> int:
        """Open a directory that was opened a while ago; raises :class:`ChangedError` if it is gone."""
        with _changed_if_gone():
            return self.enter(path)[0]

    def _open_again(self, name: str, directory: int) -> tuple[int, os.stat_result]:
        """Open a file whose stat was looked at a while ago; raises :class:`ChangedError` if it is none any more."""
        with _changed_if_gone():
            file = os.open(name, READ, dir_fd=directory)
        try:
            status = wait_for_clock_tick(file, os.fstat(file))
            if not stat.S_ISREG(status.st_mode):
                raise ChangedError
        except BaseException:
            os.close(file)
            raise
        return file, status


@contextlib.contextmanager
def _changed_if_gone() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise
        raise ChangedError from error


def _is_same_file(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_ctime_ns) == (other.st_ino, other.st_ctime_ns)
