"""What the visits to a tree have in common: the way to each folder, its names by part, and whole paths in errors."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from conveyor.errors import CopyDiffersError
from conveyor.filesystem.error_context import add_path, error_context
from conveyor.filesystem.treecopy.descent import Descent
from conveyor.filesystem.treecopy.differs import DiffersError
from conveyor.filesystem.treecopy.messages import Job, Row, Task
from conveyor.filesystem.treecopy.names import IS_FOLDER, IS_SPECIAL, Names, bare
from conveyor.filesystem.treecopy.records import OWN, Record, pack, unpack

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.worker_context import Desk


def below(path: str, name: str) -> str:
    """The path of a name in a folder, both from the tree's root."""
    return f"{path}/{name}" if path else name


def own_record(task: Task) -> Record | None:
    """What the manifest says of the folder itself."""
    return unpack(task.own).get("")


def own_row(path: str, record: Record) -> Row:
    return Row(path, OWN, pack({"": record}), replace=True)


class Visit(ABC):
    """A visit to the folders of a tree. ``run`` is the number of names that make a part.

    ``copy`` is what the visit makes of the tree, if it makes one; an error may be of either side, and names both.
    """

    operation = "visit"

    def __init__(self, tree: PathAt, run: int, copy: PathAt | None = None) -> None:
        self.tree = tree
        self._made = copy
        self.run = run
        self._way = Descent(tree.folder.descriptor, tree.name)
        with error_context(self.operation, tree.path):
            self._device = os.stat(tree.name, dir_fd=tree.folder.descriptor, follow_symlinks=False).st_dev

    def perform(self, task: Task, desk: Desk) -> None:
        """Do a task; an error has the whole path of what it met."""
        try:
            self.do(task, desk)
        except (OSError, DiffersError) as error:
            raise self.named(error, task.path) from error

    @abstractmethod
    def do(self, task: Task, desk: Desk) -> None:
        """Do a task, and emit what comes of it. Raises :class:`OSError` and :class:`DiffersError`."""

    def close(self) -> None:
        self._way.close()

    def enter(self, path: str) -> tuple[int, os.stat_result]:
        """Open a folder of the tree; one of another file system, mounted there, is refused."""
        folder = self._way.open(path)
        status = os.fstat(folder)
        if status.st_dev != self._device:
            raise OSError(errno.EXDEV, "another file system is mounted here")
        return folder, status

    def names(self, folder: int, own: Record | None) -> Names:
        """The folder's names, in the parts that the manifest knows them by."""
        return Names.read(folder, self.run, own.size if own else None)

    def recorded(self, task: Task, folder: int, own: Record) -> Names:
        """The same of a folder whose record proves that it has the names that it had; they need not be read then."""
        return Names.recorded(unpack(task.known)) if own.size == 1 else self.names(folder, own)

    def hand_on(self, task: Task, names: Names, desk: Desk, *, fresh: bool = False) -> None:
        """Leave the parts of a folder that has many names to whoever has time."""
        for number in range(names.parts):
            if part := names.part(number):
                desk.emit(Task(Job.RUN, task.path, "\0".join(part), number, fresh))

    def go_down(self, path: str, names: list[str], desk: Desk, *, fresh: bool = False) -> None:
        """Leave the folders among the names to whoever has time."""
        if folders := [bare(name) for name in names if name.endswith(IS_FOLDER) and not name.endswith(IS_SPECIAL)]:
            desk.emit(Task(Job.FOLDERS, path, "\0".join(folders), fresh=fresh))

    def named(self, error: OSError | DiffersError, path: str) -> Exception:
        """The error with the operation and the whole path in it, unless one is there that says it more closely."""
        whole = self.tree.path / path
        if isinstance(error, DiffersError):
            return CopyDiffersError(f"{error}: {whole}")
        if isinstance(error.filename, str) and error.filename.startswith("/"):
            return error
        return add_path(error, self.operation, whole, self._made.path / path if self._made else None)
