"""The tasks of a walk that are still to be done: of all processes together, or of one of them."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.messages import DirTask, LargeFileTask, SubdirsTask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conveyor.filesystem.treecopy.messages import Task

_SIBLINGS = 16  # directories of one batch at most


class TaskQueue:
    """Tasks that are still to be done: large files first, since they take longest, and otherwise the last that came."""

    def __init__(self, first: Iterable[Task]) -> None:
        self._first = iter(first)
        self._tasks: list[Task] = []
        self._large: deque[Task] = deque()

    def push(self, task: Task) -> None:
        if isinstance(task, LargeFileTask):
            self._large.append(task)
        else:
            self._tasks.append(task)

    def __bool__(self) -> bool:
        if not (self._tasks or self._large):
            self._tasks += itertools.islice(self._first, 1)
        return bool(self._tasks or self._large)

    @property
    def has_large(self) -> bool:
        return bool(self._large)

    def pop(self, share: int, *, large: bool) -> list[Task]:
        """A batch: one task, or the ``share``-th part of the subdirectories of one directory, not yet one by one.

        Empty if only large files are left, and none is wanted.
        """
        if large and self._large:
            return [self._large.popleft()]
        if not self._tasks:
            return list(itertools.islice(self._first, 1))
        task = self._tasks.pop()
        if isinstance(task, SubdirsTask):
            task = self._part(task, (task.names.count("\0") + 1) // share)
        return [task]

    def pop_siblings(self, share: int, *, large: bool) -> list[Task]:
        """The same, but the subdirectories one by one, 16 at most."""
        batch = self.pop(share, large=large)
        if not (batch and isinstance(batch[0], SubdirsTask)):
            return batch
        task = self._part(batch[0], _SIBLINGS)
        prefix = task.path + "/" if task.path else ""
        return [DirTask(prefix + name, task.target_is_new) for name in task.names.split("\0")]

    def pop_one(self) -> Task:
        """The next task that is no directory's subdirectories, but one of these."""
        self._tasks += reversed(self.pop_siblings(1, large=True))
        return self._tasks.pop()

    def _part(self, task: SubdirsTask, most: int) -> SubdirsTask:
        """So many of the subdirectories, or one; the others stay."""
        *names, rest = [*task.names.split("\0", max(1, most)), ""][: max(1, most) + 1]
        if rest:
            self._tasks.append(task._replace(names=rest))
        return task._replace(names="\0".join(names))

    def split(self) -> list[Task]:
        """Half of the tasks, those that have waited longest, since most is below them; empty if there is but one."""
        half = len(self._tasks) // 2
        given, self._tasks = self._tasks[:half], self._tasks[half:]
        return given
