"""The metrics of a workspace, for Prometheus: what an overview says of its requests, as numbers."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.api.overview import overview
from conveyor.api.overview_entry import Trouble
from conveyor.api.run_counters import count_runs, counted_before
from conveyor.engine.survey import State
from conveyor.errors import ConfigurationError, ConveyorError
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import OUTBOX, WAITING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.metrics_core import Metric

    from conveyor.api.overview import Overview
    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.filesystem.posix import DirFd
    from conveyor.settings.sources import Config

    #: The values of a family by those of its labels.
    _Values: TypeAlias = dict[tuple[str, ...], float]

_STATES = (State.IN_SPOOL, State.IN_TRANSIT, State.IN_QA, State.BROKEN)
_UNKNOWN = "unknown"
_LIMIT = 1 << 20  # bytes


def metrics_text(config: Config, before: str | None = None) -> str:
    """Return the metrics of a workspace in Prometheus's text format.

    What is counted goes on from ``before``, the text of the last time; without it, it begins at zero.

    Raises :class:`~conveyor.errors.ConfigurationError` if prometheus-client is not installed or no spool root is set.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError:
        raise ConfigurationError(
            "metrics need prometheus-client, which is not installed", hint="pip install 'conveyor[metrics]'"
        ) from None
    began = time.monotonic()
    found = overview(config)
    now = datetime.now(UTC)
    runs = count_runs(counted_before(before, now), (one.spool for one in found.entries if one.spool), now)
    families = [*_families(found, _waiting_notices(found), time.monotonic() - began), *runs.families()]

    class _Collected:
        def collect(self) -> Iterable[Metric]:
            return families

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected())
    return generate_latest(registry).decode()


def write_metrics(config: Config, file: Path) -> None:
    """Put the metrics of a workspace into a file, whole or not at all. Raises :class:`~conveyor.errors.ConveyorError`."""
    fs = FileSystem()
    try:
        with fs.open_root(file.parent) as folder:
            text = metrics_text(config, _read(fs, folder, file.name))
            fs.write(folder, file.name, text.encode(), durable=False, shared=True)
    except OSError as error:
        raise ConveyorError.from_os_error(error) from error


def _read(fs: FileSystem, folder: DirFd, name: str) -> str | None:
    """Return the metrics that were written before; None if there are none."""
    try:
        return fs.read(folder, name, limit=_LIMIT).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _families(found: Overview, waiting_notices: int, seconds: float) -> Iterator[Metric]:
    areas = sorted(one.path.name for one in found.qa if one.error is None)
    yield _gauge(
        "conveyor_requests",
        "Requests by the QA area that they go to, and by their state.",
        ("area", "state"),
        _by_state(found.entries, areas),
    )
    troubles = Counter(str(entry.trouble) for entry in found.entries if entry.trouble)
    yield _gauge(
        "conveyor_troubled_requests",
        "Requests that need attention, by what the trouble is.",
        ("trouble",),
        {(str(one),): troubles[str(one)] for one in Trouble},
    )
    moving = sum(entry.holder is not None and entry.trouble is not Trouble.STALLED for entry in found.entries)
    yield _single("conveyor_moving_requests", "Requests that a conveyance holds at this moment.", moving)
    yield _gauge(
        "conveyor_oldest_wait_seconds",
        "How long the request has been in QA that has been there longest, by its QA area; 0 if there is none.",
        ("area",),
        _oldest(found.entries, areas),
    )
    yield _gauge(
        "conveyor_qa_bytes",
        "Bytes of the requests that are in QA, by QA area, as far as their sizes are known.",
        ("area",),
        _sizes(found.entries, areas),
    )
    yield _single(
        "conveyor_unlisted_areas",
        "Areas that could not be listed: what is in them is not counted.",
        len(found.unlisted),
    )
    yield _single(
        "conveyor_other_requests",
        "Requests in the spool area that no capability claims.",
        sum(found.not_shown.values()),
    )
    yield _single("conveyor_waiting_notices", "Notices that wait in the outbox to be sent.", waiting_notices)
    yield _single("conveyor_look_timestamp_seconds", "When the workspace was looked at.", time.time())
    yield _single("conveyor_look_duration_seconds", "How long that look took.", seconds)


def _area(entry: OverviewEntry) -> str:
    return Path(entry.qa).parent.name if entry.qa else _UNKNOWN


def _by_state(entries: Iterable[OverviewEntry], areas: Iterable[str]) -> _Values:
    """Count the requests; an area and a state of which there is none has a zero, so that an alert sees it go up."""
    counts: _Values = {(area, str(state)): 0 for area in areas for state in _STATES}
    for entry in entries:
        key = (_area(entry), str(entry.state or _UNKNOWN))
        counts[key] = counts.get(key, 0) + 1
    return counts


def _oldest(entries: Iterable[OverviewEntry], areas: Iterable[str]) -> _Values:
    oldest: _Values = {(area,): 0 for area in areas}
    for entry in entries:
        if entry.state is State.IN_QA and entry.age_in_qa is not None:
            area = (_area(entry),)
            oldest[area] = max(oldest.get(area, 0), entry.age_in_qa)
    return oldest


def _sizes(entries: Iterable[OverviewEntry], areas: Iterable[str]) -> _Values:
    sizes: _Values = {(area,): 0 for area in areas}
    for entry in entries:
        if entry.state is State.IN_QA and entry.size is not None:
            area = (_area(entry),)
            sizes[area] = sizes.get(area, 0) + entry.size
    return sizes


def _waiting_notices(found: Overview) -> int:
    fs = FileSystem()
    try:
        with fs.open_root(found.spool.path / OUTBOX / WAITING) as waiting:
            return sum(not name.startswith(".") for name in fs.listdir(waiting))  # others are set aside
    except OSError:  # nobody is told of anything
        return 0


def _gauge(name: str, text: str, labels: tuple[str, ...], values: _Values) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for label_values, value in sorted(values.items()):
        family.add_metric(label_values, value)
    return family


def _single(name: str, text: str, value: float) -> GaugeMetricFamily:
    return _gauge(name, text, (), {(): value})
