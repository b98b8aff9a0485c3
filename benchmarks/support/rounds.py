"""Rounds of commands, and what they come to.

Only ratios within a round mean anything on a machine that does other things.
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_GLANCE = 0.005  # seconds between two looks at a path that is about to appear
Item = TypeVar("Item")


def rotated(items: Sequence[Item], number: int) -> list[Item]:
    """The order of a round: each round begins with another one, so that none is always first."""
    start = number % len(items)
    return [*items[start:], *items[:start]]


@dataclass(frozen=True)
class Timing:
    """One run. ``seconds`` are from the start until all is on the devices, ``appeared`` until the goal was there.

    ``user`` and ``system`` are the seconds that processors were busy for its commands, by all of their processes, in the
    programs and in the kernel; ``own`` those of the process alone that was started first.
    """

    seconds: float
    steps: tuple[float, ...]
    user: float
    system: float
    own: float
    appeared: float | None = None

    @property
    def busy(self) -> float:
        """Processor seconds of all processes together."""
        return self.user + self.system


class CommandFailedError(Exception):
    """A command that is measured ended badly; the message has what it said."""


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> float:
    """Run a command away from any terminal, as under HTCondor; the processor seconds of its own process.

    Raises :class:`CommandFailedError`.
    """
    null = subprocess.DEVNULL
    with (
        (folder / "stderr").open("wb+") as errors,
        subprocess.Popen(command, env=environment, stdin=null, stdout=null, stderr=errors) as process,
    ):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is still there to be asked
        own = _own_time(process.pid)
        if process.wait():
            errors.seek(0)
            said = errors.read()[-2000:].decode(errors="replace")
            raise CommandFailedError(f"{' '.join(command)} ended with {process.returncode}: {said}")
        return own


def _own_time(pid: int) -> float:
    """Processor seconds of one process, without those that it started (``utime`` and ``stime`` of proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    taken, own, before, start = [], 0.0, _busy(), time.perf_counter()
    with watch:
        for step in steps:
            begin = time.perf_counter()
            own += run(step, environment, folder)
            taken.append(time.perf_counter() - begin)
        subprocess.run(["sync", "--file-system", *map(str, durable)], check=True)
        seconds = time.perf_counter() - start
    user, system = (after - earlier for after, earlier in zip(_busy(), before, strict=True))
    return Timing(seconds, tuple(taken), user, system, own, watch.seen and watch.seen - start)


def _busy() -> tuple[float, float]:
    """Processor seconds, user and system, of all programs that have ended, with those that they started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime, usage.ru_stime


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
    """The median over the rounds of one command's time divided by another's in the same round.

    A round in which the other took less than the clock shows is left out; not a number if that was every round.
    """
    return statistics.median(_ratios(one, other) or [math.nan])


def spread(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest of these."""
    ratios = _ratios(one, other) or [math.nan]
    return min(ratios), max(ratios)


def _ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(one, other, strict=True) if b]


def in_turn(numbers: Iterable[int], items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """All rounds: their numbers, and each item in the round's order."""
    for number in numbers:
        for item in rotated(items, number):
            yield number, item
