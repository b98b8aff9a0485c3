"""A request's history: one JSON line a step, in ``.conveyor/history.jsonl`` in spool, only ever added to.

For people and reports; the engine never reads it, since state is what the file system shows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from conveyor._version import __version__
from conveyor.engine.receipt import now

if TYPE_CHECKING:
    from conveyor.engine.ends import End
    from conveyor.engine.host import Process

HISTORY = "history.jsonl"


class History:
    """The history of one request, as one run adds to it."""

    def __init__(self, end: End, process: Process, command: str, capability: str) -> None:
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
        self._end.fs.append(self._end.own, HISTORY, content, durable=durable)
