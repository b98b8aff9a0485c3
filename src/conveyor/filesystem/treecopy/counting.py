"""How much there is in a tree, what its copy needs, and whether there is room for that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.errors import SpaceMissingError
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.filesystem.treecopy.estimate import Survey
from conveyor.filesystem.treecopy.messages import Job, Need, Task
from conveyor.filesystem.treecopy.scheduler import Crew

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt
    from conveyor.filesystem.treecopy.messages import Message


_RECORD = 256  # bytes of a manifest for each file: 90 to 210 were measured, and names can be longer


@dataclass(frozen=True, slots=True)
class Counted:
    """How much is in a tree, and what its copy needs besides what an earlier run left of it."""

    total: Totals
    need: Need

    @property
    def manifest_need(self) -> Need:
        """What the manifest of the copy needs, about."""
        return Need(_RECORD * self.total.files, 1)


def count(source: PathAt, target: DirFd, copy: PathAt | None, options: CopyOptions, watch: CopyMonitor) -> Counted:
    """Visit a whole tree. ``target`` is a folder in the file system of the copy, ``copy`` what an earlier run left of it.

    Raises :class:`OSError`, also of what cannot be copied.
    """
    need = Need(0, 0)

    def take(message: Message) -> None:
        nonlocal need
        if isinstance(message, Need):
            need = plus(need, message)

    with error_context("copy", source.path, target.path):
        unit = os.statvfs(target.descriptor).f_frsize
    visit = Survey(source, copy, options.run, unit)
    total = Crew(visit, options, watch, "survey", Totals(), take=take).run([Task(Job.FOLDER, "")])
    return Counted(total, need)


def plus(one: Need, other: Need) -> Need:
    return Need(one.bytes + other.bytes, one.inodes + other.inodes)


def check_room(need: Need, target: DirFd, source: Path) -> None:
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
