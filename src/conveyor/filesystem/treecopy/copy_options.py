"""The values that come in from above: which tree, how to work, and who watches."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd

_MOST_WORKERS = 8


def _default_workers() -> int:
    """One for each processor: with more, the kernel spends more on keeping them apart than it gains from waiting less."""
    return max(2, min(len(os.sched_getaffinity(0)), _MOST_WORKERS))


@dataclass(frozen=True, slots=True)
class PathAt:
    """A name in an open folder: where a tree or a file is, or will be."""

    directory: DirFd
    name: str

    @property
    def path(self) -> Path:
        return self.directory.path / self.name


class Side(StrEnum):
    """Which of the two trees that a manifest tells of."""

    SOURCE = "source"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How to work. Sizes are in bytes, times in seconds.

    ``workers``: processes; with one, everything is done in the calling process, as it is for the first ``alone`` entries.
    ``ahead``: files that a worker opens ahead of the one that it reads. ``run``: names of one folder that are handed out
    together. ``buffer``: what is read at once. ``block``: the part of a big file that is hashed, and resumed, by itself;
    a bigger file has a worker of its own. ``rounds``: how often what changed meanwhile is copied again. ``read_back``: the
    copy is read back from the page cache, or, once it is flushed, from the disk. ``max_rate``: bytes a second that all
    workers together write. ``checkpoint``: after so long, what was copied is made durable, so that it need not be copied
    again.
    """

    workers: int = field(default_factory=_default_workers)
    fork_after: int = 400
    readahead: int = 32
    chunk_size: int = 256
    buffer: int = 1 << 20
    block: int = 64 << 20
    rounds: int = 3
    read_back: Literal["cache", "disk"] = "cache"
    max_rate: int | None = None
    checkpoint: float = 30.0


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is: entries of every kind but folders, and the bytes in them."""

    files: int = 0
    bytes: int = 0


def _nobody(phase: str, done: Totals, total: Totals) -> None:
    """Look away."""


@dataclass(frozen=True, slots=True)
class CopyMonitor:
    """Who is told of progress, a few times a second at most, and who may ask for an end.

    ``progress`` is called with the phase (``survey``, ``copy``, ``check``, ``read back``, ``remove``), what is done of it,
    and how much there is in all: nothing where that is not known yet.
    """

    progress: Callable[[str, Totals, Totals], None] = _nobody
    stop: Callable[[], bool] = lambda: False
