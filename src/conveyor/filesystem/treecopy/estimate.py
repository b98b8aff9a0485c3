"""Estimate a copy before it is begun: how much a tree has, the space that its copy needs, and if there is so much."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.errors import SpaceMissingError
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.content import UncopyableEntryError
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.filesystem.treecopy.entries import UNSUPPORTED, lstat
from conveyor.filesystem.treecopy.messages import ChunkTask, SpaceNeeded
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.walk import DirStack, TreeWalk, bare, below, is_directory

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt
    from conveyor.filesystem.treecopy.messages import Message, Task
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

_BLOCK = 512  # bytes, the unit of st_blocks
_COPIED = frozenset({stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR})
_RECORD = 256  # bytes of a manifest for each file: 90 to 210 were measured, and names can be longer


@dataclass(frozen=True, slots=True)
class Estimate:
    """The totals of a tree, and the space that its copy needs besides what an earlier run left of it."""

    total: Totals
    needed: SpaceNeeded

    @property
    def manifest_needed(self) -> SpaceNeeded:
        """The space that the manifest of the copy needs, about."""
        return SpaceNeeded(_RECORD * self.total.files, 1)


def estimate(
    source: PathAt, target: DirFd, copy: PathAt | None, options: CopyOptions, monitor: CopyMonitor
) -> Estimate:
    """Walk a whole tree. ``target`` is a directory in the file system of the copy, ``copy`` what an earlier run left of it.

    Raises :class:`OSError`, and :class:`UncopyableError` of what cannot be copied.
    """
    needed = SpaceNeeded(0, 0)

    def on_message(message: Message) -> None:
        nonlocal needed
        if isinstance(message, SpaceNeeded):
            needed = add_needs(needed, message)

    with error_context("copy", source.path, target.path):
        unit = os.statvfs(target.descriptor).f_frsize or _BLOCK
    walk = EstimateWalk(source, copy, options.chunk_size, unit)
    total = Scheduler(walk, options, monitor, "survey", Totals(), on_message=on_message).run()
    return Estimate(total, needed)


def add_needs(one: SpaceNeeded, other: SpaceNeeded) -> SpaceNeeded:
    return SpaceNeeded(one.bytes + other.bytes, one.inodes + other.inodes)


def check_space(needed: SpaceNeeded, target: DirFd, source: Path) -> None:
    """Raise :class:`SpaceMissingError` if a file system has no room for the copy of what is at ``source``."""
    with error_context("copy", source, target.path):
        space = os.statvfs(target.descriptor)
    free, missing = space.f_bavail * space.f_frsize, None
    # Some file systems do not count inodes, or tell nothing at all of their size: then only trying tells.
    if space.f_blocks and needed.bytes > free:
        missing = f"{needed.bytes} bytes more in {target.path}, and {free} are free"
    elif space.f_files and needed.inodes > space.f_favail:
        missing = f"{needed.inodes} inodes more in {target.path}, and {space.f_favail} are free"
    if missing:
        raise SpaceMissingError(f"the copy of {source} needs {missing}")


class EstimateWalk(TreeWalk):
    """Counts entries, and the space that they need; ``copy`` is what an earlier run left, which needs no more of it.

    ``unit`` is the size of the target's blocks, in bytes.
    """

    operation = "copy"

    def __init__(self, source: PathAt, copy: PathAt | None, chunk_size: int, unit: int) -> None:
        super().__init__(source, chunk_size)
        self._unit = unit
        self._copy_stack = DirStack(copy.directory.descriptor, copy.name) if copy else None

    def close(self) -> None:
        super().close()
        if self._copy_stack:
            self._copy_stack.close()

    def do(self, task: Task, context: WorkerContext) -> None:
        directory, _ = self.enter(task.path)
        if isinstance(task, ChunkTask):
            names = task.listed()
        else:
            listing = self.listing(directory, None)
            if listing.chunks > 1:
                self.send_chunks(task.path, listing, context)
                return
            names = listing.chunk(0)
        copy = self._open_copy(task.path)
        needed, inodes = 0, 0
        for name in names:
            status = None if is_directory(name) else lstat(directory, bare(name))
            if status is not None:
                kind = stat.S_IFMT(status.st_mode)
                if kind not in _COPIED:
                    raise self.path_error(UncopyableEntryError(UNSUPPORTED), below(task.path, bare(name)))
                share = status.st_nlink  # each name of a file has its share of it
                needed += self._space(status) // share
                inodes += share == 1
                context.count(1, status.st_size // share if kind == stat.S_IFREG else 0)
            elif is_directory(name):
                needed += self._unit
                inodes += 1
            if copy >= 0 and (there := lstat(copy, bare(name))) is not None:
                needed -= there.st_blocks * _BLOCK // (1 if is_directory(name) else there.st_nlink)
                inodes -= 1
        context.send(SpaceNeeded(needed, inodes))
        self.send_subdirs(task.path, names, context)

    def _open_copy(self, path: str) -> int:
        if self._copy_stack is not None:
            try:
                return self._copy_stack.open(path)
            except OSError:  # whatever stands there, it makes room
                pass
        return -1

    def _space(self, status: os.stat_result) -> int:
        """The space that a file needs: no more than it takes here, since it may have holes."""
        return -(-min(status.st_size, status.st_blocks * _BLOCK) // self._unit) * self._unit
