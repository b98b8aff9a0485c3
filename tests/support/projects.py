"""Project IDs that stand for those of a file system, on one that has none."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from conveyor.filesystem.project_ids import Project, ProjectCalls
from support.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_stat, _open, _close, _readlink = os.stat, os.open, os.close, os.readlink  # before they are caught


class _OneByOne(ProjectCalls):
    """Calls that are not the kernel's: each entry is asked singly."""

    def others(self, directory: int, files: Sequence[str], usual: Project) -> list[str]:
        return [*files]

    def give(self, directory: int, files: Sequence[str], wanted: Project) -> list[str]:
        return [*files]


class NoProjects(_OneByOne):
    """A file system without project IDs, such as NFS."""

    def read(self, directory: int, name: str = ".", *, special: bool = False) -> Project:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))

    def set(self, directory: int, name: str, number: int, *, handed_on: bool, special: bool = False) -> None:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))


class RememberedProjects(_OneByOne):
    """IDs that are kept in memory, by inode: what is new has that of the directory that it is first seen in."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.refused = False
        self._known: dict[int, Project] = {}

    def read(self, directory: int, name: str = ".", *, special: bool = False) -> Project:
        folder = _readlink(f"/proc/self/fd/{directory}")
        return self._read(folder if name == "." else os.path.join(folder, name))

    def _read(self, path: str) -> Project:
        inode = _stat(path, follow_symlinks=False).st_ino
        if inode not in self._known:
            parent = self._read(os.path.dirname(path)) if path != "/" else Project(0)
            is_directory = os.path.isdir(path) and not os.path.islink(path)
            self._known[inode] = Project(parent.number, is_directory) if parent.handed_on else Project(0)
        return self._known[inode]

    def set(self, directory: int, name: str, number: int, *, handed_on: bool, special: bool = False) -> None:
        if self.read(directory, name) == (number, handed_on):
            return
        try:
            self.faults.point("set project")
            self._known[_stat(name, dir_fd=directory, follow_symlinks=False).st_ino] = Project(number, handed_on)
            self.faults.answer()
        except PermissionError:
            self.refused = True
            raise

    def keep_out(self, source: int, name: str, target: int) -> bool:
        """Tell if a rename is refused: into a directory that hands on another ID."""
        taken = self.read(target)
        return taken.handed_on and self.read(source, name).number != taken.number

    def tag(self, tree: Path, number: int) -> None:
        """Give an ID to a whole tree, which hands it on."""
        for path in (tree, *tree.rglob("*")):
            self._known[path.lstat().st_ino] = Project(number, handed_on=path.is_dir() and not path.is_symlink())

    def numbers(self, folder: Path, names: Iterable[str]) -> dict[str, int]:
        """The IDs of all that is in the directories of these names, by their paths from the folder."""
        found = {}
        for name in names:
            for above, folders, files in os.walk(folder / name):
                directory = _open(above, os.O_RDONLY)
                for one in (".", *folders, *files):
                    found[os.path.relpath(os.path.join(above, one), folder)] = self.read(directory, one).number
                _close(directory)
        return found
