"""Requests conveyed at the same time, each in a forked process, whose progress is reported in this one."""

from __future__ import annotations

import json
import multiprocessing
import socket
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from conveyor.api.operations import new_outcome
from conveyor.documents.codec import validate
from conveyor.documents.kept_documents import Progress
from conveyor.errors import IoFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conveyor.api.runners import Batch
    from conveyor.engine.copy_progress import ProgressCallback
    from conveyor.engine.outcome import Outcome

# The task of a worker process; set before the workers are forked, so that it need not be pickled.
_task: list[Callable[[Path], Outcome]] = []

_INTERVAL = 0.25  # seconds between two reports of progress
_MESSAGE = 64 * 1024  # bytes; a message has some 400, with the longest names 2000
_HINT = "nothing is lost: find out who killed it (the kernel, for want of memory?), then run the same command"


def convey_in_processes(batch: Batch, workers: int) -> list[Outcome]:
    """Convey the requests of a batch, ``workers`` at a time."""
    channel = ProgressChannel(batch.environment.on_progress)
    forked = replace(batch, environment=replace(batch.environment, on_progress=channel.send))
    try:
        outcomes = in_processes(forked.task(), batch.metadata, workers, channel.receive, batch.on_outcome)
    finally:
        channel.close()
    return [outcome or _died(batch, path) for path, outcome in zip(batch.metadata, outcomes, strict=True)]


def _died(batch: Batch, path: Path) -> Outcome:
    """Return, and report, the outcome of a request whose process died twice."""
    died = IoFailedError("the process that conveyed this request died", hint=_HINT)
    outcome = new_outcome(str(batch.operation), path, error=died)
    batch.on_outcome(outcome)
    return outcome


class ProgressChannel:
    """Carries the progress of forked processes to ``on_progress`` of the process that made the channel.

    A socket that keeps messages apart (``SOCK_SEQPACKET``, unix(7)), so that writers need no lock, which one that is killed
    would keep. Nobody waits: a message for which there is no room is lost, the next one says more.
    """

    def __init__(self, on_progress: ProgressCallback) -> None:
        self._receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._on_progress = on_progress
        self._shown: set[str] = set()

    def send(self, request: str, progress: Progress | None) -> None:
        """Report progress; the :class:`~conveyor.ProgressCallback` of the forked processes."""
        message = json.dumps([request, progress and asdict(progress)]).encode()
        if len(message) <= _MESSAGE:
            with suppress(OSError):
                self._sender.send(message)

    def receive(self) -> None:
        """Pass on all progress that was reported since the last call."""
        with suppress(BlockingIOError):
            while True:
                request, fields = json.loads(self._receiver.recv(_MESSAGE))
                self._report(request, fields and validate(Progress, fields))

    def close(self) -> None:
        """Pass on the rest, and the end of every copy that was begun: of a process that died too."""
        self.receive()
        for request in list(self._shown):
            self._report(request, None)
        self._sender.close()
        self._receiver.close()

    def _report(self, request: str, progress: Progress | None) -> None:
        if progress is None:
            self._shown.discard(request)
        else:
            self._shown.add(request)
        self._on_progress(request, progress)


def in_processes(
    task: Callable[[Path], Outcome],
    paths: Sequence[Path],
    workers: int,
    meanwhile: Callable[[], None] = lambda: None,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome | None]:
    """Perform a task for each path, ``workers`` at a time; the outcome is None if a process died over it.

    ``meanwhile`` is called a few times a second, and ``on_outcome`` with each outcome when it comes.

    A process that dies (killed, out of memory) breaks its whole pool. The unfinished tasks are then repeated, each by
    itself: a conveyance may be repeated, and only the one that is to blame dies twice.
    """
    outcomes = _in_pool(task, paths, workers, meanwhile, on_outcome)
    for number, path in enumerate(paths):
        if outcomes[number] is None:
            [outcomes[number]] = _in_pool(task, [path], 1, meanwhile, on_outcome)
    return outcomes


def _in_pool(
    task: Callable[[Path], Outcome],
    paths: Sequence[Path],
    workers: int,
    meanwhile: Callable[[], None],
    on_outcome: Callable[[Outcome], None],
) -> list[Outcome | None]:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_set_task, initargs=(task,)) as pool:
        futures = [pool.submit(_perform, path) for path in paths]
        pending = set(futures)
        while pending:
            done, pending = wait(pending, _INTERVAL, return_when=FIRST_COMPLETED)
            meanwhile()
            for outcome in filter(None, map(_result, done)):
                on_outcome(outcome)
    return [_result(future) for future in futures]


def _result(future: Future[Outcome]) -> Outcome | None:
    """Return the outcome of a task that has ended; None if its process died."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _set_task(task: Callable[[Path], Outcome]) -> None:
    _task[:] = [task]


def _perform(path: Path) -> Outcome:
    return _task[0](path)
