"""The request's own logs in ``.conveyor`` in spool: one JSON line an event or step, only ever added to.

The *history* has a line for the beginning and the end of each run, for each of its steps, for each run that was refused, and
for what people said. It is for people and reports: no conveyance decides by it, since state is what the file system shows.
``conveyor doctor`` reads it to say what was interrupted, and the way home of a request whose READY is gone already to know
the capability that is not named.
"""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conveyor._version import __version__
from conveyor.clock import now
from conveyor.documents.codec import dump_line, load
from conveyor.documents.history_lines import EventLine, HistoryEnd, HistoryLine, RunLine, WorkHead
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.outcome import LEVELS
from conveyor.engine.plan import Operation
from conveyor.errors import ConveyorError
from conveyor.filesystem.posix import Kind
from conveyor.layout import HISTORY
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conveyor.engine.endpoints import Endpoint
    from conveyor.engine.host import Host
    from conveyor.filesystem.posix import DirFd, Entry, FileSystem
    from conveyor.request.places import Places

_END = 4 * 1024  # bytes; a line has some 300
_TAIL = 64 * 1024  # bytes
_AnyLine: Any = RunLine | HistoryLine
_OPERATIONS = frozenset(map(str, Operation))
_ADDED = 16 * 1024 * 1024  # bytes; what is added during the longest look is far less


@dataclass
class History:
    """The history of one request, as one run adds to it, in ``.conveyor`` of the ``end`` that is open at that time.

    ``started`` is on the monotonic clock, in seconds.

    Each method raises :class:`OSError` if the line cannot be added.
    """

    host: Host
    command: str
    capability: str
    started: float = field(default_factory=time.monotonic)
    end: Endpoint | None = None

    def add(self, step: str, subject: str, outcome: str, detail: str = "", *, durable: bool = False) -> None:
        """Add the line of a step; ``durable`` flushes the file, as after the last step of a run."""
        line: dict[str, Any] = {**self._head(), "step": step, "subject": subject, "outcome": outcome}
        if detail:
            line["detail"] = detail
        self._append(line, durable=durable)

    def begin(self, reason: str | None = None) -> None:
        """Add the line that says that a run begins; ``reason`` are the words of the person who wanted it."""
        self._append({**self._head(), "event": "begin", **_given(reason=reason)})

    def end_run(self, error: ConveyorError | None, copied: int, ways: Sequence[str], size: int | None = None) -> None:
        """Add the line that says that a run ended, and by what ``error``, if by any; ``copied`` and ``size`` are bytes."""
        outcome = "stopped" if error is not None else "done"
        line = {**self._head(), "event": "end", "outcome": outcome, **self._result(error)}
        self._append({**line, "bytes": copied, **_given(size=size), "way": [*ways]})

    def refuse(self, error: ConveyorError) -> None:
        """Add the line of a run that did nothing since it was refused."""
        self._append({**self._head(), "event": "refused", **self._result(error)})

    def say(self, event: str, **said: object) -> None:
        """Add the line of what a person said, flushed."""
        self._append({**self._head(), "event": event, **_given(**said)}, durable=True)

    def _result(self, error: ConveyorError | None) -> dict[str, object]:
        seconds = round(time.monotonic() - self.started, 3)
        return {**({} if error is None else {"error": error.code, "reason": error.message}), "seconds": seconds}

    @functools.cached_property
    def _always(self) -> dict[str, object]:
        process = self.host.this_process()
        return {
            "host": process.host,
            "pid": process.pid,
            "account": self.host.account_name(),
            "version": __version__,
            "run": self.host.token(),
            "command": self.command,
            "capability": self.capability,
        }

    def _head(self) -> dict[str, object]:
        return {"time": now(), **self._always}

    def _append(self, line: Mapping[str, object], *, durable: bool = False) -> None:
        assert self.end is not None
        self.end.fs.append(self.end.meta, HISTORY, dump_line(line), durable=durable)


def _given(**fields: object) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value is not None}


@frozen
class LastAttempt:
    """The last run of a conveyance, as the history has it. ``time`` is UTC.

    ``outcome`` is ``done``, ``stopped`` or ``refused``, None if the run never came to its end, or has not yet. ``error`` is
    the code of what stopped or refused it, ``reason`` its message. ``begun`` is the last conveyance that did anything;
    ``capability`` is that one's, and ``size`` in bytes what it counted: it may be an earlier run.
    """

    command: str
    outcome: str | None
    time: str
    host: str
    capability: str
    account: str | None = None
    error: str | None = None
    reason: str | None = None
    begun: Operation | None = None
    size: int | None = None


