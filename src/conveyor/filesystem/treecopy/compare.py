"""The visits that compare a tree with its manifest: by a look at each entry, or by reading all of it."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.content import Content
from conveyor.filesystem.treecopy.copy_options import Side
from conveyor.filesystem.treecopy.digest import digest_of
from conveyor.filesystem.treecopy.entries import READ, look
from conveyor.filesystem.treecopy.messages import Found, Job, Row, Task
from conveyor.filesystem.treecopy.names import bare
from conveyor.filesystem.treecopy.records import Record, is_kept, pack, unpack
from conveyor.filesystem.treecopy.walk import Visit, below, own_record

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import CopyOptions, PathAt
    from conveyor.filesystem.treecopy.worker_context import Desk


class What(StrEnum):
    """What became of an entry since it was copied.

    ``rotted``: its content is another one, although nobody wrote to it: its size, times and inode are as they were.
    ``touched``: only its time, mode or owner changed.
    """

    CHANGED = "changed"
    TOUCHED = "touched"
    ROTTED = "rotted"
    MISSING = "missing"
    NEW = "new"


class Look(Visit):
    """Whether each entry of one side still is what the manifest says, told by a look at it alone."""

    operation = "compare"

    def __init__(self, tree: PathAt, run: int, side: Side) -> None:
        super().__init__(tree, run)
        self.proves = Record.proves_source if side is Side.SOURCE else Record.proves_copy

    def do(self, task: Task, desk: Desk) -> None:
        folder, status = self.enter(task.path)
        if task.job is Job.RUN:
            self.compare(task, folder, task.names.split("\0") if task.names else [], desk)
            return
        own = own_record(task)
        if own is None:
            desk.emit(Found(task.path, What.NEW))
            return
        if (what := self.folder_became(task.path, own, status)) is not None:
            desk.emit(Found(task.path, what))
        # The root was renamed since: it does not show whether it has the names that it had.
        steady = task.path and self.proves(own, status)
        listed = self.recorded(task, folder, own) if steady else self.names(folder, own)
        if listed.parts == 1:
            self.compare(task, folder, listed.part(0), desk)
            return
        for number in range(listed.parts):  # all of them: what is missing is missed in its part
            desk.emit(Task(Job.RUN, task.path, "\0".join(listed.part(number)), number))

    def compare(self, task: Task, folder: int, names: list[str], desk: Desk) -> None:
        """Compare what the names of a part of a folder stand for with its records."""
        known = unpack(task.known)
        bares = [bare(name) for name in names]
        found = {}
        current = ""
        try:
            for current in bares:
                record = known.get(current)
                what = What.NEW if record is None else self.became(folder, current, record, desk)
                if what is not None:
                    found[current] = what
        except OSError as error:
            raise self.named(error, below(task.path, current)) from error
        found |= dict.fromkeys(known.keys() - set(bares), What.MISSING)
        for name, what in found.items():
            desk.emit(Found(below(task.path, name), what))
        self.after(task, known, found, desk)
        self.go_down(task.path, [name for name in names if bare(name) not in found], desk)

    def folder_became(self, path: str, own: Record, status: os.stat_result) -> What | None:
        """What became of a folder itself. To rename the root changes its status, so that of this one nothing is told."""
        if not path:
            own = own._replace(source_changed=status.st_ctime_ns, copy_changed=status.st_ctime_ns)
        return None if self.proves(own, status) else What.CHANGED

    def became(self, folder: int, name: str, record: Record, desk: Desk) -> What | None:
        """What became of an entry; None where it is as it was. Folders are told of when they are visited."""
        status = look(folder, name)
        if status is None:
            return What.MISSING
        if stat.S_ISDIR(record.mode):
            return None if stat.S_ISDIR(status.st_mode) else What.CHANGED
        desk.tick(1, status.st_size)
        return None if self.proves(record, status) else What.CHANGED

    def after(self, task: Task, known: dict[str, Record], found: dict[str, What], desk: Desk) -> None:
        """A part has been compared."""


class Reading(Look):
    """Whether each entry still has the content that the manifest says, told by reading all of it.

    With ``anew``, what the kernel has in memory of a file is dropped before, so that it comes from the disk.
    With ``forget``, what rotted is taken out of the manifest, so that it is copied again.
    """

    operation = "read back"

    def __init__(
        self, tree: PathAt, options: CopyOptions, block: int, side: Side, *, anew: bool = False, forget: bool = False
    ) -> None:
        super().__init__(tree, options.run, side)
        self._content = Content(options.buffer, block, read_back=False)
        self._anew = anew
        self._forget = forget

    def folder_became(self, path: str, own: Record, status: os.stat_result) -> What | None:
        return None if own.mode == status.st_mode else What.TOUCHED

    def became(self, folder: int, name: str, record: Record, desk: Desk) -> What | None:
        status = look(folder, name)
        if status is None:
            return What.MISSING
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(record.mode):
            return What.CHANGED
        if stat.S_ISDIR(record.mode):
            return None
        desk.tick(1)
        as_written = self.proves(record, status)
        if record.size == status.st_size and self._digest(folder, name, record, desk) == record.digest:
            same = record.mode == status.st_mode and is_kept(record.modified, status.st_mtime_ns)
            return None if same else What.TOUCHED
        return What.ROTTED if as_written else What.CHANGED

    def _digest(self, folder: int, name: str, record: Record, desk: Desk) -> bytes:
        if stat.S_ISLNK(record.mode):
            return digest_of(os.fsencode(os.readlink(name, dir_fd=folder)))
        if not stat.S_ISREG(record.mode):
            return record.digest
        file = os.open(name, READ, dir_fd=folder)
        try:
            if self._anew:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            return self._content.digest(file, record.size, desk)
        finally:
            os.close(file)

    def after(self, task: Task, known: dict[str, Record], found: dict[str, What], desk: Desk) -> None:
        if self._forget and found:
            kept = {name: record for name, record in known.items() if name not in found}
            desk.emit(Row(task.path, task.part, pack(kept), replace=True))
