"""Give a whole tree other project IDs, after those that it has are recorded; by several processes if it is large.

The root is not touched: whoever moves it sets its ID first. Directories get theirs before anything in them is looked at, so
that what is made meanwhile has the new one already. A tree that has been given some of its IDs is given the rest.
"""

from __future__ import annotations

import errno
import os
from abc import abstractmethod
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conveyor.filesystem.project_ids import NO_PROJECT, Project
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt, Totals
from conveyor.filesystem.treecopy.messages import EntryKept, ProjectSeen
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.walk import TreeWalk, bare, below, is_directory, is_special
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conveyor.filesystem.project_ids import ProjectCalls
    from conveyor.filesystem.treecopy.messages import Message, Task
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

# Errors of what this account may not tag: another one's file, or one that nobody may change.
_KEPT = frozenset({errno.EPERM, errno.EACCES})
_EXAMPLES = 3


@frozen
class TreeProjects:
    """The projects of the entries of a tree: the ``usual`` one, and those of the inodes that have others."""

    usual: Project
    others: Mapping[Project, frozenset[int]] = field(default_factory=dict)

    def of(self, inode: int) -> Project:
        return next((project for project, inodes in self.others.items() if inode in inodes), self.usual)


@dataclass
class KeptEntries:
    """The number of entries that keep the ID that they had, and the paths of the first few, from the tree's root."""

    number: int = 0
    examples: list[str] = field(default_factory=list)


def record_projects(
    tree: PathAt, usual: Project, calls: ProjectCalls, options: CopyOptions, monitor: CopyMonitor
) -> TreeProjects:
    """Look at each entry of a tree. Raises :class:`OSError`."""
    others = defaultdict[Project, set[int]](set)

    def on_message(message: Message) -> None:
        if isinstance(message, ProjectSeen):
            others[Project(message.number, message.handed_on)].add(message.inode)

    _run(_RecordWalk(tree, options.chunk_size, calls, usual), options, monitor, on_message)
    return TreeProjects(usual, {project: frozenset(inodes) for project, inodes in others.items()})


def retag(
    tree: PathAt, wanted: TreeProjects, calls: ProjectCalls, options: CopyOptions, monitor: CopyMonitor
) -> KeptEntries:
    """Give each entry below a tree's root the project that is wanted; what this account may not change is told.

    Raises :class:`OSError`: EDQUOT if the quota of a project has no room for it.
    """
    kept = KeptEntries()

    def on_message(message: Message) -> None:
        if isinstance(message, EntryKept):
            kept.number += 1
            kept.examples += [message.path][: _EXAMPLES - len(kept.examples)]

    _run(_RetagWalk(tree, options.chunk_size, calls, wanted), options, monitor, on_message)
    return kept


def _run(walk: _ProjectWalk, options: CopyOptions, monitor: CopyMonitor, on_message: Callable[[Message], None]) -> None:
    Scheduler(walk, options, monitor, "project IDs", Totals(), on_message=on_message).run()


class _ProjectWalk(TreeWalk):
    """Visits each entry below the root; links and special files may have no ID that can be told."""

    is_light = True

    def __init__(self, tree: PathAt, chunk_size: int, calls: ProjectCalls) -> None:
        super().__init__(tree, chunk_size)
        self._projects = calls

    def do(self, task: Task, context: WorkerContext) -> None:
        try:
            directory, _ = self.enter(task.path)
        except FileNotFoundError:  # somebody removed it
            if task.path:
                return
            raise
        if (names := self.names_of(task, directory, context)) is None:
            return
        others = set(self.at_once(directory, [name for name in names if "/" not in name]))
        for name in names:
            if "/" in name or name in others:
                self._visit(directory, name, task.path, context)
        context.count(len(names))
        self.send_subdirs(task.path, names, context)

    def _visit(self, directory: int, name: str, path: str, context: WorkerContext) -> None:
        try:
            self.entry(directory, name, path, context)
        except FileNotFoundError:  # somebody removed it
            pass
        except OSError as error:
            if not (is_special(name) and error.errno in NO_PROJECT):
                raise self.path_error(error, below(path, bare(name))) from error

    @abstractmethod
    def at_once(self, directory: int, files: list[str]) -> list[str]:
        """Do what is to be done with the files of a directory, as far as that is simple; return the other ones."""

    @abstractmethod
    def entry(self, directory: int, name: str, path: str, context: WorkerContext) -> None:
        """Do what is to be done with an entry, by its marked name, of the directory at a path. Raises :class:`OSError`."""


class _RecordWalk(_ProjectWalk):
    """Tells which entries have another project than most."""

    operation = "look for project IDs"

    def __init__(self, tree: PathAt, chunk_size: int, calls: ProjectCalls, usual: Project) -> None:
        super().__init__(tree, chunk_size, calls)
        self._usual, self._usual_of_files = usual, Project(usual.number)

    def at_once(self, directory: int, files: list[str]) -> list[str]:
        return self._projects.others(directory, files, self._usual_of_files)

    def entry(self, directory: int, name: str, path: str, context: WorkerContext) -> None:
        found = self._projects.read(directory, bare(name), special=is_special(name))
        if found != (self._usual if is_directory(name) else self._usual_of_files):
            context.send(ProjectSeen(_inode(directory, name), found.number, found.handed_on))


class _RetagWalk(_ProjectWalk):
    """Sets the project of each entry."""

    operation = "set the project ID"

    def __init__(self, tree: PathAt, chunk_size: int, calls: ProjectCalls, wanted: TreeProjects) -> None:
        super().__init__(tree, chunk_size, calls)
        self._wanted = wanted

    def at_once(self, directory: int, files: list[str]) -> list[str]:
        return files if self._wanted.others else self._projects.give(directory, files, self._wanted.usual)

    def entry(self, directory: int, name: str, path: str, context: WorkerContext) -> None:
        project = self._wanted.of(_inode(directory, name)) if self._wanted.others else self._wanted.usual
        handed_on = project.handed_on and is_directory(name)
        try:
            self._projects.set(directory, bare(name), project.number, handed_on=handed_on, special=is_special(name))
        except OSError as error:
            if error.errno not in _KEPT:
                raise
            context.send(EntryKept(below(path, bare(name))))


def _inode(directory: int, name: str) -> int:
    return os.stat(bare(name), dir_fd=directory, follow_symlinks=False).st_ino
