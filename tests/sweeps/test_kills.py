"""The crash sweep: the real program is killed at every system call that changes the workspace, and run again.

An undisturbed run under strace tells the calls. For each of them a fresh and identical workspace is made, and the program
is killed with SIGKILL exactly there, so that the call is not executed.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from support.verdicts import opposite

if TYPE_CHECKING:
    from support.stage import Stage
    from support.sweep import Sweep

FEWEST = 30  # changing calls that any conveyance makes at least
SAMPLE = 6


@pytest.mark.parametrize("operation", list(Operation))
def test_a_kill_at_any_call_loses_nothing(stage: Stage, sweep: Sweep, operation: Operation) -> None:
    """Killed at any of its changing calls, the program is completed or undone by one more run, and leaves no litter."""
    stage.prepare(operation, second=len(stage.places) == 1)
    points = stage.undisturbed(operation).points(stage.places)
    for point, then in sweep.choose(list(itertools.product(points, (operation, opposite(operation)))), SAMPLE):
        with sweep.at(f"{then} after a kill at {point}"):
            stage.begin_again()
            _, trace = stage.traced(operation, [f"{point.name}:signal=KILL:when={point.count}"])
            sweep.was_hit(point, hit=trace.died_at(point))
            stage.check_the_instant()
            stage.convey(then)
            stage.check_the_end(then)
    sweep.finish(2 * FEWEST)


def test_a_kill_of_a_post_script_loses_nothing(stage: Stage, sweep: Sweep) -> None:
    """Killed at any of its changing calls, its log's too, a post script is completed when DAGMan runs it again."""
    stage.behind = ("post-script", "--return", "0", "--job", "A")
    stage.prepare(Operation.DELIVER, second=False)
    for point in sweep.choose(stage.undisturbed(Operation.DELIVER).points(stage.places), SAMPLE):
        with sweep.at(f"a kill at {point}"):
            stage.begin_again()
            _, trace = stage.traced(Operation.DELIVER, [f"{point.name}:signal=KILL:when={point.count}"])
            sweep.was_hit(point, hit=trace.died_at(point))
            stage.check_the_instant()
            stage.convey(Operation.DELIVER)
            stage.check_the_end(Operation.DELIVER)
    sweep.finish(FEWEST)
