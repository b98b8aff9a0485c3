"""The visit that copies. What the manifest proves stays; the rest is copied, or copied again.

The same visit is the last look at the source: where it finds nothing to copy, the source still is what was copied.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.attributes import finish
from conveyor.filesystem.treecopy.copy_entries import Part, settled
from conveyor.filesystem.treecopy.descent import Descent
from conveyor.filesystem.treecopy.differs import ChangedError, DiffersError
from conveyor.filesystem.treecopy.entries import READ, Entries, Target, identity, look
from conveyor.filesystem.treecopy.messages import Found, Job, Row, Task
from conveyor.filesystem.treecopy.names import Names, bare
from conveyor.filesystem.treecopy.records import Record, pack, record_of
from conveyor.filesystem.treecopy.walk import Visit, below, own_record, own_row

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import CopyOptions, PathAt
    from conveyor.filesystem.treecopy.worker_context import Desk


class Copy(Visit):
    """``again`` says that this is no first visit: what it copies has changed meanwhile, and is told as ``changed``."""

    operation = "copy"

    def __init__(self, source: PathAt, copy: PathAt, options: CopyOptions, *, again: bool, flush: bool) -> None:
        super().__init__(source, options.run, copy)
        self._copy = Descent(copy.folder.descriptor, copy.name)
        self._entries = Entries(options, flush=flush)
        self._ahead = options.ahead
        self._again = again

    def close(self) -> None:
        super().close()
        self._copy.close()

    def do(self, task: Task, desk: Desk) -> None:
        match task.job:
            case Job.FOLDER:
                self._folder(task, desk)
            case Job.RUN:
                source, _ = self.enter(task.path)
                self._part(task, task.names.split("\0"), source, self._target(task.path, fresh=task.fresh), desk)
            case Job.BIG:
                self._big(task, desk)
            case Job.GROUP:
                self._group(task, desk)

    def _target(self, path: str, *, fresh: bool = False) -> Target:
        return Target(path, self._copy.open(path), fresh=fresh)

    def _folder(self, task: Task, desk: Desk) -> None:
        own = own_record(task)
        try:
            source, status = self.enter(task.path)
        except (FileNotFoundError, NotADirectoryError):
            if not task.path:
                raise
            self._changed(task.path, desk)  # its parent's next visit sees what became of it
            return
        status = settled(source, status)
        descriptor = self._copy.open(task.path)
        if self._again and own is not None and own.proves_source(status):
            names = self.recorded(task, source, own)
            target = Target(task.path, descriptor, fresh=False)
        else:
            names = self.names(source, own)
            target = self._cleared(task, names, descriptor, desk)
        if names.parts == 1:
            whole = self._part(task, names.part(0), source, target, desk)
        else:
            self.hand_on(task, names, desk, fresh=target.fresh)
            whole = self._again
        if whole:
            now = os.fstat(descriptor)
            if not (own and own.size == names.parts and own.proves_source(status) and own.proves_copy(now)):
                now = finish(source, status, descriptor)
                self._entries.make_durable(descriptor)
                desk.emit(own_row(task.path, record_of(status, now, parts=names.parts)))

    def _cleared(self, task: Task, names: Names, descriptor: int, desk: Desk) -> Target:
        """The folder of the copy, without what the source has not."""
        if task.fresh:
            return Target(task.path, descriptor, fresh=True)
        there = Names.read(descriptor, self.run, names.parts)
        target = Target(task.path, descriptor, fresh=not there.count)
        for number in range(names.parts if there.count else 0):
            for name in set(there.part(number)) - set(names.part(number)):
                target.clear(bare(name))
                self._changed(below(task.path, bare(name)), desk)
        return target

    def _part(self, task: Task, names: list[str], source: int, target: Target, desk: Desk) -> bool:
        """Copy what these names of a folder stand for; False where some of it is left to others."""
        part = Part(task, source, target, self._entries, desk, ahead=self._ahead, again=self._again, named=self.named)
        try:
            part.copy(names)
        except Exception:
            if part.records:
                with contextlib.suppress(OSError):  # what went wrong first is what is told
                    desk.emit(Row(task.path, task.part, pack(part.records), replace=False))
            raise
        if part.records != part.known:
            desk.emit(Row(task.path, task.part, pack(part.records), replace=True))
        self.go_down(task.path, names, desk, fresh=target.fresh)
        return part.whole

    def _big(self, task: Task, desk: Desk) -> None:
        path, name = below(task.path, task.names), task.names
        try:
            source, _ = self.enter(task.path)
            file = os.open(name, READ, dir_fd=source)
            try:
                status = os.fstat(file)
                known = task.known if identity(status) == task.own else b""
                record = self._entries.file(name, file, status, self._target(task.path), desk, known)
            finally:
                os.close(file)
            desk.emit(Row(task.path, task.part, pack({name: record}), replace=False))
        except (ChangedError, FileNotFoundError):
            pass
        except (OSError, DiffersError) as error:
            raise self.named(error, path) from error
        self._changed(path, desk)
        desk.tick(1)

    def _group(self, task: Task, desk: Desk) -> None:
        """Copy a file with several names under the first of them, and link the others to it."""
        anchor, first, status = -1, "", None
        record: Record | None = None
        linked = []
        path = ""
        try:
            for member in task.names.split("\0"):
                part, _, path = member.partition("/")
                folder, _, name = path.rpartition("/")
                source, _ = self.enter(folder)
                now = look(source, name)
                target = self._target(folder)
                target.clear(name)
                self._changed(path, desk)
                if record is None and now is not None:
                    record = self._first(name, source, now, target, desk)
                    anchor, first, status = os.dup(target.descriptor), name, now
                elif now is not None and status is not None and _same(now, status):
                    os.link(first, name, src_dir_fd=anchor, dst_dir_fd=target.descriptor, follow_symlinks=False)
                else:
                    continue
                linked.append((folder, int(part), name))
                desk.tick(1)
            if record is not None:
                path = below(linked[0][0], first)
                copy = os.stat(first, dir_fd=anchor, follow_symlinks=False)
                record = record._replace(copy_changed=copy.st_ctime_ns)
                for folder, number, name in linked:
                    desk.emit(Row(folder, number, pack({name: record}), replace=False))
        except (ChangedError, FileNotFoundError):
            pass  # the next visit sees what became of it
        except (OSError, DiffersError) as error:
            raise self.named(error, path) from error
        finally:
            if anchor >= 0:
                os.close(anchor)

    def _first(self, name: str, source: int, status: os.stat_result, target: Target, desk: Desk) -> Record:
        if not stat.S_ISREG(status.st_mode):
            return self._entries.special(name, source, status, target)
        file = os.open(name, READ, dir_fd=source)
        try:
            return self._entries.file(name, file, os.fstat(file), target, desk)
        finally:
            os.close(file)

    def _changed(self, path: str, desk: Desk) -> None:
        if self._again:
            desk.emit(Found(path, "changed"))


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_ctime_ns) == (other.st_ino, other.st_ctime_ns)
