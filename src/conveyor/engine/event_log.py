"""A request's history: one JSON line a step, in ``.conveyor/history.jsonl`` in spool, only ever added to.

For people and reports; no conveyance ever reads it, since state is what the file system shows. ``conveyor doctor`` does, to
say what was interrupted.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from conveyor._version import __version__
from conveyor.engine.plan import Operation
from conveyor.engine.receipt import now
from conveyor.filesystem.posix import Kind
from conveyor.layout import HISTORY

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint
    from conveyor.engine.host import Process

_TAIL = 64 * 1024  # bytes; a line has some 300


class History:
    """The history of one request, as one run adds to it."""

    def __init__(self, end: Endpoint, process: Process, command: str, capability: str) -> None:
        self._end = end
        self._always = {
            "host": process.host,
            "pid": process.pid,
            "version": __version__,
            "command": command,
            "capability": capability,
        }

    def add(self, step: str, subject: str, outcome: str, detail: str = "", *, durable: bool = False) -> None:
        """Add one line; ``durable`` flushes the file, as after the last step of a run."""
        line = {"time": now(), **self._always, "step": step, "subject": subject, "outcome": outcome}
        if detail:
            line["detail"] = detail
        content = json.dumps(line).encode() + b"\n"
        self._end.fs.append(self._end.meta, HISTORY, content, durable=durable)


def last_wish(end: Endpoint) -> Operation | None:
    """What the last conveyance that took a step was asked for; None where there is no history that says it."""
    if end.meta_kind(HISTORY) is not Kind.FILE:
        return None
    with end.fs.open_file(end.meta, HISTORY) as file:
        file.seek(max(0, file.seek(0, 2) - _TAIL))
        lines = file.read(_TAIL).split(b"\n")
    for line in reversed(lines):  # a power cut may have left half a line, and not every command is a conveyance
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            return Operation(json.loads(line)["command"])
    return None
