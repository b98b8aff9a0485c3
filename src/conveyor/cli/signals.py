"""SIGINT and SIGTERM: the first asks the run to end at the next safe point, a second one ends it at once."""

from __future__ import annotations

import mmap
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from conveyor.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """A question that becomes true with the first signal, in forked workers too: they share the page that says so."""
    shared = mmap.mmap(-1, 1)
    owner = os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        if shared[0]:
            _end_workers()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        shared[0] = 1
        if os.getpid() == owner:
            console.echo_error("conveyor: ending at the next safe point; once more ends at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(shared[0])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_workers() -> None:
    """End the processes that convey requests for this one; in one of those, there are none."""
    from multiprocessing import active_children

    for child in active_children():
        child.kill()
