"""The visit that counts, before anything is copied: how much there is, and whether all of it can be copied."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.descent import DirStack
from conveyor.filesystem.treecopy.entries import lstat, unsupported_error
from conveyor.filesystem.treecopy.messages import Job, SpaceNeeded, Task
from conveyor.filesystem.treecopy.names import IS_DIRECTORY, IS_SPECIAL, bare
from conveyor.filesystem.treecopy.walk import TreeWalk, below

if TYPE_CHECKING:
    import os

    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

_BLOCK = 512  # bytes, the unit of st_blocks
_COPIED = frozenset({stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR})


class EstimateWalk(TreeWalk):
    """``copy`` is what an earlier run left: what is there needs no more space. ``unit`` is the target's, in bytes."""

    operation = "copy"

    def __init__(self, source: PathAt, copy: PathAt | None, run: int, unit: int) -> None:
        super().__init__(source, run)
        self._unit = unit
        self._copy = DirStack(copy.directory.descriptor, copy.name) if copy else None

    def close(self) -> None:
        super().close()
        if self._copy:
            self._copy.close()

    def do(self, task: Task, context: WorkerContext) -> None:
        directory, _ = self.enter(task.path)
        if task.job is Job.RUN:
            names = task.names.split("\0")
        else:
            listed = self.listing(directory, None)
            if listed.chunks > 1:
                self.send_chunks(task, listed, context)
                return
            names = listed.chunk(0)
        copy = self._open_copy(task.path)
        need, inodes = 0, 0
        for name in names:
            is_folder = name.endswith(IS_DIRECTORY) and not name.endswith(IS_SPECIAL)
            status = None if is_folder else lstat(directory, bare(name))
            if status is not None:
                kind = stat.S_IFMT(status.st_mode)
                if kind not in _COPIED:
                    raise self.path_error(unsupported_error(), below(task.path, bare(name)))
                share = status.st_nlink  # each name of a file has its share of it
                need += self._space(status) // share
                inodes += share == 1
                context.count(1, status.st_size // share if kind == stat.S_IFREG else 0)
            elif is_folder:
                need += self._unit
                inodes += 1
            if copy >= 0 and (there := lstat(copy, bare(name))) is not None:
                need -= there.st_blocks * _BLOCK // (1 if is_folder else there.st_nlink)
                inodes -= 1
        context.send(SpaceNeeded(need, inodes))
        self.send_subdirectories(task.path, names, context)

    def _open_copy(self, path: str) -> int:
        if self._copy is not None:
            try:
                return self._copy.open(path)
            except OSError:  # whatever stands there, it makes room
                pass
        return -1

    def _space(self, status: os.stat_result) -> int:
        """What a file needs: no more than it takes here, where it may have holes."""
        return -(-min(status.st_size, status.st_blocks * _BLOCK) // self._unit) * self._unit