def last_attempt(fs: FileSystem, meta: DirFd) -> LastAttempt | None:
    """Return the last run of a conveyance, from the end of the history in a ``.conveyor``; None if there is none.

    Raises :class:`OSError`.
    """
    if fs.kind(meta, HISTORY) is not Kind.FILE:
        return None
    for limit in (_END, _TAIL):  # nearly always the first is enough
        content = fs.read_end(meta, HISTORY, limit=limit)
        found = _last_attempt(content)
        if (found is not None and found.begun is not None) or len(content) < limit:
            return found
    return found


@functools.lru_cache(maxsize=16)  # a look asks several times in a row
def _last_attempt(content: bytes) -> LastAttempt | None:
    last, refused = None, set[str | None]()
    for line in lines_backwards(content):
        if not _is_of_conveyance(line):
            continue
        last = last or line
        if line.get("event") == "refused":
            refused.add(line.get("run"))
        elif line.get("event") != "begin" or line.get("run") not in refused:
            return _attempt(last, line)
    return _attempt(last) if last is not None else None


def _is_of_conveyance(line: Mapping[str, Any]) -> bool:
    is_run = line.get("event") in ("begin", "end", "refused") or "step" in line
    return is_run and line["command"] in _OPERATIONS


def _attempt(line: Mapping[str, Any], begun: Mapping[str, Any] | None = None) -> LastAttempt:
    """Return the last run by its last line, and by the last line of one that did anything."""
    outcome = {"begin": None, "refused": "refused"}.get(line.get("event", "step"), line.get("outcome"))
    if "step" in line and line.get("run") is not None:  # after its last step, such a run says that it has ended
        outcome = None
    return LastAttempt(
        line["command"],
        "stopped" if outcome == "failed" else outcome,
        line["time"],
        line["host"],
        (begun or line)["capability"],
        line.get("account"),
        line.get("error"),
        line.get("reason", line.get("detail") if outcome == "failed" else None),
        Operation(begun["command"]) if begun is not None else None,
        begun.get("size") if begun is not None else None,
    )


def history_end(fs: FileSystem, meta: DirFd) -> bytes:
    """The end of the history in a ``.conveyor``: some two hundred lines; empty if there is none. Raises :class:`OSError`."""
    return fs.read_end(meta, HISTORY, limit=_TAIL) if fs.kind(meta, HISTORY) is Kind.FILE else b""


def lines_backwards(content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a history, the last first. Those that a power cut left half of are left out."""
    for line in reversed(content.split(b"\n")):
        with contextlib.suppress(ValueError):
            yield load(_AnyLine, line)


def last_operation(end: Endpoint) -> Operation | None:
    """The operation of the last conveyance that did anything; None if no history says it."""
    if end.meta_kind(HISTORY) is not Kind.FILE:
        return None
    # A power cut may have left half a line, and not every command is a conveyance.
    for line in reversed(end.fs.read_end(end.meta, HISTORY, limit=_TAIL).split(b"\n")):
        with contextlib.suppress(ValueError):
            return Operation(load(WorkHead, line)["command"])
    return None


def last_capability(content: bytes) -> str | None:
    """The capability of the last conveyance in a history that did anything; None if it does not say."""
    for line in reversed(content.splitlines()):
        with contextlib.suppress(ValueError):
            return load(HistoryEnd, line)["capability"]
    return None


def work_since(end: Endpoint, size: int) -> bool:
    """Tell whether a conveyance did anything since the history had so many bytes, by the lines that it got since."""
    content = end.fs.read(end.meta, HISTORY, limit=size + _ADDED)[size:]
    for line in content.splitlines():
        try:
            load(RunLine, line)
        except ValueError:  # a step, or nothing that is known
            return True
        with contextlib.suppress(ValueError):
            load(WorkHead, line)
            return True
    return False


def leave_refusal(fs: FileSystem, places: Places, history: History, error: ConveyorError) -> None:
    """Add the line of a refused run to a request's history, if this account may: a log must not stop anything.

    The directories keep their times; where they cannot, as in a folder that is append-only, no line is added.
    """
    with contextlib.suppress(OSError, ConveyorError), Endpoints(fs, places) as endpoints:
        history.end = spool = endpoints.spool
        kept = [(spool.root, fs.lstat(spool.root, "."))]
        _set_back(fs, kept)
        if not spool.make_meta():
            kept.append((spool.meta, fs.lstat(spool.meta, ".")))
        history.refuse(error)
        _set_back(fs, kept)


def _set_back(fs: FileSystem, kept: Sequence[tuple[DirFd, Entry | None]]) -> None:
    for directory, before in kept:
        if before is not None:
            fs.set_directory_time(directory, before.modified)


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
