"""Copies as they proceed: a display at a terminal, log lines elsewhere.

rich is imported when the first copy begins, which most conveyances never have.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from conveyor.cli.text import progress_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.documents.kept_documents import Progress
    from conveyor.engine.copy_progress import ProgressCallback
    from conveyor.engine.outcome import EventCallback


@contextmanager
def show_progress(
    on_event: EventCallback, verbosity: int, every: int, *, log_is_here: bool
) -> Iterator[ProgressCallback]:
    """Give a callback that shows progress: in a display, or by a log line each ``every`` seconds.

    There is a display if stderr is a terminal on which no log lines appear. ``log_is_here`` says that the log is on stderr,
    and not in a file. Nothing is shown with ``-q``.
    """
    shown: list[Display | Lines] = []

    def show(request: str, progress: Progress | None) -> None:
        if not shown:
            has_display = verbosity >= 0 and not (log_is_here and verbosity > 0) and _can_display()
            if has_display:
                shown.append(Display())
            if not (has_display and log_is_here):
                shown.append(Lines(on_event, every))
        for one in shown:
            one(request, progress)

    try:
        yield show
    finally:
        for one in shown:
            one.close()


def _can_display() -> bool:
    from importlib.util import find_spec

    is_terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return is_terminal and find_spec("rich") is not None


class Lines:
    """A log line each ``every`` seconds of a copy; none of one that takes less."""

    def __init__(self, on_event: EventCallback, every: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._on_event = on_event
        self._every = every
        self._clock = clock
        self._last: dict[str, float] = {}

    def __call__(self, request: str, progress: Progress | None) -> None:
        if progress is None:
            self._last.pop(request, None)
            return
        moment = self._clock()
        if moment - self._last.setdefault(request, moment) >= self._every:
            self._last[request] = moment
            fields = {name: value for name, value in vars(progress).items() if name != "time"}
            self._on_event("progress", "progress", request=request, **fields)

    def close(self) -> None:
        """Do nothing: a log line needs no end."""


class Display:
    """A line on the terminal for each request that is copied at this moment; nothing is left of it.

    It has no thread of its own, since the process that shows it forks others. A terminal that goes away stops nothing.
    """

    def __init__(self) -> None:
        self._shown: Any = None
        self._lines: dict[str, Any] = {}

    def __call__(self, request: str, progress: Progress | None) -> None:
        with suppress(OSError, ValueError):
            if progress is None:
                self._remove(request)
            else:
                self._show(request, progress)

    def close(self) -> None:
        """Take it off the terminal."""
        if self._shown is not None:
            with suppress(OSError, ValueError):
                self._shown.stop()
            self._shown = None
            self._lines.clear()

    def _show(self, request: str, progress: Progress) -> None:
        if self._shown is None:
            self._shown = _started()
        done, total = progress.bytes, progress.total_bytes
        if not total:  # removed files, or files without content, are counted
            done, total = progress.files, progress.total_files
        name, text = f"{request}/{progress.directory}", progress_text(progress)
        if request in self._lines:
            line = self._lines[request]
            self._shown.update(line, description=name, completed=done, total=total, text=text, refresh=True)
        else:
            self._lines[request] = self._shown.add_task(name, completed=done, total=total, text=text)

    def _remove(self, request: str) -> None:
        if request in self._lines:
            self._shown.remove_task(self._lines.pop(request))
            if not self._lines:
                self.close()


def _started() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False)
    shown = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[text]}", markup=False),
        console=console,
        auto_refresh=False,
        transient=True,
    )
    shown.start()
    console.show_cursor(True)  # a run that is killed could not show it again
    return shown
