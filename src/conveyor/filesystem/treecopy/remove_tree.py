"""Whole trees removed, by several processes where they are large. Links go, what they point at stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.filesystem.posix import DirFd
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt, Totals
from conveyor.filesystem.treecopy.messages import Job, Task
from conveyor.filesystem.treecopy.names import IS_DIRECTORY, IS_SPECIAL, DirListing, bare
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.walk import TreeWalk, below

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


_RUN = 256


def remove_tree(tree: PathAt, options: CopyOptions | None = None, watch: CopyMonitor | None = None) -> None:
    """Remove a directory and all below it; read-only folders of ours are opened.

    Raises :class:`OSError` with the path; a file system that is mounted inside is refused when it is met.
    """
    walk = RemoveWalk(tree, (options or CopyOptions()).chunk_size)
    Scheduler(walk, options or CopyOptions(), watch or CopyMonitor(), "remove", Totals()).run([Task(Job.FOLDER, "")])
    walk.finish()


class RemoveWalk(TreeWalk):
    """Removes what is in a folder, and the folders that have none in them; ``sweep`` removes the others."""

    operation = "remove"

    def do(self, task: Task, context: WorkerContext) -> None:
        directory, _ = self.enter(task.path)
        if directories := self._empty(task.path, directory, context):
            self.send_subdirectories(task.path, directories, context)
        elif task.path:
            self._remove_folder(task.path)

    def finish(self) -> None:
        """Remove what is left: folders that had folders in them, and whatever came meanwhile."""
        way = [""]
        try:
            while way:
                path = way[-1]
                directory, _ = self.enter(path)
                if directories := self._empty(path, directory):
                    way += [below(path, bare(name)) for name in directories]
                    continue
                way.pop()
                self._remove_folder(path)
        except OSError as error:
            raise self.path_error(error, way[-1] if way else "") from error
        finally:
            self.close()

    def _remove_folder(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        if path:
            os.rmdir(name, dir_fd=self._stack.open(parent))
        else:
            os.rmdir(self.tree.name, dir_fd=self.tree.directory.descriptor)

    def _empty(self, path: str, directory: int, context: WorkerContext | None = None) -> list[str]:
        """Remove all but the folders in a folder; the folders."""
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
            os.fchmod(directory, 0o700)
        names = DirListing.read(directory, self.chunk_size)
        directories = []
        current = ""
        try:
            for number in range(names.chunks):
                for name in names.chunk(number):
                    if name.endswith(IS_DIRECTORY) and not name.endswith(IS_SPECIAL):
                        directories.append(name)
                        continue
                    current = bare(name)
                    os.unlink(current, dir_fd=directory)
                    if context:
                        context.count(1)
        except OSError as error:
            raise self.path_error(error, below(path, current)) from error
        return directories


def remove_directory_at(directory: int, name: str) -> None:
    """Remove a directory that stands in the way of something, by this process alone."""
    RemoveWalk(PathAt(DirFd(Path(), directory, os.close), name), _RUN).finish()
