"""A report of what was done in a workspace in a time: by the histories of its requests, and by nothing else."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from conveyor.api.run_history import RunEntry, read_runs
from conveyor.clock import now, seconds_between
from conveyor.errors import ConveyorError
from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import find_roots
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from conveyor.settings.sources import Config

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Spread:
    """The median and the worst of some lengths of time, in seconds; None if there are none."""

    count: int
    median: float | None
    worst: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of values."""
        return cls(len(values), statistics.median(values) if values else None, max(values, default=None))


@frozen
class Day:
    """The counts of one day (UTC)."""

    date: str
    delivered: int
    passed: int
    failed: int
    refused: int


@frozen
class WorkReport:
    """What was done between two times (UTC). ``refused`` and ``stopped`` count runs by the code of their error.

    ``deliveries`` is the spread of the time that deliveries took, ``turnaround`` that of the time in QA, from the end of a
    delivery to the verdict, or to the way home if there was none. ``bytes`` were copied, ``bytes_per_second`` while runs
    copied; None if none did. ``unread`` are the requests whose history could not be read, with the reason.
    """

    since: str
    until: str
    delivered: int
    retrieved: int
    passed: int
    failed: int
    refused: Mapping[str, int]
    stopped: Mapping[str, int]
    deliveries: Spread
    turnaround: Spread
    bytes: int
    bytes_per_second: float | None
    days: tuple[Day, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)


def report(config: Config, seconds: float) -> WorkReport:
    """Report what was done in the last ``seconds``, in the spool area that is set.

    Raises :class:`~conveyor.errors.ConveyorError` if none is set, or it cannot be listed.
    """
    until = now()
    since = _before(datetime.fromisoformat(until), seconds).isoformat(timespec="milliseconds")
    fs, unread, runs = FileSystem(), dict[str, str](), list[tuple[RunEntry, ...]]()
    try:
        with fs.open_root(find_roots(config.values).spool) as area:
            for name in fs.list_directories(area):
                try:
                    runs.append(read_runs(fs, area, name))
                except OSError as error:
                    unread[name] = str(error.strerror or error)
    except OSError as error:
        raise ConveyorError.from_os_error(error) from error
    return report_of(runs, since, until, unread)


def _before(moment: datetime, seconds: float) -> datetime:
    """Return the time so many seconds before a moment, or the beginning of 1970, which is before all that was done."""
    return moment - timedelta(seconds=min(seconds, (moment - _BEGINNING).total_seconds()))


def report_of(
    requests: Iterable[Sequence[RunEntry]], since: str, until: str, unread: Mapping[str, str] | None = None
) -> WorkReport:
    """Make the report of the runs of requests, each the first first, that ended between two times."""
    runs: list[RunEntry] = []
    turnaround: list[float] = []
    for one in requests:
        turnaround += [seconds for time, seconds in _in_qa(one) if since <= time <= until]
        runs += [run for run in one if since <= (run.ended or run.time) <= until]
    delivered = [run for run in runs if _is(run, "deliver")]
    copied = [run for run in runs if run.bytes and run.seconds]
    took = sum(run.seconds or 0.0 for run in copied)
    total = sum(run.bytes or 0 for run in copied)
    return WorkReport(
        since,
        until,
        len(delivered),
        sum(_is(run, "retrieve") for run in runs),
        sum(run.outcome == "pass" for run in runs),
        sum(run.outcome == "fail" for run in runs),
        _codes(runs, "refused"),
        _codes(runs, "stopped"),
        Spread.of([run.seconds for run in delivered if run.seconds is not None]),
        Spread.of(turnaround),
        total,
        total / took if took else None,
        tuple(_days(runs)),
        unread or {},
    )


def _is(run: RunEntry, command: str) -> bool:
    return run.command == command and run.outcome == "done"


def _codes(runs: Iterable[RunEntry], outcome: str) -> dict[str, int]:
    return dict(Counter(run.error or "unknown" for run in runs if run.outcome == outcome).most_common())


def _in_qa(runs: Sequence[RunEntry]) -> Iterator[tuple[str, float]]:
    """Yield each time in QA of a request, in seconds, with the moment of its end."""
    since = None
    for run in runs:
        if _is(run, "deliver"):
            since = run.ended or run.time
        elif since is not None and (run.outcome in ("pass", "fail") or _is_way_home(run)):
            seconds = seconds_between(since, run.time)
            if seconds is not None:
                yield run.time, seconds
            since = None


def _is_way_home(run: RunEntry) -> bool:
    return run.command in ("retrieve", "qa-fail") and run.outcome != "refused"


def _days(runs: Iterable[RunEntry]) -> Iterator[Day]:
    by_day: dict[str, list[RunEntry]] = {}
    for run in runs:
        by_day.setdefault(datetime.fromisoformat(run.ended or run.time).astimezone(UTC).date().isoformat(), []).append(
            run
        )
    for date, of_day in sorted(by_day.items()):
        yield Day(
            date,
            sum(_is(run, "deliver") for run in of_day),
            sum(run.outcome == "pass" for run in of_day),
            sum(run.outcome == "fail" for run in of_day),
            sum(run.outcome == "refused" for run in of_day),
        )
