"""Rounds of commands, and what they come to.

Only ratios within a round mean anything on a machine that does other things.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_GLANCE = 0.005  # seconds between two looks at a path that is about to appear
Item = TypeVar("Item")


def rotated(items: Sequence[Item], number: int) -> list[Item]:
    """The order of a round: each round begins with another one, so that none is always first."""
    start = number % len(items)
    return [*items[start:], *items[:start]]


@dataclass(frozen=True)
class Timing:
    """One run. ``seconds`` are from the start until all is on the devices, ``appeared`` until the goal was there.

    ``busy`` are the seconds that processors were busy for its commands, by all of their processes.
    """

    seconds: float
    steps: tuple[float, ...]
    busy: float
    appeared: float | None = None


class CommandFailedError(Exception):
    """A command that is measured ended badly; the message has what it said."""


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    """Run a command away from any terminal, as under HTCondor. Raises :class:`CommandFailedError`."""
    with (folder / "stderr").open("wb+") as errors:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, check=False
        )
        if done.returncode:
            errors.seek(0)
            said = errors.read()[-2000:].decode(errors="replace")
            raise CommandFailedError(f"{' '.join(command)} ended with {done.returncode}: {said}")


def timed(
    steps: Sequence[Sequence[str]],
    environment: Mapping[str, str],
    folder: Path,
    *,
    durable: Sequence[Path],
    goal: Path | None = None,
) -> Timing:
    """Run commands one after the other, flush the file systems of ``durable``, and see when ``goal`` is a directory."""
    watch = _Watch(goal)
    taken, before, start = [], _busy(), time.perf_counter()
    with watch:
        for step in steps:
            begin = time.perf_counter()
            run(step, environment, folder)
            taken.append(time.perf_counter() - begin)
        subprocess.run(["sync", "--file-system", *map(str, durable)], check=True)
        seconds = time.perf_counter() - start
    return Timing(seconds, tuple(taken), _busy() - before, watch.seen and watch.seen - start)


def _busy() -> float:
    """Processor seconds of all programs that have ended, with those that they started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class _Watch:
    """Looks for a directory while the block runs; ``seen`` is when it was there first."""

    def __init__(self, path: Path | None) -> None:
        self.seen: float | None = None
        self._path = path
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while self._path is not None and self.seen is None and not self._done.wait(_GLANCE):
            if self._path.is_dir() and not self._path.is_symlink():
                self.seen = time.perf_counter()


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median over the rounds of one command's time divided by another's in the same round."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def spread(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest of these."""
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    return min(ratios), max(ratios)


def in_turn(numbers: Iterable[int], items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """All rounds: their numbers, and each item in the round's order."""
    for number in numbers:
        for item in rotated(items, number):
            yield number, item
