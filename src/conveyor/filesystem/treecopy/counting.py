"""How much there is in a tree, what its copy needs, and whether there is room for that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.errors import SpaceMissingError
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.filesystem.treecopy.estimate import EstimateWalk
from conveyor.filesystem.treecopy.messages import Job, SpaceNeeded, Task
from conveyor.filesystem.treecopy.scheduler import Scheduler

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt
    from conveyor.filesystem.treecopy.messages import Message


_RECORD = 256  # bytes of a manifest for each file: 90 to 210 were measured, and names can be longer


@dataclass(frozen=True, slots=True)
class Estimate:
    """How much is in a tree, and what its copy needs besides what an earlier run left of it."""

    total: Totals
    needed: SpaceNeeded

    @property
    def manifest_needed(self) -> SpaceNeeded:
        """What the manifest of the copy needs, about."""
        return SpaceNeeded(_RECORD * self.total.files, 1)


def estimate(source: PathAt, target: DirFd, copy: PathAt | None, options: CopyOptions, watch: CopyMonitor) -> Estimate:
    """Visit a whole tree. ``target`` is a folder in the file system of the copy, ``copy`` what an earlier run left of it.

    Raises :class:`OSError`, also of what cannot be copied.
    """
    need = SpaceNeeded(0, 0)

    def take(message: Message) -> None:
        nonlocal need
        if isinstance(message, SpaceNeeded):
            need = add_needs(need, message)

    with error_context("copy", source.path, target.path):
        unit = os.statvfs(target.descriptor).f_frsize
    walk = EstimateWalk(source, copy, options.chunk_size, unit)
    total = Scheduler(walk, options, watch, "survey", Totals(), on_message=take).run([Task(Job.FOLDER, "")])
    return Estimate(total, need)


def add_needs(one: SpaceNeeded, other: SpaceNeeded) -> SpaceNeeded:
    return SpaceNeeded(one.bytes + other.bytes, one.inodes + other.inodes)


def check_space(need: SpaceNeeded, target: DirFd, source: Path) -> None:
    """Raise :class:`SpaceMissingError` where a file system has no room for the copy of what is at ``source``."""
    with error_context("copy", source, target.path):
        space = os.statvfs(target.descriptor)
    free, what = space.f_bavail * space.f_frsize, None
    if need.bytes > free:
        what = f"{need.bytes} bytes more in {target.path}, and {free} are free"
    elif space.f_files and need.inodes > space.f_favail:  # some file systems do not count inodes
        what = f"{need.inodes} inodes more in {target.path}, and {space.f_favail} are free"
    if what:
        raise SpaceMissingError(f"the copy of {source} needs {what}")
