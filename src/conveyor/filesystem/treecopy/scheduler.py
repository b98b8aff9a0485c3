"""Work on a tree, in the calling process while there is little of it, otherwise in several forked ones.

Forked processes, not threads: Python with threads is slower here than without. The calling process dispatches tasks and
takes messages; each worker has two batches, so that none waits for the next, and keeps most of what it finds. A worker that
dies is an error, and workers die with the process that forked them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from conveyor.filesystem.processors import processors
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.filesystem.treecopy.messages import DirTask, LargeFileTask, Task
from conveyor.filesystem.treecopy.task_queue import TaskQueue
from conveyor.filesystem.treecopy.worker_context import SharedCounters, WorkerContext, interrupted_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions
    from conveyor.filesystem.treecopy.messages import Message
    from conveyor.filesystem.treecopy.walk import TreeWalk
    from conveyor.filesystem.treecopy.workers import WorkerPool

ROOT = DirTask("")
_ALL = 1 << 62
_UNDER_WAY = 2  # batches of a worker
_PATIENCE = 0.1  # seconds until stop() is asked again
# Of a light walk, the calling process does so many times the entries, as long as that takes no more seconds than to start
# others, end them and have them come to their first task: on a server that is slow to answer it does.
_LIGHT, _QUICK = 10, 0.05
_PROGRESS = 0.25  # seconds between two reports of progress


class Scheduler:
    """One phase of the work on a tree.

    ``prepare`` adds what the manifest knows to a task, in the process that performs it. If it is ``central``, in this one,
    so that every task is dispatched by it; otherwise a worker keeps what it finds, and gives half away if another has none.
    ``on_message`` gets every message but the tasks; ``on_idle`` is called now and then. ``before`` is what earlier parts of
    the phase have done.
    """

    def __init__(
        self,
        walk: TreeWalk,
        options: CopyOptions,
        monitor: CopyMonitor,
        phase: str,
        total: Totals,
        *,
        prepare: Callable[[Task], Task] = lambda task: task,
        central: bool = False,
        on_message: Callable[[Message], None] = lambda _: None,
        on_idle: Callable[[], None] = lambda: None,
        before: Totals | None = None,
    ) -> None:
        self._walk = walk
        self._options = options
        self._monitor = monitor
        self._phase = phase
        self._total = total
        self._prepare = prepare
        self._central = central
        self._on_message = on_message
        self._on_idle = on_idle
        self._before = before or Totals()
        self._queue = TaskQueue(())
        # Each large file keeps a processor busy.
        self._most_large = min(options.workers, processors())
        self._counters = SharedCounters(options.workers, options.max_rate)
        self._reported = 0.0

    def run(self, first: Iterable[Task] = (ROOT,)) -> Totals:
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
            self._walk.close()
            self._counters.close()

    def _run_here(self) -> None:
        context, begun = WorkerContext(self._counters, 0, self._receive, self._poll), time.monotonic()
        is_alone = self._options.workers == 1
        while self._queue and (is_alone or self._is_little(context, begun)):
            for task in self._queue.pop_siblings(1 if is_alone else _ALL, large=True):
                context.begin()
                self._walk.perform(self._prepare(task), context)
            context.flush()
            self._on_idle()
        if (gathered := self._walk.gathered()) is not None:
            self._receive(gathered)
        context.checkpoint()

    def _is_little(self, context: WorkerContext, begun: float) -> bool:
        """Tell if what is done here since a monotonic time, and what is known to come, is not worth other processes."""
        most, is_light = self._options.fork_after, self._walk.is_light
        if is_light and time.monotonic() - begun < _QUICK:
            most *= _LIGHT
        return (
            max(context.files + 1, self._total.files) <= most  # the total is 0 if nothing is known
            and (is_light or context.bytes < self._options.block)
            and not self._queue.has_large
        )

    def _run_forked(self) -> None:
        from conveyor.filesystem.treecopy.workers import WorkerPool

        self._walk.close()  # each process opens its own
        prepare = None if self._central else self._prepare
        with WorkerPool(self._walk, self._counters, self._options.workers, prepare) as pool:
            self._dispatch(pool)
            while pool.busy:
                for message in pool.messages(_PATIENCE):
                    self._receive(message)
                if pool.error is None:
                    self._poll()
                    self._on_idle()
                    self._dispatch(pool)
            if pool.error is not None:
                raise pool.error
            if self._queue:
                raise interrupted_error()

    def _dispatch(self, pool: WorkerPool) -> None:
        if self._counters.stopped:
            return
        pop = self._queue.pop_siblings if self._central else self._queue.pop
        for load in range(_UNDER_WAY):
            for worker in pool.workers:
                if len(worker.under_way) != load or LargeFileTask in worker.under_way:
                    continue
                large = self._queue.has_large and pool.number_with(LargeFileTask) < self._most_large
                if batch := pop(_UNDER_WAY * self._options.workers, large=large):
                    pool.send(worker, [self._prepare(task) for task in batch] if self._central else batch)
        self._counters.hungry = not self._queue and not all(worker.under_way for worker in pool.workers)

    def _receive(self, message: Message) -> None:
        if isinstance(message, Task):
            self._queue.push(message)
        else:
            self._on_message(message)

    def _poll(self) -> None:
        if self._monitor.stop():
            self._counters.stop()
        if time.monotonic() - self._reported >= _PROGRESS:
            self._report(self._done(), self._total)

    def _done(self) -> Totals:
        done = self._counters.done()
        return Totals(self._before.files + done.files, self._before.bytes + done.bytes)

    def _report(self, done: Totals, total: Totals) -> None:
        self._reported = time.monotonic()
        self._monitor.progress(self._phase, done, total)
