"""Project IDs that stand for those of a file system, on one that has none."""

from __future__ import annotations

import errno
import os

from conveyor.filesystem.project_ids import Project, ProjectCalls


class NoProjects(ProjectCalls):
    """A file system without project IDs, such as NFS."""

    def read(self, directory: int, name: str = ".") -> Project:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))

    def set(self, directory: int, name: str, number: int, *, handed_on: bool) -> None:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
