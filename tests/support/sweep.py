"""Which points of a sweep are tried in this session, and how many of them were really hit.

By default it is a sample that moves on with every hour, so that the sessions of some days try every point. The
environment says otherwise: ``SWEEP=all`` tries all of them, ``SWEEP=3/20`` the third of twenty parts of them, so that a
sweep can be spread over nights or machines, ``SWEEP_SEED=<number>`` repeats the sample of a session that printed this
number, and with ``SWEEP_STRICT=1`` what cannot be swept here fails instead of being skipped.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import pytest

from conveyor.errors import ConveyorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_STEP = 7919  # a prime, so that one session's points are not the neighbours of the last one's, and none is left out
_MOST_FAILURES = 5  # of one sweep: more of them say nothing new


def everything() -> bool:
    """Whether every test is to be run, with all of its points or with those of a part."""
    return part() is not None


def part() -> tuple[int, int] | None:
    """Which part of all points is asked for, and of how many; None for a sample."""
    asked = os.environ.get("SWEEP", "sample")
    if asked == "sample":
        return None
    number, _, count = ("1/1" if asked == "all" else asked).partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise pytest.UsageError(f"SWEEP={asked} is neither 'sample' nor 'all' nor a part such as 3/19")
    return int(number), int(count)


def seed() -> int:
    return int(os.environ.get("SWEEP_SEED", time.time() // 3600))


def cannot(reason: str | None) -> None:
    """Skip where there is a reason to, or fail where this session was told to leave nothing out."""
    if reason and os.environ.get("SWEEP_STRICT") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@dataclass
class Sweep:
    """One sweep over many points. ``planned`` are all that there are, ``tried`` those of this session."""

    planned: int = 0
    tried: int = 0
    hit: int = 0
    failures: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def choose(self, points: Sequence[T], sample: int) -> Iterator[T]:
        """The points of this session: all, those of a part, or some ``sample`` of them, evenly spread."""
        first, stride = part() or (seed() * _STEP + 1, max(1, len(points) // sample))
        self.planned += len(points)
        for point in points[(first - 1) % stride :: stride]:
            if len(self.failures) >= _MOST_FAILURES:
                break
            self.tried += 1
            yield point

    def was_hit(self, point: object, *, hit: bool) -> None:
        """Whether the run was really disturbed at the point, as strace reports it."""
        self.hit += hit
        if not hit:
            self.missed.append(str(point))

    @contextmanager
    def at(self, point: object) -> Iterator[None]:
        """Try one point; the sweep goes on after a failure, so that one session tells them all."""
        try:
            yield
        except (AssertionError, ConveyorError) as error:
            self.failures.append(f"{point}:\n    {error}".rstrip())

    def finish(self, fewest: int) -> None:
        """All that was tried was hit, and held; ``fewest`` points there are at least, or most were missed."""
        assert not self.failures, "\n".join([f"repeat with SWEEP_SEED={seed()}", *self.failures])
        assert self.hit == self.tried, "\n".join(["points that were tried and not hit:", *self.missed])
        assert self.planned >= fewest, f"only {self.planned} points were found"
