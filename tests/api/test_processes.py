"""Requests conveyed in processes of their own: one that dies takes no other with it; their progress is reported."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor import Outcome, Progress, load_config
from conveyor.api.processes import ProgressChannel, convey_in_processes, in_processes
from conveyor.api.runners import Batch
from conveyor.engine.context import Environment
from conveyor.engine.copy_progress import ProgressCallback, no_progress
from conveyor.engine.plan import Operation
from conveyor.errors import WeblogUnsafeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

ONE = Progress("rawdata", "copy", 1, 2, None, None, None, None, "now")


class Reports(list[tuple[str, Progress | None]]):
    """A progress callback that keeps what it gets."""

    def __call__(self, request: str, progress: Progress | None) -> None:
        self.append((request, progress))


def _task(path: Path) -> Outcome:
    if path.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome("deliver", str(path), request=str(os.getpid()))


def _reporting_task(batch: Batch, path: Path) -> Outcome:
    batch.environment.on_progress(path.name, ONE)
    if path.name != "deadly":
        batch.environment.on_progress(path.name, None)
    return _task(path)


def _batch(paths: Sequence[Path], on_progress: ProgressCallback = no_progress) -> Batch:
    return Batch(Operation.DELIVER, tuple(paths), None, load_config(), Environment(on_progress=on_progress))


def test_the_outcomes_are_in_order_and_from_other_processes() -> None:
    """Each path has its outcome at its place, made in a process that is not this one."""
    paths = [Path(f"request{number}") for number in range(20)]
    outcomes = [outcome for outcome in in_processes(_task, paths, 4) if outcome is not None]
    assert [outcome.metadata for outcome in outcomes] == [str(path) for path in paths]
    assert str(os.getpid()) not in {outcome.request for outcome in outcomes}
    assert all(outcome.ok for outcome in outcomes)


def test_a_process_that_dies_takes_no_other_request_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twelve requests, only the one whose process is killed fails, with 74 and a hint."""
    monkeypatch.setattr(Batch, "task", lambda _: _task)
    paths = [Path(f"request{number}") for number in range(12)]
    paths[5] = Path("deadly")
    outcomes = convey_in_processes(_batch(paths), 3)
    assert [outcome.ok for outcome in outcomes] == [path.name != "deadly" for path in paths]
    error = outcomes[5].error
    assert error is not None
    assert (error.code, error.exit_code) == ("io-failed", 74)
    assert "died" in error.message
    assert outcomes[5].metadata == "deadly"


def test_errors_travel_whole_between_processes() -> None:
    """An error that a worker reports comes back with its class, message, hint and exit code."""

    def fails(path: Path) -> Outcome:
        return Outcome("deliver", str(path), error=WeblogUnsafeError("the message", hint="the hint"))

    [one, _] = in_processes(fails, [Path("a"), Path("b")], 2)
    assert one is not None
    assert one.error is not None
    assert type(one.error).__name__ == "WeblogUnsafeError"
    assert (one.error.message, one.error.hint, one.error.exit_code) == ("the message", "the hint", 65)


def test_the_progress_of_several_requests_is_reported_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What each process reports of its request is passed on; of one that died it is over at the end, and once only."""
    monkeypatch.setattr(Batch, "task", lambda batch: partial(_reporting_task, batch))
    reports = Reports()
    names = ["one", "two", "three"]
    convey_in_processes(_batch([Path(name) for name in names], reports), 2)
    for name in names:
        assert [progress for request, progress in reports if request == name] == [ONE, None]
    reports.clear()
    convey_in_processes(_batch([Path("deadly"), Path("one")], reports), 2)
    assert [progress for _, progress in reports if progress is None].count(None) == reports.count(("one", None)) + 1
    assert reports[-1] == ("deadly", None)
    assert reports.count(("deadly", None)) == 1


def test_a_channel_that_nobody_reads_stops_nobody() -> None:
    """When there is no more room progress is lost; what was sent before is all there, whole and in order."""
    reports = Reports()
    channel = ProgressChannel(reports)
    for number in range(10_000):
        channel.send(f"{number}", ONE)
    channel.send("long" * 100_000, ONE)
    channel.receive()
    assert 0 < len(reports) < 10_000
    assert reports == [(f"{number}", ONE) for number in range(len(reports))]
    channel.close()
