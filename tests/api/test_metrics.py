"""The metrics of a workspace: numbers that say what the overview says."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

import conveyor
from conveyor.api import metrics
from conveyor.api.overview import Overview, overview
from conveyor.api.overview_entry import OverviewEntry, Trouble
from conveyor.engine.survey import State
from conveyor.errors import ConfigurationError, NotPermittedError
from conveyor.layout import HISTORY, META_DIR
from support.receivers import settings_for

if TYPE_CHECKING:
    from support.workspace import Workspace


def _samples(text: str) -> dict[tuple[str, ...], float]:
    """The values by the name of the metric and the values of its labels, in order of the labels' names."""
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return {(one.name, *(one.labels[key] for key in sorted(one.labels))): one.value for one in samples}


def test_the_metrics_count_what_is_there(workspace: Workspace) -> None:
    """A request that is delivered is counted in QA, with its notice that waits; what there is none of is a zero."""
    config = settings_for(workspace.spool.parent, {"log": {"command": "true"}})
    before = _samples(metrics.metrics_text(config))
    assert before["conveyor_requests", "qa2", "in-spool"] == 1
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    after = _samples(metrics.metrics_text(config))
    assert (after["conveyor_requests", "qa2", "in-spool"], after["conveyor_requests", "qa2", "in-qa"]) == (0, 1)
    assert after["conveyor_requests", "image-qa", "in-qa"] == 0
    assert (before["conveyor_waiting_notices",], after["conveyor_waiting_notices",]) == (0, 1)
    assert all(after["conveyor_troubled_requests", str(trouble)] == 0 for trouble in Trouble)


def test_the_metrics_are_those_of_the_overview(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest wait, the sizes, the troubles and the areas that could not be listed are those of the entries."""
    config = settings_for(workspace.spool.parent, {})
    found = overview(config)
    entries = [
        OverviewEntry("a", "a", qa="/w/qa2/a", state=State.IN_QA, age_in_qa=50.0, size=7),
        OverviewEntry("b", "b", qa="/w/qa2/b", state=State.IN_QA, age_in_qa=70.0, size=5),
        OverviewEntry("c", "c", qa="/w/qa2/c", state=State.IN_TRANSIT, trouble=Trouble.STALLED),
        OverviewEntry("d", "d", trouble=Trouble.UNREADABLE),
    ]
    image, other = sorted(found.qa, key=lambda one: one.path.name)
    listings = (replace(image, error=NotPermittedError("closed")), other)

    def fake(_: conveyor.Config) -> Overview:
        return replace(found, entries=tuple(entries), qa=listings, not_shown={"x": 2, "y": 1})

    monkeypatch.setattr(metrics, "overview", fake)
    seen = _samples(metrics.metrics_text(config))
    assert seen["conveyor_oldest_wait_seconds", "qa2"] == 70
    assert seen["conveyor_qa_bytes", "qa2"] == 12
    assert ("conveyor_oldest_wait_seconds", "image-qa") not in seen
    assert (seen["conveyor_unlisted_areas",], seen["conveyor_other_requests",]) == (1, 3)
    assert (seen["conveyor_troubled_requests", "stalled"], seen["conveyor_requests", "unknown", "unknown"]) == (1, 1)


def test_the_file_is_replaced_in_one_step(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics come by a rename, and a failure leaves the file as it was; the folder has nothing else."""
    config, folder = settings_for(workspace.spool.parent, {}), workspace.root / "textfile"
    folder.mkdir()
    metrics.write_metrics(config, folder / "conveyor.prom")
    first = (folder / "conveyor.prom").read_text()
    assert first.endswith("\n")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(conveyor.errors.ConveyorError):
            metrics.write_metrics(config, folder / "conveyor.prom")
    assert [path.name for path in folder.iterdir()] == ["conveyor.prom"]
    assert (folder / "conveyor.prom").read_text() == first


def test_without_the_client_the_way_to_get_it_is_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra names it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError) as refused:
        metrics.metrics_text(settings_for(workspace.spool.parent, {}))
    assert "conveyor[metrics]" in refused.value.hint


def _add_run(workspace: Workspace, age: float, **fields: object) -> None:
    """Add the end of a run to the request's history, so many seconds ago."""
    meta = workspace.spool / META_DIR
    meta.mkdir(exist_ok=True)
    moment = (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="milliseconds")
    with (meta / HISTORY).open("a") as file:
        file.write(json.dumps({"time": moment, "command": "deliver", "event": "end", **fields}) + "\n")


def test_what_is_counted_goes_on_from_the_file(workspace: Workspace) -> None:
    """Each run that ended since the last time is counted once, with its bytes and its duration, whatever else is there."""
    config, file = settings_for(workspace.spool.parent, {}), workspace.root / "conveyor.prom"
    metrics.write_metrics(config, file)
    began = file.read_text()
    assert _samples(began)["conveyor_conveyances_total", "deliver", "done"] == 0
    old = re.sub(r"(?m)^(conveyor_history_timestamp_seconds) .*$", rf"\1 {time.time() - 900}", began)
    file.write_text(old)
    _add_run(workspace, 2000, outcome="done", seconds=1.0, bytes=1)
    _add_run(workspace, 600, outcome="done", seconds=45.5, bytes=7_000)
    _add_run(workspace, 500, event="refused", error="locked", seconds=0.1)
    _add_run(workspace, 400, event="begin")
    _add_run(workspace, 1, outcome="done", seconds=1.0, bytes=1)
    for _ in range(2):
        metrics.write_metrics(config, file)
        seen = _samples(file.read_text())
        assert seen["conveyor_conveyances_total", "deliver", "done"] == 1
        assert seen["conveyor_conveyances_total", "deliver", "refused"] == 1
        assert seen["conveyor_copied_bytes_total", "deliver"] == 7000
        assert seen["conveyor_conveyance_duration_seconds_sum", "deliver"] == 45.5
        assert seen["conveyor_conveyance_duration_seconds_bucket", "deliver", "10.0"] == 0
        assert seen["conveyor_conveyance_duration_seconds_bucket", "deliver", "60.0"] == 1
        assert seen["conveyor_conveyance_duration_seconds_count", "deliver"] == 1


def test_a_file_that_is_none_of_metrics_is_begun_anew(workspace: Workspace) -> None:
    """Whatever stands in the file, metrics are written; what was counted begins at zero."""
    config, file = settings_for(workspace.spool.parent, {}), workspace.root / "conveyor.prom"
    file.write_text('conveyor_conveyances_total{command="deliver",outcome="done"} many\n')
    metrics.write_metrics(config, file)
    assert _samples(file.read_text())["conveyor_conveyances_total", "deliver", "done"] == 0
