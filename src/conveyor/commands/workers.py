"""Several requests at the same time, in processes of their own."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from conveyor.errors import ConveyorError, IoFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conveyor.engine.outcome import Outcome

# What a worker process does; set before the workers are forked, so that it need not be pickled.
_task: list[Callable[[Path], Outcome]] = []


def _set_task(task: Callable[[Path], Outcome]) -> None:
    _task[:] = [task]


def _perform(path: Path) -> Outcome:
    return _task[0](path)


def in_processes(
    task: Callable[[Path], Outcome],
    paths: Sequence[Path],
    workers: int,
    lost: Callable[[Path, ConveyorError], Outcome],
) -> list[Outcome]:
    """Perform a task for each path, ``workers`` at a time; ``lost`` makes the outcome where a process died over it."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_set_task, initargs=(task,)) as pool:
        futures = [pool.submit(_perform, path) for path in paths]
        outcomes = []
        for path, future in zip(paths, futures, strict=True):
            try:
                outcomes.append(future.result())
            except BrokenProcessPool:
                outcomes.append(
                    lost(path, IoFailedError("the process that conveyed this request, or one beside it, died"))
                )
    return outcomes
