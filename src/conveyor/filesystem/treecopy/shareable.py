"""Count what of a tree could share its blocks with a copy: each file is cloned to a scratch file, which is dropped again."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.cloning import Cloner
from conveyor.filesystem.treecopy.content import ChangedError
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.filesystem.treecopy.entries import READ
from conveyor.filesystem.treecopy.messages import SpaceNeeded
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.target_limits import scratch_file
from conveyor.filesystem.treecopy.walk import TreeWalk, bare, is_directory, is_special, visit

if TYPE_CHECKING:
    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt
    from conveyor.filesystem.treecopy.messages import Message, Task
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

_BLOCK = 512  # bytes, the unit of st_blocks


class _EnoughError(Exception):
    """The end of a count that need not go on."""


def shareable(source: PathAt, target: DirFd, options: CopyOptions, monitor: CopyMonitor, enough: int) -> int:
    """The bytes of a tree that take no room in the file system of ``target``; counted until they are ``enough``.

    Raises :class:`OSError`.
    """
    spared = 0

    def on_message(message: Message) -> None:
        nonlocal spared
        if isinstance(message, SpaceNeeded):
            spared -= message.bytes
            if spared >= enough:
                raise _EnoughError

    walk = _ShareWalk(source, target, options.chunk_size)
    with contextlib.suppress(_EnoughError):
        Scheduler(walk, options, monitor, "survey", Totals(), on_message=on_message).run()
    return spared


def shares_any(source: PathAt, target: DirFd) -> bool:
    """Tell if any file of a tree takes no room in the file system of ``target``. Raises :class:`OSError`."""
    cloner = Cloner()
    with scratch_file(target) as scratch:
        for _, directory, files in visit(source, lambda entry: entry.is_file(follow_symlinks=False)):
            if any(_spared(cloner, directory, entry.name, scratch) for entry in files):
                return True
    return False


class _ShareWalk(TreeWalk):
    """Tells of each chunk what need not be copied of it, as room that is needed less."""

    operation = "copy"

    def __init__(self, source: PathAt, target: DirFd, chunk_size: int) -> None:
        super().__init__(source, chunk_size)
        self._target = target
        self._cloner = Cloner()

    def do(self, task: Task, context: WorkerContext) -> None:
        directory, _ = self.enter(task.path)
        if (names := self.names_of(task, directory, context)) is None:
            return
        with scratch_file(self._target) as scratch:
            files = (name for name in names if not is_directory(name) and not is_special(name))
            spared = 0
            for name in files:
                spared += _spared(self._cloner, directory, bare(name), scratch)
                context.count(1)
            context.send(SpaceNeeded(-spared, 0))
        self.send_subdirs(task.path, names, context)


def _spared(cloner: Cloner, directory: int, name: str, scratch: int) -> int:
    """The bytes of a file that its copy would share; each name of a file has its part of them."""
    with contextlib.suppress(FileNotFoundError, ChangedError):
        file = os.open(name, READ, dir_fd=directory)
        try:
            status = os.fstat(file)
            size = status.st_size
            if stat.S_ISREG(status.st_mode) and size >= cloner.least and cloner.clone(file, size, scratch):
                return min(size, status.st_blocks * _BLOCK) // status.st_nlink
        finally:
            os.close(file)
            os.ftruncate(scratch, 0)
    return 0
