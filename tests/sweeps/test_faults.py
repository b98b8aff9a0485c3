"""The fault sweep: every system call of the real program that touches the workspace answers with an error once, or from
then on, so that the calls which clean up fail too.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conveyor import errors
from conveyor.engine.plan import Operation
from support.strace import CHANGING

if TYPE_CHECKING:
    from support.program import Ending
    from support.stage import Stage
    from support.strace import Call, Trace
    from support.sweep import Sweep

# Calls that any conveyance makes at least, and how many faults of each kind a sample has.
FEWEST_CHANGING, FEWEST_LOOKING = 30, 250
SAMPLE, LOOKING_SAMPLE = 7, 4
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EACCES", "ESTALE", "EROFS", "EMFILE", "EBUSY")
# Errors of what may not be removed, or what somebody holds: a run may end well and leave that behind, as long as it says so.
MAY_STAY = frozenset({"EACCES", "EBUSY"})
READING_ERRORS = ("EIO", "EACCES", "ESTALE", "EMFILE")  # the others no call that looks answers with
ONCE, THIS, ALL = LASTING = ("once", "this call from then on", "all calls from then on")
DOCUMENTED = {error.exit_code for error in errors.tree()} - {errors.InternalError.exit_code}


@dataclass(frozen=True)
class Fault:
    """One call that answers with an error; ``lasting``: that call from then on, or all that change something."""

    call: Call
    error: str
    lasting: str = ONCE

    def injections(self, whole: Trace) -> list[str]:
        own = f"{self.call.name}:error={self.error}:when={self.call.count}"
        if self.lasting == ONCE:
            return [own]
        if self.lasting == THIS:
            return [f"{own}+"]
        # Not write, or the program could not say what happened.
        names = [name for name in (*CHANGING, "openat") if "write" not in name]
        counts = {name: whole.made_before(self.call, name) + 1 for name in names}
        return [own, *(f"?{name}:error={self.error}:when={count}+" for name, count in counts.items())]

    def __str__(self) -> str:
        return f"{self.error} {self.lasting} at {self.call}"


@pytest.mark.parametrize("operation", list(Operation))
def test_an_error_of_any_changing_call_loses_nothing(stage: Stage, sweep: Sweep, operation: Operation) -> None:
    """Whichever changing call fails, however long, the program says what failed, and one more run completes it."""
    stage.prepare(operation, second=len(stage.places) == 1)
    whole = stage.undisturbed(operation)
    disturbances = itertools.product(whole.points(stage.places), ERRORS, LASTING)
    try_all(stage, sweep, operation, whole, [Fault(*one) for one in disturbances], SAMPLE)
    sweep.finish(FEWEST_CHANGING * len(ERRORS) * len(LASTING))


@pytest.mark.parametrize("operation", list(Operation))
def test_an_error_of_any_looking_call_loses_nothing(stage: Stage, sweep: Sweep, operation: Operation) -> None:
    """Whichever call that reads or looks fails, nothing is taken for gone or finished that is not."""
    stage.prepare(operation, second=len(stage.places) == 1)
    whole = stage.undisturbed(operation)
    faults = [Fault(call, error) for call in whole.points(stage.places, changing=False) for error in READING_ERRORS]
    try_all(stage, sweep, operation, whole, faults, LOOKING_SAMPLE)
    sweep.finish(FEWEST_LOOKING * len(READING_ERRORS))


def try_all(stage: Stage, sweep: Sweep, operation: Operation, whole: Trace, faults: list[Fault], sample: int) -> None:
    for fault in sweep.choose(faults, sample):
        with sweep.at(fault):
            stage.begin_again()
            ending, trace = stage.traced(operation, fault.injections(whole))
            sweep.was_hit(fault, hit=trace.failed_at(fault.call))
            check_what_it_said(ending, fault, trace.failed())
            left_behind = fault.error in MAY_STAY and "left behind in " in ending.err
            if ending.status == 0 and not left_behind:
                stage.check_the_end(operation)
            else:
                stage.check_the_instant()
            stage.convey(operation)
            stage.check_the_end(operation)


def check_what_it_said(ending: Ending, fault: Fault, failed: list[Call]) -> None:
    """It names what failed: where the fault lasts, any call that failed by it, since the first may be one to pass over."""
    assert ending.status in {0, *DOCUMENTED}, f"ended with {ending.status}: {ending.err}"
    assert "Traceback" not in ending.err, ending.err
    stdout_failed = fault.call.name == "write" and fault.lasting != ONCE
    if ending.status and not stdout_failed:
        message = ending.request["error"]["message"]
        assert re.search(r"[a-z]{4,}", re.sub(r"/\S+", "", message)), f"names no operation: {message}"
        named = [Path(path) for path in re.findall(r"/[^:]*?(?=: | -> |$| is | cannot )", message)]
        # SQLite looks at each folder on the way to a manifest.
        on_the_way = message.startswith("manifest: ") and any(
            str(path).startswith(f"{place}/") for path in named for call in failed for place in call.paths
        )
        is_named = any({path.name, path.parent.name} & call.names for path in named for call in failed)
        assert is_named or on_the_way, f"names other paths: {message}"
