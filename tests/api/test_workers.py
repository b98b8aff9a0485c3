"""Requests conveyed in processes of their own: one that dies takes no other with it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

from conveyor import ConveyorError, Outcome
from conveyor.api.workers import in_processes


def _task(path: Path) -> Outcome:
    if path.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome("deliver", str(path), request=str(os.getpid()))


def _lost(path: Path, error: ConveyorError) -> Outcome:
    return replace(Outcome("deliver", str(path)), error=error)


def test_the_outcomes_are_in_order_and_from_other_processes() -> None:
    """Each path has its outcome at its place, made in a process that is not this one."""
    paths = [Path(f"request{number}") for number in range(20)]
    outcomes = in_processes(_task, paths, 4, _lost)
    assert [outcome.metadata for outcome in outcomes] == [str(path) for path in paths]
    assert str(os.getpid()) not in {outcome.request for outcome in outcomes}
    assert all(outcome.ok for outcome in outcomes)


def test_a_process_that_dies_takes_no_other_request_with_it() -> None:
    """Of twelve requests, only the one whose process is killed fails, with 74 and a hint."""
    paths = [Path(f"request{number}") for number in range(12)]
    paths[5] = Path("deadly")
    outcomes = in_processes(_task, paths, 3, _lost)
    assert [outcome.ok for outcome in outcomes] == [path.name != "deadly" for path in paths]
    error = outcomes[5].error
    assert error is not None
    assert (error.code, error.exit_code) == ("io-failed", 74)
    assert "died" in error.message


def test_errors_travel_whole_between_processes() -> None:
    """An error that a worker reports comes back with its class, message, hint and exit code."""

    def fails(path: Path) -> Outcome:
        from conveyor.errors import WeblogUnsafeError

        return _lost(path, WeblogUnsafeError("the message", hint="the hint"))

    [one, _] = in_processes(fails, [Path("a"), Path("b")], 2, _lost)
    assert one.error is not None
    assert type(one.error).__name__ == "WeblogUnsafeError"
    assert (one.error.message, one.error.hint, one.error.exit_code) == ("the message", "the hint", 65)
