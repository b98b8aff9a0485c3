"""SIGTERM and SIGINT at every call that changes the workspace: once, which asks the program to end, and twice."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from conveyor.errors import InterruptedRunError

if TYPE_CHECKING:
    from support.stage import Stage
    from support.strace import Call
    from support.sweep import Sweep

FEWEST = 25
SAMPLE = 4


@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_the_first_signal_ends_the_run_at_a_safe_point(stage: Stage, sweep: Sweep, operation: Operation) -> None:
    """Wherever it comes, the run ends with 75 and says so, or is finished; what is left is completed by another run."""
    stage.prepare(operation, second=len(stage.places) == 1)
    points = stage.undisturbed(operation).points(stage.places)
    for point, name in sweep.choose(list(itertools.product(points, ("TERM", "INT"))), SAMPLE):
        with sweep.at(f"{name} at {point}"):
            stage.begin_again()
            ending, trace = stage.traced(operation, [f"{point.name}:signal={name}:when={point.count}"])
            sweep.was_hit(point, hit=trace.told_at(point))
            assert "at the next safe point" in ending.err, ending.err
            if ending.status == 0:
                stage.check_the_end(operation)
            else:
                assert ending.status == InterruptedRunError.exit_code, ending.err
                assert ending.request["error"]["code"] == InterruptedRunError.code
                stage.check_the_instant()
            stage.convey(operation)
            stage.check_the_end(operation)
    sweep.finish(FEWEST)


@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_the_second_signal_ends_the_run_at_once(stage: Stage, sweep: Sweep, operation: Operation) -> None:
    """Wherever the second comes, the run is gone before its next call, and another run completes what it left."""
    stage.prepare(operation, second=len(stage.places) == 1)
    # SQLite, which writes the manifest of a copy, is not interrupted: what comes while it works is heard when it is done.
    points = [call for call in stage.undisturbed(operation).points(stage.places) if not call.is_of_manifest]
    for first, second in sweep.choose(list(itertools.pairwise(points)), SAMPLE):
        with sweep.at(second):
            stage.begin_again()
            ending, trace = stage.traced(operation, twice(first, second))
            assert ending.status in (-15, 0, InterruptedRunError.exit_code), ending.err
            # It dies of a third, which it sends itself when the second comes; or it was at its end before that.
            died = ending.status == -15
            sweep.was_hit(second, hit=trace.told_at(first) and len(trace.told) == (3 if died else 1))
            if died:
                assert not any(call.changes for call in trace.calls[trace.calls.index(trace.told[1]) + 1 :])
            stage.check_the_instant()
            stage.convey(operation)
            stage.check_the_end(operation)
    sweep.finish(FEWEST)


def twice(first: Call, second: Call) -> list[str]:
    """SIGTERM at each of two calls; strace takes one instruction for each name of a call.

    Having heard the first, the program writes a line, so that its later writes have one more before them.
    """
    count = second.count + (second.name == "write")
    if first.name != second.name:
        return [f"{first.name}:signal=TERM:when={first.count}", f"{second.name}:signal=TERM:when={count}"]
    return [f"{first.name}:signal=TERM:when={first.count}..{count}+{count - first.count}"]
