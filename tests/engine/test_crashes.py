"""The crash sweep, fast version: a conveyance is stopped at any call that changes the file system, and run again.

Each sweep first counts the calls of an undisturbed run, then starts anew for a sample of them (``SWEEP=all``: each of
them), stops there, looks, and runs the same command or the opposite one. Out of process, with SIGKILL, the same is done
elsewhere.
"""

from __future__ import annotations

import errno
import random
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from conveyor.errors import NotInQaError
from support.faults import CODES, Crash, Faults
from support.rehearsal import Stage, prepared
from support.verdicts import opposite

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.outcome import Outcome
    from support.sweep import Sweep


WAYS = ("exchange", "renames", "retag", "copy", "copy without exchange")
# An undisturbed run makes at least this many changing calls; a sweep over fewer has missed most of them.
FEWEST = {"exchange": 35, "renames": 40, "retag": 80, "copy": 110, "copy without exchange": 110}
SAMPLE = 6  # of the calls of one sweep
ROUNDS, ROUNDS_SAMPLE = range(30), 10


@pytest.mark.parametrize("again", ["the same command", "the opposite command"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_a_crash_at_any_call_loses_nothing(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, sweep: Sweep, operation: Operation, way: str, again: str
) -> None:
    """Stopped at any of its changing calls, a conveyance is completed or undone by one more run."""
    then = operation if again == "the same command" else opposite(operation)
    stop_at_calls(sweep, quick_folder, monkeypatch, operation, way, then)


@pytest.mark.parametrize("then", [Operation.QA_FAIL, Operation.DELIVER])
def test_a_crash_of_a_qa_fail_loses_nothing(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, sweep: Sweep, then: Operation
) -> None:
    """The same for a QA fail, which records its verdict and removes the cached weblog as well."""
    stop_at_calls(sweep, quick_folder, monkeypatch, Operation.QA_FAIL, "exchange", then)


@pytest.mark.parametrize("kind", ["once", "done all the same", "lasting", "while looking"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_an_error_at_any_call_loses_nothing(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, sweep: Sweep, operation: Operation, way: str, kind: str
) -> None:
    """Where a call answers with an error, whichever, the message says where, and the next run completes the conveyance."""
    fault = Faults(
        code=errno.EIO, took_place=kind == "done all the same", lasting=kind == "lasting", looks=kind == "while looking"
    )
    stop_at_calls(sweep, quick_folder, monkeypatch, operation, way, operation, fault)


def stop_at_calls(
    sweep: Sweep,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: Operation,
    way: str,
    then: Operation,
    fault: Faults | None = None,
) -> None:
    """Stop a conveyance at its calls, look, run ``then``, look again.

    Errors go round: the next call gets the next one.
    """
    fault = fault or Faults()
    stage, _ = prepared(root / "undisturbed", way, operation, monkeypatch)
    whole = Faults(looks=fault.looks)
    stage.run(operation, whole).raise_for_error()
    for at, call in sweep.choose(list(enumerate(whole.calls)), SAMPLE):
        stage, before = prepared(root / str(at), way, operation, monkeypatch)
        code = CODES[at % len(CODES)] if fault.code else None
        faults = replace(fault, at=at, code=code, calls=[])
        with sweep.at(f"stopped at call {at} of {len(whole.calls)}: {call}"):
            outcome = stopped(stage, operation, faults)
            assert (outcome is None) == (code is None)
            sweep.was_hit(call, hit=len(faults.calls) > at)
            stage.check_the_instant(before)
            if outcome is not None and outcome.error is None:
                if not any(
                    "left behind" in warning for warning in outcome.warnings
                ):  # of a source; the next run clears it
                    stage.check_the_end(operation, before)
            elif outcome is not None:
                check_the_message(outcome)
            stage.run(then).raise_for_error()
            stage.check_the_end(then, before)
    sweep.finish(FEWEST[way])


def check_the_message(outcome: Outcome) -> None:
    """What a person is told: not that it is a bug, and for an error of the system which operation, on which path."""
    error = outcome.error
    assert error is not None
    assert error.exit_code != 70, getattr(error, "__notes__", error.message)
    if error.code in ("io-failed", "not-permitted"):
        assert re.search(r"\w+: [A-Z][^:]+: /\S+", error.message), error.message


def stopped(stage: Stage, operation: Operation, faults: Faults) -> Outcome | None:
    """The outcome of a run that was stopped by an error; None where it died."""
    try:
        return stage.run(operation, faults)
    except Crash:
        return None


@pytest.mark.parametrize("way", WAYS)
def test_a_run_of_crashes_loses_nothing(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, sweep: Sweep, way: str
) -> None:
    """However often a request is stopped, by whichever command, one run that is let through sets it right."""
    crashes = 0
    for number in sweep.choose(ROUNDS, ROUNDS_SAMPLE):
        dice = random.Random(f"{way} {number}")
        stage, before = prepared(quick_folder / str(number), way, Operation.DELIVER, monkeypatch)
        runs = [(dice.choice(list(Operation)), dice.randrange(FEWEST[way])) for _ in range(4)]
        with sweep.at("; ".join(f"{operation} stopped at {at}" for operation, at in runs)):
            for operation, at in runs:
                try:
                    with suppress(NotInQaError):  # a verdict on a request that came home, or never left
                        stage.run(operation, Faults(at)).raise_for_error()
                except Crash:
                    crashes += 1
                stage.check_the_instant(before)
            last = dice.choice([Operation.DELIVER, Operation.RETRIEVE])
            stage.run(last).raise_for_error()
            stage.check_the_end(last, before)
            sweep.was_hit(number, hit=True)
    sweep.finish(len(ROUNDS))
    assert crashes > sweep.tried
