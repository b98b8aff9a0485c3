"""Whole trees removed, by several processes where they are large. Links go, what they point at stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.filesystem.posix import DirFd
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt, Totals
from conveyor.filesystem.treecopy.messages import Job, Task
from conveyor.filesystem.treecopy.names import IS_FOLDER, IS_SPECIAL, Names, bare
from conveyor.filesystem.treecopy.scheduler import Crew
from conveyor.filesystem.treecopy.walk import Visit, below

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.worker_context import Desk


_RUN = 256


def remove_tree(tree: PathAt, options: CopyOptions | None = None, watch: CopyMonitor | None = None) -> None:
    """Remove a directory and all below it; read-only folders of ours are opened.

    Raises :class:`OSError` with the path; a file system that is mounted inside is refused when it is met.
    """
    visit = Removal(tree, (options or CopyOptions()).run)
    Crew(visit, options or CopyOptions(), watch or CopyMonitor(), "remove", Totals()).run([Task(Job.FOLDER, "")])
    visit.sweep()


class Removal(Visit):
    """Removes what is in a folder, and the folders that have none in them; ``sweep`` removes the others."""

    operation = "remove"

    def do(self, task: Task, desk: Desk) -> None:
        folder, _ = self.enter(task.path)
        if folders := self._empty(task.path, folder, desk):
            self.go_down(task.path, folders, desk)
        elif task.path:
            self._remove_folder(task.path)

    def sweep(self) -> None:
        """Remove what is left: folders that had folders in them, and whatever came meanwhile."""
        way = [""]
        try:
            while way:
                path = way[-1]
                folder, _ = self.enter(path)
                if folders := self._empty(path, folder):
                    way += [below(path, bare(name)) for name in folders]
                    continue
                way.pop()
                self._remove_folder(path)
        except OSError as error:
            raise self.named(error, way[-1] if way else "") from error
        finally:
            self.close()

    def _remove_folder(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        if path:
            os.rmdir(name, dir_fd=self._way.open(parent))
        else:
            os.rmdir(self.tree.name, dir_fd=self.tree.folder.descriptor)

    def _empty(self, path: str, folder: int, desk: Desk | None = None) -> list[str]:
        """Remove all but the folders in a folder; the folders."""
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
            os.fchmod(folder, 0o700)
        names = Names.read(folder, self.run)
        folders = []
        current = ""
        try:
            for number in range(names.parts):
                for name in names.part(number):
                    if name.endswith(IS_FOLDER) and not name.endswith(IS_SPECIAL):
                        folders.append(name)
                        continue
                    current = bare(name)
                    os.unlink(current, dir_fd=folder)
                    if desk:
                        desk.tick(1)
        except OSError as error:
            raise self.named(error, below(path, current)) from error
        return folders


def clear(folder: int, name: str) -> None:
    """Remove a directory that stands in the way of something, by this process alone."""
    Removal(PathAt(DirFd(Path(), folder, os.close), name), _RUN).sweep()
