"""How much memory a program takes with all its processes together, looked at while it runs (proc(5), ``smaps_rollup``)."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PAUSE = 0.1  # seconds between two looks, each of which takes some milliseconds
_FIELD = re.compile(rb"^(Pss|Rss): +([0-9]+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Peak:
    """The highest that was seen, in bytes, and how many processes there were at most.

    ``proportional`` counts a page that processes share once, ``resident`` once for each of them.
    """

    proportional: int = 0
    resident: int = 0
    processes: int = 0


class Sampler:
    """Watches all descendants of this process while the block runs; ``peak`` is what they came to."""

    def __init__(self) -> None:
        self.peak = Peak()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            sizes = [size for pid in _descendants(os.getpid()) if (size := _size(pid))]
            self.peak = Peak(
                max(self.peak.proportional, sum(size["Pss"] for size in sizes)),
                max(self.peak.resident, sum(size["Rss"] for size in sizes)),
                max(self.peak.processes, len(sizes)),
            )
            if self._done.wait(_PAUSE):
                return


def _descendants(ancestor: int) -> set[int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # After the name, which may hold anything, stand the state and the parent.
            parents[int(path.parent.name)] = int(path.read_bytes().rpartition(b")")[2].split()[1])
    found, added = {ancestor}, {ancestor}
    while added:
        added = {pid for pid, parent in parents.items() if parent in added} - found
        found |= added
    return found - {ancestor}


def _size(pid: int) -> dict[str, int]:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        return {name.decode(): int(value) << 10 for name, value in _FIELD.findall(rollup)}
    return {}
