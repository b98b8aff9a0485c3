"""Counters of the runs that the histories tell of: they go on from the file of metrics that was written before.

No other state is kept. Runs are counted by the time of their last line, up to a minute ago, since the clocks of hosts
differ. Those of a request that is removed before the metrics are written again are lost.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.documents.codec import load
from conveyor.documents.history_lines import RunEnd
from conveyor.engine.plan import Operation
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import HISTORY, META_DIR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

_UNTIL = "conveyor_history_timestamp_seconds"
_CONVEYANCES, _BYTES = "conveyor_conveyances_total", "conveyor_copied_bytes_total"
_BUCKET, _SUM = "conveyor_conveyance_duration_seconds_bucket", "conveyor_conveyance_duration_seconds_sum"
_OUTCOMES = ("done", "stopped", "refused")
_BOUNDS = (1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0, float("inf"))  # seconds
_LAG = timedelta(minutes=1)
_READ = 1 << 20  # bytes at the end of a history, which has some 300 a line: thousands of lines since the last time


@dataclass
class RunCounters:
    """The counters by the name of the sample and the values of its labels; ``until`` is up to when runs are counted."""

    until: datetime
    values: dict[tuple[str, ...], float] = field(default_factory=dict)

    def count(self, run: RunEnd) -> None:
        """Count the end of a run."""
        command, outcome = run["command"], run.get("outcome", run["event"])
        self._add(1, _CONVEYANCES, command, outcome)
        self._add(run.get("bytes", 0), _BYTES, command)
        seconds = run.get("seconds")
        if seconds is not None and outcome == "done":
            self._add(seconds, _SUM, command)
            for bound in _BOUNDS:
                self._add(seconds <= bound, _BUCKET, command, str(bound))

    def _add(self, amount: float, *key: str) -> None:
        self.values[key] = self.values.get(key, 0) + amount

    def families(self) -> Iterator[Metric]:
        """Yield the families for Prometheus, with a zero for what has not happened yet."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        conveyances = CounterMetricFamily(
            _CONVEYANCES, "Conveyances that ended, by how.", labels=("command", "outcome")
        )
        copied = CounterMetricFamily(_BYTES, "Bytes that were copied to another file system.", labels=("command",))
        durations = HistogramMetricFamily(
            _SUM.removesuffix("_sum"), "How long conveyances took that were done.", labels=("command",)
        )
        for command in map(str, Operation):
            for outcome in _OUTCOMES:
                conveyances.add_metric((command, outcome), self._value(_CONVEYANCES, command, outcome))
            copied.add_metric((command,), self._value(_BYTES, command))
            buckets = [
                (str(bound).replace("inf", "+Inf"), self._value(_BUCKET, command, str(bound))) for bound in _BOUNDS
            ]
            durations.add_metric((command,), buckets, self._value(_SUM, command))
        yield from (conveyances, copied, durations)
        yield GaugeMetricFamily(_UNTIL, "Up to when conveyances are counted.", value=self.until.timestamp())

    def _value(self, *key: str) -> float:
        return self.values.get(key, 0)


def counted_before(text: str | None, now: datetime) -> RunCounters:
    """Return the counters of a file of metrics; without one, or with one that cannot be read, they begin at zero."""
    from prometheus_client.parser import text_string_to_metric_families

    begin = RunCounters(now - _LAG)
    if text is None:
        return begin
    values, until = {}, None
    try:
        for sample in (sample for family in text_string_to_metric_families(text) for sample in family.samples):
            if sample.name == _UNTIL:
                until = datetime.fromtimestamp(sample.value, UTC)
            elif sample.name in (_CONVEYANCES, _BYTES, _SUM):
                labels = [sample.labels[name] for name in ("command", "outcome") if name in sample.labels]
                values[sample.name, *labels] = sample.value
            elif sample.name == _BUCKET:
                values[sample.name, sample.labels["command"], str(float(sample.labels["le"]))] = sample.value
    except (ValueError, KeyError):
        return begin
    return RunCounters(until, values) if until is not None else begin


def count_runs(counters: RunCounters, spools: Iterable[str], now: datetime) -> RunCounters:
    """Count the runs of requests, by their directories in spool, that ended since ``counters`` were."""
    until, fs = now - _LAG, FileSystem()
    counted = RunCounters(max(until, counters.until), dict(counters.values))
    for spool in spools:
        for run in _runs(fs, Path(spool), counters.until, until):
            counted.count(run)
    return counted


def _runs(fs: FileSystem, spool: Path, since: datetime, until: datetime) -> Iterator[RunEnd]:
    """Yield the ends of runs in a history after a time and up to another; nothing if it cannot be read."""
    with contextlib.suppress(OSError), fs.open_root(spool / META_DIR) as meta:
        seen = fs.lstat(meta, HISTORY)
        if seen is None or seen.modified < since.timestamp() * 1e9:
            return
        with fs.open_file(meta, HISTORY) as file:
            file.seek(max(0, seen.size - _READ))
            lines = file.read().split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):  # most lines are of steps
                run = load(RunEnd, line)
                if (
                    run["command"] in frozenset(map(str, Operation))
                    and since < datetime.fromisoformat(run["time"]) <= until
                ):
                    yield run
