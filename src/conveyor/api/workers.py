"""Several requests at the same time, in processes of their own."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from conveyor.errors import ConveyorError, IoFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conveyor.engine.outcome import Outcome

# What a worker process does; set before the workers are forked, so that it need not be pickled.
_task: list[Callable[[Path], Outcome]] = []


_MOMENT = 0.25  # seconds
_HINT = "nothing is lost: find out who killed it (the kernel, for want of memory?), then run the same command"


def _set_task(task: Callable[[Path], Outcome]) -> None:
    _task[:] = [task]


def _perform(path: Path) -> Outcome:
    return _task[0](path)


def in_processes(
    task: Callable[[Path], Outcome],
    paths: Sequence[Path],
    workers: int,
    lost: Callable[[Path, ConveyorError], Outcome],
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Perform a task for each path, ``workers`` at a time; ``lost`` makes the outcome where a process died over it.
    ``meanwhile`` is called a few times a second.

    A process that dies (killed, out of memory) breaks its whole pool. What is unfinished then is done again, each by
    itself: a conveyance may be repeated, and only the one that is to blame dies twice.
    """
    outcomes = _together(task, paths, workers, meanwhile)
    for number, path in enumerate(paths):
        if outcomes[number] is None:
            [outcomes[number]] = _together(task, [path], 1, meanwhile)
    died = IoFailedError("the process that conveyed this request died", hint=_HINT)
    return [outcome or lost(path, died) for path, outcome in zip(paths, outcomes, strict=True)]


def _together(
    task: Callable[[Path], Outcome], paths: Sequence[Path], workers: int, meanwhile: Callable[[], None]
) -> list[Outcome | None]:
    context = multiprocessing.get_context("fork")
    outcomes: list[Outcome | None] = []
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_set_task, initargs=(task,)) as pool:
        futures = [pool.submit(_perform, path) for path in paths]
        while wait(futures, _MOMENT).not_done:
            meanwhile()
        for future in futures:
            try:
                outcomes.append(future.result())
            except BrokenProcessPool:
                outcomes.append(None)
    return outcomes
