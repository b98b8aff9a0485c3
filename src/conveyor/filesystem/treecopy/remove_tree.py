"""Remove whole trees, by several processes if they are large. Links go, their targets stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.filesystem.posix import DirFd
from conveyor.filesystem.treecopy.content import DiffersError
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt, Totals
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.walk import DirListing, TreeWalk, bare, below, is_directory

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.messages import Task
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


def remove_tree(tree: PathAt, options: CopyOptions | None = None, monitor: CopyMonitor | None = None) -> None:
    """Remove a directory and all below it; read-only directories of this account are opened.

    Raises :class:`OSError` with the path; a file system that is mounted inside is refused when it is met.
    """
    options = options or CopyOptions()
    walk = RemoveWalk(tree, options.chunk_size)
    Scheduler(walk, options, monitor or CopyMonitor(), "remove", Totals()).run()
    walk.finish()


def remove_directory_at(parent: int, name: str) -> None:
    """Remove a directory that stands in the way of something, by this process alone."""
    RemoveWalk(PathAt(DirFd(Path(), parent, os.close), name), CopyOptions().chunk_size).finish()


class RemoveWalk(TreeWalk):
    """Removes entries, and directories that have no directories in them; ``finish`` removes the others."""

    operation = "remove"

    def do(self, task: Task, context: WorkerContext) -> None:
        directory, _ = self.enter(task.path)
        if subdirs := self._empty(task.path, directory, context):
            self.send_subdirs(task.path, subdirs, context)
        elif task.path:
            self._rmdir(task.path)

    def finish(self) -> None:
        """Remove what is left: directories that had directories in them, and whatever came meanwhile."""
        paths = [""]
        try:
            while paths:
                path = paths[-1]
                directory, _ = self.enter(path)
                if subdirs := self._empty(path, directory):
                    paths += [below(path, bare(name)) for name in subdirs]
                    continue
                paths.pop()
                self._rmdir(path)
        except (OSError, DiffersError) as error:
            raise self.path_error(error, paths[-1] if paths else "") from error
        finally:
            self.close()

    def _rmdir(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        if path:
            os.rmdir(name, dir_fd=self._stack.open(parent))
        else:
            os.rmdir(self.tree.name, dir_fd=self.tree.directory.descriptor)

    def _empty(self, path: str, directory: int, context: WorkerContext | None = None) -> list[str]:
        """Remove all but the subdirectories of a directory; the subdirectories."""
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
            os.fchmod(directory, 0o700)
        listing = DirListing.read(directory, self.chunk_size)
        subdirs = []
        current = ""
        try:
            for number in range(listing.chunks):
                for name in listing.chunk(number):
                    if is_directory(name):
                        subdirs.append(name)
                        continue
                    current = bare(name)
                    os.unlink(current, dir_fd=directory)
                    if context:
                        context.count(1)
        except OSError as error:
            raise self.path_error(error, below(path, current)) from error
        return subdirs
