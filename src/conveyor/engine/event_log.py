"""The request's own logs in ``.conveyor`` in spool: one JSON line an event or step, only ever added to.

The *history* has a line a step of every conveyance. It is for people and reports: no conveyance decides by it, since state
is what the file system shows. ``conveyor doctor`` reads it to say what was interrupted, and the way home of a request whose
READY is gone already to know the capability that is not named.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from conveyor._version import __version__
from conveyor.clock import now
from conveyor.documents import EventLine, HistoryHead, HistoryLine, dump_line, load
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.outcome import LEVELS
from conveyor.engine.plan import Operation
from conveyor.errors import ConveyorError
from conveyor.filesystem.posix import Kind
from conveyor.layout import HISTORY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conveyor.engine.endpoints import Endpoint
    from conveyor.engine.host import Process
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.request.places import Places

_END = 4 * 1024  # bytes
_TAIL = 64 * 1024  # bytes; a line has some 300


class History:
    """The history of one request, as one run adds to it."""

    def __init__(self, end: Endpoint, process: Process, command: str, capability: str) -> None:
        self._end = end
        self._process = process
        self._command = command
        self._capability = capability

    def add(self, step: str, subject: str, outcome: str, detail: str = "", *, durable: bool = False) -> None:
        """Add one line; ``durable`` flushes the file, as after the last step of a run."""
        line = HistoryLine(
            time=now(),
            host=self._process.host,
            pid=self._process.pid,
            version=__version__,
            command=self._command,
            capability=self._capability,
            step=step,
            subject=subject,
            outcome=outcome,
        )
        if detail:
            line["detail"] = detail
        self._end.fs.append(self._end.meta, HISTORY, dump_line(line), durable=durable)


def last_operation(end: Endpoint) -> Operation | None:
    """The operation of the last conveyance that took a step; None if no history says it."""
    if end.meta_kind(HISTORY) is not Kind.FILE:
        return None
    for line in reversed(
        end.fs.read_end(end.meta, HISTORY, limit=_TAIL).split(b"\n")
    ):  # a power cut may have left half a line, and not every command is a conveyance
        with contextlib.suppress(ValueError):
            return Operation(load(HistoryHead, line)["command"])
    return None


def last_line(fs: FileSystem, meta: DirFd) -> HistoryLine | None:
    """The last whole line of the history in a ``.conveyor``; None if there is none. Raises :class:`OSError`."""
    if fs.kind(meta, HISTORY) is not Kind.FILE:
        return None
    for line in reversed(fs.read_end(meta, HISTORY, limit=_END).split(b"\n")):
        with contextlib.suppress(ValueError):  # a power cut may have left half a line
            return load(HistoryLine, line)
    return None


class RequestLog:
    """An event callback that adds each event of at least a level to a log of the request's own.

    ``always`` is in each line. The file is opened anew for each, by the request's directory, so that a link in the place of
    anything leads nowhere. A line that cannot be written is dropped: a log must not stop a conveyance.
    """

    def __init__(self, fs: FileSystem, places: Places, name: str, least: int, always: Mapping[str, object]) -> None:
        self._fs = fs
        self._places = places
        self._name = name
        self._least = least
        self._always = always

    def __call__(self, level: str, event: str, **details: object) -> None:
        if LEVELS[level] < self._least:
            return
        line = EventLine(timestamp=now(), level=level, event=event)
        content = dump_line({**line, **self._always, **details})
        with contextlib.suppress(OSError, ConveyorError):
            try:
                self._add(content)
            except FileNotFoundError:  # a conveyance that was refused took its folder back at this moment
                self._add(content)

    def _add(self, content: bytes) -> None:
        with Endpoints(self._fs, self._places) as endpoints:
            endpoints.spool.make_meta()
            self._fs.append(endpoints.spool.meta, self._name, content)
