"""Values that come in from above: the tree, the options of a copy, callbacks."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from conveyor.filesystem.processors import processors
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd

_LEAST_WORKERS, _MOST_WORKERS = 2, 16


def _default_workers() -> int:
    """One a processor: with more, the kernel spends more on switching between them than it gains from waiting less."""
    return max(_LEAST_WORKERS, min(processors(), _MOST_WORKERS))


@frozen
class PathAt:
    """A name in an open directory, of a tree or file that is there or will be."""

    directory: DirFd
    name: str

    @property
    def path(self) -> Path:
        return self.directory.path / self.name


class Side(StrEnum):
    """One of the two trees that a manifest tells of."""

    SOURCE = "source"
    COPY = "copy"


@frozen
class CopyOptions:
    """Options of a copy. Sizes are in bytes, times in seconds.

    ``workers``: processes; with one, everything is done in the calling process, as it is for the first ``fork_after``
    entries, and for more of them if no content is read. ``readahead``: files that a worker opens ahead of the one that
    it reads. ``chunk_size``: names of one directory that make a task. ``buffer``: bytes that are read at once.
    ``block``: the part of a large file that is hashed, and resumed, by itself; a larger file has a worker of its own.
    ``rounds``: times that what changed meanwhile is copied again. ``read_back``: the copy is read back from the page
    cache, or, once it is flushed, from the disk. ``max_rate``: bytes a second that all workers together write.
    ``checkpoint``: after so long, what was copied is made durable, so that it need not be copied again.
    ``link_attributes``: the owner and the times of links are set, which on some file systems would be those of what a
    link leads to. ``project_ids``: what becomes of a directory that has another project ID than its target hands on: it
    gets that, it is copied if it cannot be renamed, or it is refused then.
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
    link_attributes: bool = True
    project_ids: Literal["retag", "copy", "refuse"] = "copy"


@frozen
class Totals:
    """Number of entries of every kind but directories, and of the bytes in them."""

    files: int = 0
    bytes: int = 0


def _no_progress(phase: str, done: Totals, total: Totals) -> None:
    """Report nothing."""


@frozen
class CopyMonitor:
    """Callbacks of an operation on a tree.

    ``progress`` is called a few times a second at most, with the phase (``survey``, ``copy``, ``check``, ``read back``,
    ``remove``), what is done of it, and the total, which is zero if it is not known yet. If ``stop`` returns true, the
    operation ends with :class:`~conveyor.errors.InterruptedRunError`; what it raises goes through.
    """

    progress: Callable[[str, Totals, Totals], None] = _no_progress
    stop: Callable[[], bool] = lambda: False
