"""The forked processes of a crew, and the pipes to them."""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import struct
from collections import deque
from typing import TYPE_CHECKING

from conveyor.filesystem import forking
from conveyor.filesystem.treecopy.messages import Job, Message, Task
from conveyor.filesystem.treecopy.worker_context import SharedCounters, WorkerContext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.treecopy.scheduler import Visit

_HEAD = struct.Struct("Q")
_READ = 1 << 18
_FLUSH = 64  # messages that a worker sends together at most

#: What a worker sends: messages, the error that ended its batch, and whether the batch is at an end.
BatchResult = tuple[list[Message], BaseException | None, bool]


class WorkerPool:
    """Forked processes that perform one visit. ``error`` is the first that one of them met; all are asked to end by it."""

    def __init__(self, walk: Visit, counters: SharedCounters, number: int) -> None:
        self.error: BaseException | None = None
        self.all: list[_Worker] = []
        self._board = counters
        self._selector = selectors.DefaultSelector()
        try:
            for slot in range(1, number + 1):
                worker = _fork(walk, counters, slot, self.all)
                self.all.append(worker)
                self._selector.register(worker.outbox, selectors.EVENT_READ, worker)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        return any(worker.under_way for worker in self.all)

    def busy_with(self, job: Job) -> int:
        """How many have such a job under way."""
        return sum(job in worker.under_way for worker in self.all)

    def send(self, worker: _Worker, batch: list[Task]) -> None:
        """Give a worker something to do."""
        worker.under_way.append(batch[0].job)
        worker.waiting += pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)
        self._flush(worker)

    def _flush(self, worker: _Worker) -> None:
        """Send what the pipe takes, and the rest when it takes more: waiting here could be waiting for each other."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # that one died is noticed where it is read from
            while worker.waiting:
                del worker.waiting[: os.write(worker.inbox, bytes(worker.waiting[:_READ]))]
        registered = worker.inbox in self._selector.get_map()
        if worker.waiting and not registered:
            self._selector.register(worker.inbox, selectors.EVENT_WRITE, worker)
        elif registered and not worker.waiting:
            self._selector.unregister(worker.inbox)

    def messages(self, patience: float) -> Iterator[Message]:
        """What the workers say, as long as one of them says something within ``patience`` seconds."""
        for key, events in self._selector.select(patience):
            worker: _Worker = key.data
            if events & selectors.EVENT_WRITE:
                self._flush(worker)
                continue
            for messages, error, at_end in worker.results():
                yield from messages
                if error is not None:
                    self._fail(error)
                if at_end:
                    worker.under_way.popleft()
            if worker.ended:
                self._lose(worker)
                return

    def _fail(self, error: BaseException) -> None:
        self._board.stop()
        self.error = self.error or error

    def _lose(self, lost: _Worker) -> None:
        """A worker died. What the others have under way is not waited for: they may wait for what it held."""
        pid, lost.pid = lost.pid, 0
        self._fail(forking.died_error(pid, "that copied"))
        for worker in self.all:
            worker.under_way.clear()

    def close(self) -> None:
        """End all of them. One that has nothing to do ends by itself; the others lose nothing that is not done again."""
        self._selector.close()
        for worker in self.all:
            os.close(worker.inbox)
            os.close(worker.outbox)
            if worker.pid:
                if worker.under_way or self.error is not None:
                    os.kill(worker.pid, signal.SIGKILL)
                os.waitpid(worker.pid, 0)
        self.all = []


class _Worker:
    """One forked process, as the process that forked it sees it."""

    def __init__(self, pid: int, inbox: int, outbox: int) -> None:
        self.pid = pid
        self.inbox = inbox
        self.outbox = outbox
        self.under_way: deque[Job] = deque()
        self.waiting = bytearray()
        self.ended = False
        self._came = bytearray()

    def results(self) -> list[BatchResult]:
        """The whole letters that have come."""
        with contextlib.suppress(BlockingIOError):
            came = os.read(self.outbox, _READ)
            self.ended = not came
            self._came += came
        results = []
        position = 0
        while len(self._came) >= position + _HEAD.size:
            start = position + _HEAD.size
            [length] = _HEAD.unpack_from(self._came, position)
            if len(self._came) < start + length:
                break
            position = start + length
            results.append(pickle.loads(bytes(self._came[start:position])))
        del self._came[:position]
        return results


def _fork(walk: Visit, counters: SharedCounters, slot: int, others: list[_Worker]) -> _Worker:
    inbox, to_worker = os.pipe()
    from_worker, outbox = os.pipe()

    def work() -> None:
        for other in others:
            os.close(other.inbox)
            os.close(other.outbox)
        os.close(to_worker)
        os.close(from_worker)
        _serve(walk, counters, slot, inbox, outbox)

    pid = forking.fork(work)
    os.close(inbox)
    os.close(outbox)
    os.set_blocking(to_worker, False)
    os.set_blocking(from_worker, False)
    return _Worker(pid, to_worker, from_worker)


def _serve(walk: Visit, counters: SharedCounters, slot: int, inbox: int, outbox: int) -> None:
    """A worker's life: batches in, letters out, until there are no more."""
    os.umask(0)
    batch: list[Message] = []

    def send(error: BaseException | None, *, at_end: bool) -> None:
        content = pickle.dumps((batch, error, at_end), pickle.HIGHEST_PROTOCOL)
        rest = memoryview(_HEAD.pack(len(content)) + content)
        batch.clear()
        while rest:
            rest = rest[os.write(outbox, rest) :]

    def emit(message: Message) -> None:
        batch.append(message)
        if len(batch) >= _FLUSH:
            send(None, at_end=False)

    context = WorkerContext(counters, slot, emit)
    with contextlib.suppress(EOFError, BrokenPipeError), open(inbox, "rb") as stream:
        while True:
            error = None
            try:
                for task in pickle.load(stream):
                    context.checkpoint()
                    walk.perform(task, context)
                context.checkpoint()
            except EOFError:
                raise
            except Exception as caught:  # noqa: BLE001 - whatever it is, the parent has to know
                error = caught
            send(error, at_end=True)
