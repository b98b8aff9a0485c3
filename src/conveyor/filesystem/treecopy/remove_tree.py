"""Remove whole trees, by several processes if they are large. Links go, their targets stay."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.filesystem.posix import DirFd
from conveyor.filesystem.treecopy.content import DiffersError
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt, Totals
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.walk import DirListing, TreeWalk, bare, below, is_directory, others_than_directories

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.messages import Task
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


# Errors of what this account may not remove, or what a process holds: where NFS keeps an open file under another name
# (".nfs..."), its removal is EBUSY, and that of its directory ENOTEMPTY.
_KEPT = frozenset({errno.EPERM, errno.EACCES, errno.EBUSY, errno.ENOTEMPTY})
_OPEN = frozenset({errno.EBUSY, errno.ENOTEMPTY})
_EXAMPLES = 5
_OPENED = stat.S_IWUSR | stat.S_IXUSR


@dataclass
class Remains:
    """The number of entries that could not be removed, and the errors of the first few of them, with their paths."""

    number: int = 0
    errors: list[OSError] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.number > 0

    def __str__(self) -> str:
        first = self.errors[0]
        name, more = os.path.basename(first.filename), f" and {self.number - 1} more" if self.number > 1 else ""
        why = "a process holds it open" if first.errno in _OPEN else os.strerror(first.errno or 0)
        return f"{name}: {why}{more}"

    def add(self, errors: list[OSError]) -> None:
        self.number += len(errors)
        self.errors += errors[: _EXAMPLES - len(self.errors)]


def remove_tree(tree: PathAt, options: CopyOptions | None = None, monitor: CopyMonitor | None = None) -> None:
    """Remove a directory and all below it; read-only directories of this account are opened.

    Raises :class:`OSError` with the path; a file system that is mounted inside is refused when it is met.
    """
    _remove(RemoveWalk(tree, (options or CopyOptions()).chunk_size), options, monitor)


def remove_what_can_be_removed(
    tree: PathAt, options: CopyOptions | None = None, monitor: CopyMonitor | None = None
) -> Remains:
    """The same, but what this account may not remove, or what a process holds, stays with the directories above it."""
    walk = RemoveWalk(tree, (options or CopyOptions()).chunk_size, Remains())
    _remove(walk, options, monitor)
    return walk.remains or Remains()


def _remove(walk: RemoveWalk, options: CopyOptions | None, monitor: CopyMonitor | None) -> None:
    Scheduler(walk, options or CopyOptions(), monitor or CopyMonitor(), "remove", Totals()).run()
    walk.finish()


def remove_directory_at(parent: int, name: str) -> None:
    """Remove a directory that stands in the way of something, by this process alone."""
    RemoveWalk(PathAt(DirFd(Path(), parent, os.close), name), CopyOptions().chunk_size).finish()


class RemoveWalk(TreeWalk):
    """Removes entries, and directories that have no directories in them; ``finish`` removes the others.

    With ``remains``, what cannot be removed is no error, and is told there when the walk is finished.
    """

    operation = "remove"
    is_light = True

    def __init__(self, tree: PathAt, chunk_size: int, remains: Remains | None = None) -> None:
        super().__init__(tree, chunk_size)
        self.remains = remains

    def do(self, task: Task, context: WorkerContext) -> None:
        try:
            subdirs, kept = self._empty(task.path, context)
        except OSError as error:
            self._make_sure_that_it_may_stay(error, task.path)
            return
        if subdirs:
            self.send_subdirs(task.path, subdirs, context)
        elif task.path and not kept:
            self._rmdir(task.path)

    def finish(self) -> None:
        """Remove what is left: directories that had directories in them, and whatever came meanwhile."""
        paths, staying = [""], set[str]()
        try:
            while paths:
                path = paths[-1]
                try:
                    subdirs, kept = self._empty(path)
                except OSError as error:
                    subdirs, kept = [], [self._make_sure_that_it_may_stay(error, path)]
                below_it = [below(path, bare(name)) for name in subdirs]
                if left := [one for one in below_it if one not in staying]:
                    paths += left
                    continue
                paths.pop()
                if not (kept or below_it):
                    kept = self._rmdir(path)
                if self.remains is not None:
                    self.remains.add(kept)
                    if kept or below_it:
                        staying.add(path)
        except DiffersError as error:
            raise self.path_error(error, paths[-1]) from error
        finally:
            self.close()

    def _rmdir(self, path: str) -> list[OSError]:
        """Remove an empty directory; the error if it has to stay."""
        parent, _, name = path.rpartition("/")
        try:
            if path:
                os.rmdir(name, dir_fd=self._stack.open(parent))
            else:
                os.rmdir(self.tree.name, dir_fd=self.tree.directory.descriptor)
        except OSError as error:
            return [self._make_sure_that_it_may_stay(error, path)]
        return []

    def _empty(self, path: str, context: WorkerContext | None = None) -> tuple[list[str], list[OSError]]:
        """Remove all but the subdirectories of a directory; these, and the errors of what has to stay."""
        directory, status = self.enter(path)
        may_write = status.st_mode & _OPENED == _OPENED  # if it is this account's
        if not (may_write or os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True)):
            with contextlib.suppress(PermissionError):  # another account's: so are what is in it, or it stays
                os.fchmod(directory, 0o700)
        listing = DirListing.read(directory, self.chunk_size)
        subdirs, kept = list[str](), list[OSError]()
        for number in range(listing.chunks):
            names = listing.chunk(number)
            others = others_than_directories(names)
            if len(others) < len(names):
                subdirs += filter(is_directory, names)
            self._unlink(path, directory, others, kept)
            if context:
                context.count(len(others))
        return subdirs, kept

    def _unlink(self, path: str, directory: int, names: list[str], kept: list[OSError]) -> None:
        """Remove files, links and the like from a directory; the errors of those that have to stay are added to ``kept``."""
        left, name = iter(names), ""
        while True:
            try:
                for name in left:
                    os.unlink(name, dir_fd=directory)
                return
            except OSError as error:
                kept.append(self._make_sure_that_it_may_stay(error, below(path, name)))

    def _make_sure_that_it_may_stay(self, error: OSError, path: str) -> OSError:
        """The error with its path; raises it unless it is of what may stay behind."""
        named = self.path_error(error, path)
        if self.remains is None or error.errno not in _KEPT or not isinstance(named, OSError):
            raise named from error
        return named
