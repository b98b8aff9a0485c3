"""Log lines by structlog: coloured for people, JSON otherwise, on stderr or in a file.

structlog is imported when the first line is logged, since it takes longer to import than a conveyance takes.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from conveyor.cli import console
from conveyor.clock import FOR_PEOPLE
from conveyor.engine.outcome import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.engine.outcome import EventCallback


class _Unbreakable:
    """A stream whose failures are swallowed: a log that cannot be written must not stop a conveyance."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
            except (OSError, ValueError):
                self._stream = None
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None

    def close(self) -> None:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.close()


def threshold(verbosity: int, *, own_file: bool) -> int:
    """Return the least level that is logged: by default warnings, and in a file each step; ``-v`` and ``-q`` move it."""
    levels = sorted(LEVELS.values(), reverse=True)
    default = levels.index(LEVELS["info" if own_file else "warning"])
    return levels[max(0, min(default + verbosity, len(levels) - 1))]


def is_for_people(log_format: str, stream: TextIO | None) -> bool:
    """Tell whether log lines on this stream are for people, not JSON."""
    return log_format == "console" or (log_format == "auto" and stream is not None and stream.isatty())


@contextmanager
def log_events(verbosity: int, log_format: str, log_file: Path | None) -> Iterator[EventCallback]:
    """Give a callback that logs events. It also takes the level ``progress`` of copies, which only ``-q`` silences.

    Raises :class:`~conveyor.errors.ConfigurationError` if the log file cannot be opened, and
    :class:`~conveyor.errors.IoFailedError` if a later try may.
    """
    least = threshold(verbosity, own_file=log_file is not None)
    stream: TextIO | None = sys.stderr
    # People get warnings and errors from the command itself, in sentences.
    most = LEVELS["info"] if log_file is None and is_for_people(log_format, stream) else LEVELS["error"]
    if log_file is not None:
        stream = _open(log_file)
    logger: list[Any] = []

    def log(level: str, event: str, **details: object) -> None:
        if level == "progress":
            is_wanted, level = verbosity >= 0, "info"
        else:
            is_wanted = least <= LEVELS[level] <= most
        if not is_wanted:
            return
        if not logger:
            logger.append(_logger(stream, log_format))
        getattr(logger[0], level)(event, **details)

    try:
        yield log
    finally:
        if log_file is not None:
            _Unbreakable(stream).close()


def _open(log_file: Path) -> TextIO:
    from conveyor.errors import ConfigurationError, ConveyorError

    try:
        return log_file.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = ConveyorError.from_os_error(error)
        if reason.retryable and error.errno != errno.ENOENT:
            raise reason from None
        raise ConfigurationError(
            f"the log file {log_file} cannot be opened: {error.strerror}", hint="name another with --log-file"
        ) from None


def _only_printable(_logger: object, _method: str, event: Any) -> Any:
    """Escape what would move the cursor of a terminal."""
    return {key: console.printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _logger(stream: TextIO | None, log_format: str) -> Any:
    import structlog

    processors: list[Any] = [structlog.processors.add_log_level]
    if is_for_people(log_format, stream):
        terminal = stream is not None and stream.isatty()
        processors += [
            structlog.processors.TimeStamper(fmt=FOR_PEOPLE, utc=True),
            _only_printable,
            structlog.dev.ConsoleRenderer(colors=terminal and not os.environ.get("NO_COLOR")),
        ]
    else:
        processors += [structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()]
    sink: Any = _Unbreakable(stream)
    return structlog.wrap_logger(
        structlog.WriteLogger(sink), processors=processors, wrapper_class=structlog.BoundLogger
    )
