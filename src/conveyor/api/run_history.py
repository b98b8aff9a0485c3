"""The runs of a request, by its history: one value a run, a refusal, or something that a person said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from conveyor.engine.event_log import lines_backwards
from conveyor.errors import ConveyorError, RequestMissingError
from conveyor.filesystem.posix import FileSystem, Kind
from conveyor.layout import HISTORY, META_DIR
from conveyor.request.metadata import Metadata, read_metadata
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conveyor.filesystem.posix import DirFd

_LIMIT = 256 * 1024 * 1024  # bytes
_SAID = ("verdict", "note", "assigned")


@frozen
class RunEntry:
    """One run of a command on a request, or what a person said. Times are UTC.

    ``outcome`` is ``done``, ``stopped`` or ``refused``; ``pass`` or ``fail`` of a verdict, ``noted``, ``assigned``; None of
    a run that never came to its end, or that has not yet. ``error`` is the code of what refused or stopped it, ``reason``
    its message, or the person's words. ``bytes`` were copied, ``way`` are the ways that directories took.
    """

    time: str
    command: str
    outcome: str | None
    account: str | None
    host: str
    error: str | None = None
    reason: str | None = None
    ended: str | None = None
    seconds: float | None = None
    bytes: int | None = None
    way: tuple[str, ...] = ()


def history(metadata: Path | str | Metadata) -> tuple[RunEntry, ...]:
    """Return the runs of a request, the first first. Raises :class:`~conveyor.errors.ConveyorError`."""
    known = metadata if isinstance(metadata, Metadata) else read_metadata(Path(metadata))
    spool = known.destinationDirectory
    fs = FileSystem()
    try:
        with fs.open_root(spool.parent) as area:
            return read_runs(fs, area, spool.name)
    except FileNotFoundError:
        raise RequestMissingError(f"there is no directory {spool}") from None
    except OSError as error:
        raise ConveyorError.from_os_error(error) from error


def read_runs(fs: FileSystem, area: DirFd, name: str) -> tuple[RunEntry, ...]:
    """Return the runs of the request of a name in a spool area; none if it has no history. Raises :class:`OSError`."""
    with fs.open_directory(area, name) as spool:
        if fs.kind(spool, META_DIR) is not Kind.DIRECTORY:
            return ()
        with fs.open_directory(spool, META_DIR) as meta:
            if fs.kind(meta, HISTORY) is not Kind.FILE:
                return ()
            content = fs.read(meta, HISTORY, limit=_LIMIT)
    return tuple(runs_of(reversed([*lines_backwards(content)])))


def runs_of(lines: Iterable[Mapping[str, Any]]) -> list[RunEntry]:
    """Return the runs that lines of a history, the first first, are of."""
    runs: dict[object, list[Mapping[str, Any]]] = {}
    for number, line in enumerate(lines):
        # Release 0.1.0 gave its runs no name.
        run: object = line.get("run") or (line["host"], line["pid"], line["command"])
        runs.setdefault(number if line.get("event") in _SAID else run, []).append(line)
    return [_entry(of_run) for of_run in runs.values()]


def _entry(lines: list[Mapping[str, Any]]) -> RunEntry:
    first, last = lines[0], lines[-1]
    event = last.get("event")
    if event == "verdict":
        outcome = last.get("outcome")
    elif event in _SAID:
        outcome = "noted" if event == "note" else "assigned"
    elif event == "refused":
        outcome = "refused"
    elif event == "end" or "run" not in last:
        outcome = "stopped" if last.get("outcome") == "failed" else last.get("outcome")
    else:
        outcome = None
    return RunEntry(
        first["time"],
        first["command"],
        outcome,
        first.get("account"),
        first["host"],
        last.get("error"),
        last.get("reason") or last.get("to") or first.get("reason"),
        last["time"] if outcome is not None else None,
        last.get("seconds"),
        last.get("bytes"),
        tuple(last.get("way", ())),
    )
