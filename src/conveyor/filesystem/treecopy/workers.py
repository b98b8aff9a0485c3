"""The forked processes of a scheduler, and the channels to them."""

from __future__ import annotations

import os
import selectors
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from conveyor.filesystem import forking
from conveyor.filesystem.treecopy.messages import BlockDigests, ChunkTask, DirTask, ManifestRows, SubdirsTask
from conveyor.filesystem.treecopy.task_queue import TaskQueue
from conveyor.filesystem.treecopy.worker_context import WorkerContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.filesystem.treecopy.messages import Message, Task
    from conveyor.filesystem.treecopy.walk import TreeWalk
    from conveyor.filesystem.treecopy.worker_context import SharedCounters

_FLUSH = 64  # messages that a worker sends together at most
_AT_ONCE = (ManifestRows, BlockDigests)  # which are many records, or stand for much that was copied
_KEPT = (SubdirsTask, DirTask, ChunkTask)

#: A worker's answer: messages, the error that ended its batch, and True if the batch is done.
BatchResult = tuple[list["Message"], BaseException | None, bool]


class _Worker:
    """One forked process; ``under_way`` are the kinds of the batches that it has."""

    def __init__(self, pid: int, channel: forking.Channel) -> None:
        self.pid = pid
        self.channel = channel
        self.under_way: deque[type[Any]] = deque()


class WorkerPool:
    """Forked processes that perform one walk. ``error`` is the first that one of them met; it asks all to stop.

    They keep the tasks that they find, except large files, and ``prepare`` them; without it they send all of them back.
    """

    def __init__(
        self,
        walk: TreeWalk,
        counters: SharedCounters,
        number: int,
        prepare: Callable[[Task], Task] | None = None,
    ) -> None:
        self.error: BaseException | None = None
        self.workers: list[_Worker] = []
        self._counters = counters
        self._selector = selectors.DefaultSelector()
        try:
            for slot in range(1, number + 1):
                others = [worker.channel for worker in self.workers]
                pid, channel = forking.start(partial(_serve, walk, counters, slot, prepare), others)
                channel.set_blocking(blocking=False)  # the two sides would wait for each other
                self.workers.append(_Worker(pid, channel))
                self._selector.register(channel.inlet, selectors.EVENT_READ, self.workers[-1])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        return any(worker.under_way for worker in self.workers)

    def number_with(self, kind: type[Task]) -> int:
        """The number of workers that have such a task under way."""
        return sum(kind in worker.under_way for worker in self.workers)

    def send(self, worker: _Worker, batch: list[Task]) -> None:
        """Give a worker something to do."""
        worker.under_way.append(type(batch[0]))
        worker.channel.send(batch)
        self._watch(worker)

    def _watch(self, worker: _Worker) -> None:
        """Wait for room in a worker's pipe as long as something is left to send."""
        outlet, registered = worker.channel.outlet, worker.channel.outlet in self._selector.get_map()
        if worker.channel.unsent and not registered:
            self._selector.register(outlet, selectors.EVENT_WRITE, worker)
        elif registered and not worker.channel.unsent:
            self._selector.unregister(outlet)

    def messages(self, patience: float) -> Iterator[Message]:
        """The messages of the workers that send something within ``patience`` seconds."""
        for key, events in self._selector.select(patience):
            worker: _Worker = key.data
            if events & selectors.EVENT_WRITE:
                worker.channel.flush()
                self._watch(worker)
                continue
            results: list[BatchResult] = worker.channel.read()
            for messages, error, at_end in results:
                yield from messages
                if error is not None:
                    self._fail(error)
                if at_end:
                    worker.under_way.popleft()
            if worker.channel.ended:
                self._lose(worker)
                return

    def _fail(self, error: BaseException) -> None:
        self._counters.stop()
        self.error = self.error or error

    def _lose(self, lost: _Worker) -> None:
        """Note that a worker died. The others are not waited for: they may wait for what it held."""
        pid, lost.pid = lost.pid, 0
        self._fail(forking.died_error(pid, "that copied"))
        for worker in self.workers:
            worker.under_way.clear()

    def close(self) -> None:
        """End all of them: an idle one ends by itself; the others are killed, and lose nothing that is not done again."""
        self._selector.close()
        for worker in self.workers:
            worker.channel.close()
            if worker.pid and (worker.under_way or self.error is not None):
                forking.end(worker.pid)
            elif worker.pid:
                forking.wait(worker.pid)
        self.workers = []


def _serve(
    walk: TreeWalk,
    counters: SharedCounters,
    slot: int,
    prepare: Callable[[Task], Task] | None,
    channel: forking.Channel,
) -> None:
    """Perform batches of tasks until there are no more."""
    os.umask(0)
    messages: list[Message] = []
    queue = TaskQueue(())

    def answer(error: BaseException | None, *, at_end: bool) -> None:
        channel.send((messages, error, at_end))
        messages.clear()

    def send(message: Message) -> None:
        if prepare is not None and isinstance(message, _KEPT):
            queue.push(message)
            return
        messages.append(message)
        if len(messages) >= _FLUSH or isinstance(message, _AT_ONCE):
            answer(None, at_end=False)

    def work() -> None:
        context.checkpoint()  # whoever was asked to stop begins nothing more
        while queue:
            context.begin()
            task = queue.pop_one()
            walk.perform(task if prepare is None else prepare(task), context)
            if counters.hungry and (given := queue.split()):
                messages.extend(given)
                answer(None, at_end=False)
        context.flush()
        if (gathered := walk.gathered()) is not None:
            send(gathered)
        context.checkpoint()

    context = WorkerContext(counters, slot, send)
    while True:
        for task in reversed(channel.receive()):
            queue.push(task)
        error = None
        try:
            work()
        except Exception as caught:  # noqa: BLE001 - whatever it is, the parent has to know
            error = caught
            context.flush()
        answer(error, at_end=True)
