"""stdout and stderr, which may be closed, full or gone: printing never stops a conveyance."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable


def echo(text: str) -> None:
    """Print a result on stdout."""
    _write(sys.stdout, text + "\n")


def echo_error(text: str) -> None:
    """Print an error on stderr."""
    _write(sys.stderr, text + "\n")


def joined(lines: Iterable[str]) -> str:
    """Return lines as one text: names of files and people's words may have anything, and none breaks or moves a line."""
    return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    """Return text with an escape in the place of each character that would end a line, move the cursor or set a colour."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def is_terminal() -> bool:
    """Tell whether stdout is a terminal that can be drawn on."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def print_json(document: object) -> None:
    """Print the one JSON document of a command."""
    from conveyor.documents.codec import encode

    echo(json.dumps(document, indent=2, default=encode))


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # closed before we were started
        return
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        stream.write(text.encode("utf-8", "backslashreplace").decode("ascii", "backslashreplace"))
    except (OSError, ValueError):
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Point a broken stream at nothing, so that the flush at the interpreter's exit does not fail again."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def flush() -> None:
    """Flush what is left before the program ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                _silence(stream)
