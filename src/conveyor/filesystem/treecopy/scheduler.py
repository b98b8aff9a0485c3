"""Work on a tree, in the calling process while there is little of it, otherwise in several forked ones.

Forked processes, not threads: Python with threads is slower here than without. The calling process hands out work and
takes messages; two batches are under way for each worker, so that none waits for it. A worker that dies is an error, and
workers die with the process that forked them.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.filesystem.treecopy.messages import Job, Task
from conveyor.filesystem.treecopy.worker_context import SharedCounters, WorkerContext, interrupted_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions
    from conveyor.filesystem.treecopy.messages import Message
    from conveyor.filesystem.treecopy.workers import WorkerPool

_SIBLINGS = 16  # folders of one batch at most
_ALL = 1 << 62
_UNDER_WAY = 2  # batches
_PATIENCE = 0.1  # seconds until stop() is asked again
_PROGRESS = 0.25  # seconds between two reports of progress


class Visit(Protocol):
    """What is done with each task. Each process calls it for itself."""

    def perform(self, task: Task, context: WorkerContext) -> None:
        """Do it; what comes of it, further tasks too, goes to ``desk.emit``."""

    def close(self) -> None:
        """Give back the descriptors that this process holds open."""


class TaskQueue:
    """What is still to be done: big files first, since they take longest, and otherwise the last that came."""

    def __init__(self, first: Iterable[Task]) -> None:
        self._first = iter(first)
        self._tasks: list[Task] = []
        self._big: deque[Task] = deque()

    def push(self, task: Task) -> None:
        if task.job is Job.BIG:
            self._big.append(task)
        else:
            self._tasks.append(task)

    def __bool__(self) -> bool:
        if not (self._tasks or self._big):
            self._tasks += itertools.islice(self._first, 1)
        return bool(self._tasks or self._big)

    @property
    def has_big(self) -> bool:
        return bool(self._big)

    def pop(self, share: int, *, big: bool) -> list[Task]:
        """A batch: one task, or the ``share``-th part of the folders of one parent, but not too many.

        None where there are big files only, and none is wanted.
        """
        if big and self._big:
            return [self._big.popleft()]
        if not self._tasks:
            return list(itertools.islice(self._first, 1))
        task = self._tasks.pop()
        if task.job is not Job.FOLDERS:
            return [task]
        most = max(1, min(_SIBLINGS, (task.names.count("\0") + 1) // share))
        names = task.names.split("\0", most)
        if len(names) > most:
            self._tasks.append(task._replace(names=names.pop()))
        prefix = task.path + "/" if task.path else ""
        return [Task(Job.FOLDER, prefix + name, target_is_new=task.target_is_new) for name in names]


class Scheduler:
    """One phase of the work on a tree.

    ``prepare`` adds to a task, when it is handed out, what the manifest knows; ``take`` gets every message but the tasks;
    ``beat`` is called now and then. ``before`` is what earlier parts of the phase have done.
    """

    def __init__(
        self,
        walk: Visit,
        options: CopyOptions,
        watch: CopyMonitor,
        phase: str,
        total: Totals,
        *,
        prepare: Callable[[Task], Task] = lambda task: task,
        on_message: Callable[[Message], None] = lambda _: None,
        on_idle: Callable[[], None] = lambda: None,
        before: Totals | None = None,
    ) -> None:
        self._visit = walk
        self._options = options
        self._watch = watch
        self._phase = phase
        self._total = total
        self._prepare = prepare
        self._on_message = on_message
        self._on_idle = on_idle
        self._before = before or Totals()
        self._queue = TaskQueue(())
        # Each big file keeps a processor busy.
        self._most_big = min(options.workers, len(os.sched_getaffinity(0)))
        self._board = SharedCounters(options.workers, options.max_rate)
        self._reported = 0.0

    def run(self, first: Iterable[Task]) -> Totals:
        """Do these tasks and all that come of them; how much that was. Raises what a task raised."""
        self._queue = TaskQueue(first)
        try:
            self._report(self._done(), self._total)
            self._run_here()
            if self._queue:
                self._run_forked()
            done = self._done()
            self._report(done, self._total if self._total.files else done)
            return done
        finally:
            self._visit.close()
            self._board.close()

    def _run_here(self) -> None:
        context = WorkerContext(self._board, 0, self._receive, self._poll)
        options = self._options
        while self._queue and (
            options.workers == 1
            or (context.files < options.fork_after and context.bytes < options.block and not self._queue.has_big)
        ):
            for task in self._queue.pop(_ALL, big=True):
                context.checkpoint()
                self._visit.perform(self._prepare(task), context)
            self._on_idle()
        context.checkpoint()

    def _run_forked(self) -> None:
        from conveyor.filesystem.treecopy.workers import WorkerPool

        self._visit.close()  # each process opens its own
        with WorkerPool(self._visit, self._board, self._options.workers) as workers:
            self._dispatch(workers)
            while workers.busy:
                for message in workers.messages(_PATIENCE):
                    self._receive(message)
                if workers.error is None:
                    self._poll()
                    self._on_idle()
                    self._dispatch(workers)
            if workers.error is not None:
                raise workers.error
            if self._queue:
                raise interrupted_error()

    def _receive(self, message: Message) -> None:
        if isinstance(message, Task):
            self._queue.push(message)
        else:
            self._on_message(message)

    def _poll(self) -> None:
        if self._watch.stop():
            self._board.stop()
        if time.monotonic() - self._reported >= _PROGRESS:
            self._report(self._done(), self._total)

    def _done(self) -> Totals:
        done = self._board.done()
        return Totals(self._before.files + done.files, self._before.bytes + done.bytes)

    def _report(self, done: Totals, total: Totals) -> None:
        self._reported = time.monotonic()
        self._watch.progress(self._phase, done, total)

    def _dispatch(self, workers: WorkerPool) -> None:
        if self._board.stopped:
            return
        for load in range(_UNDER_WAY):
            for worker in workers.all:
                if len(worker.under_way) != load or Job.BIG in worker.under_way:
                    continue
                batch = self._queue.pop(
                    _UNDER_WAY * self._options.workers, big=workers.busy_with(Job.BIG) < self._most_big
                )
                if batch:
                    workers.send(worker, [self._prepare(task) for task in batch])
