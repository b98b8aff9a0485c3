"""What the visits to a tree have in common: the way to each folder, its names by part, and whole paths in errors."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from conveyor.errors import CopyDiffersError
from conveyor.filesystem.error_context import error_context, path_error
from conveyor.filesystem.treecopy.descent import DirStack
from conveyor.filesystem.treecopy.differs import DiffersError
from conveyor.filesystem.treecopy.messages import Job, ManifestUpdate, Task
from conveyor.filesystem.treecopy.names import IS_DIRECTORY, IS_SPECIAL, DirListing, bare
from conveyor.filesystem.treecopy.records import DIR_RECORD, Record, pack, unpack

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


def below(path: str, name: str) -> str:
    """The path of a name in a folder, both from the tree's root."""
    return f"{path}/{name}" if path else name


def unpack_dir_record(task: Task) -> Record | None:
    """What the manifest says of the folder itself."""
    return unpack(task.dir_record).get("")


def dir_update(path: str, record: Record) -> ManifestUpdate:
    return ManifestUpdate(path, DIR_RECORD, pack({"": record}), replace=True)


class TreeWalk(ABC):
    """A visit to the folders of a tree. ``run`` is the number of names that make a part.

    ``copy`` is what the visit makes of the tree, if it makes one; an error may be of either side, and names both.
    """

    operation = "visit"

    def __init__(self, tree: PathAt, chunk_size: int, copy: PathAt | None = None) -> None:
        self.tree = tree
        self._copy_of = copy
        self.chunk_size = chunk_size
        self._stack = DirStack(tree.directory.descriptor, tree.name)
        with error_context(self.operation, tree.path):
            self._device = os.stat(tree.name, dir_fd=tree.directory.descriptor, follow_symlinks=False).st_dev

    def perform(self, task: Task, context: WorkerContext) -> None:
        """Do a task; an error has the whole path of what it met."""
        try:
            self.do(task, context)
        except (OSError, DiffersError) as error:
            raise self.path_error(error, task.path) from error

    @abstractmethod
    def do(self, task: Task, context: WorkerContext) -> None:
        """Do a task, and emit what comes of it. Raises :class:`OSError` and :class:`DiffersError`."""

    def close(self) -> None:
        self._stack.close()

    def enter(self, path: str) -> tuple[int, os.stat_result]:
        """Open a folder of the tree; one of another file system, mounted there, is refused."""
        directory = self._stack.open(path)
        status = os.fstat(directory)
        if status.st_dev != self._device:
            raise OSError(errno.EXDEV, "another file system is mounted here")
        return directory, status

    def listing(self, directory: int, dir_record: Record | None) -> DirListing:
        """The folder's names, in the parts that the manifest knows them by."""
        return DirListing.read(directory, self.chunk_size, dir_record.size if dir_record else None)

    def recorded_listing(self, task: Task, directory: int, dir_record: Record) -> DirListing:
        """The same of a folder whose record proves that it has the names that it had; they need not be read then."""
        return (
            DirListing.recorded(unpack(task.recorded)) if dir_record.size == 1 else self.listing(directory, dir_record)
        )

    def send_chunks(
        self, task: Task, names: DirListing, context: WorkerContext, *, target_is_new: bool = False
    ) -> None:
        """Leave the parts of a folder that has many names to whoever has time."""
        for number in range(names.chunks):
            if part := names.chunk(number):
                context.send(Task(Job.RUN, task.path, "\0".join(part), number, target_is_new))

    def send_subdirectories(
        self, path: str, names: list[str], context: WorkerContext, *, target_is_new: bool = False
    ) -> None:
        """Leave the folders among the names to whoever has time."""
        if directories := [
            bare(name) for name in names if name.endswith(IS_DIRECTORY) and not name.endswith(IS_SPECIAL)
        ]:
            context.send(Task(Job.FOLDERS, path, "\0".join(directories), target_is_new=target_is_new))

    def path_error(self, error: OSError | DiffersError, path: str) -> Exception:
        """The error with the operation and the whole path in it, unless one is there that says it more closely."""
        complete = self.tree.path / path
        if isinstance(error, DiffersError):
            return CopyDiffersError(f"{error}: {complete}")
        if isinstance(error.filename, str) and error.filename.startswith("/"):
            return error
        return path_error(error, self.operation, complete, self._copy_of.path / path if self._copy_of else None)
