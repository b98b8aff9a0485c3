"""Eight runs of the real program on one request, started and killed at random: one acts at a time, and nothing is lost."""

from __future__ import annotations

import json
import time
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from conveyor.errors import LockedError, NotInQaError
from support.stage import CLONE, NAMES, RETAG, Stage
from support.sweep import everything, seed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.program import Ending, Program
    from support.strace import Trace
    from support.sweep import Sweep

RUNS = 8
ROUNDS = range(250)  # four times over
SAMPLE = 8
WATCHED, WATCHED_SAMPLE = range(100), 4
# A run takes some hundredths of a second: they start, and are killed, at any time in that.
SPREAD = 0.06  # seconds
RACED = ("exchange", RETAG, CLONE)
KILLED = -9


@pytest.fixture(params=RACED if everything() else [RACED[seed() % len(RACED)]])
def race(request: pytest.FixtureRequest, program: Program, near: Path) -> Stage:
    """A request that is at home, to go by one way or another: another one each hour, if not all are asked for."""
    folders = {RETAG: "two_projects", CLONE: "two_mounts"}
    places: tuple[Path, Path] = (near, near)
    if request.param in folders:
        places = request.getfixturevalue(folders[request.param])
    stage = Stage(program, *places, request.param)
    stage.prepare(Operation.DELIVER, second=False)
    return stage


@pytest.mark.parametrize("killing", [False, True], ids=["", "with kills"])
@pytest.mark.parametrize("mixed", [False, True], ids=["one command", "all commands"])
def test_of_eight_runs_one_acts_at_a_time(race: Stage, sweep: Sweep, mixed: bool, killing: bool) -> None:
    """Whoever comes too late ends with 75 and has changed nothing; the history never shows two at work at the same time."""
    operation = Operation.RETRIEVE
    for number in sweep.choose(ROUNDS, SAMPLE):
        dice = Random(f"{seed()} {number}")
        operation = Operation.DELIVER if operation is Operation.RETRIEVE else Operation.RETRIEVE
        with sweep.at(f"round {number}"):
            operations = [dice.choice(list(Operation)) if mixed else operation for _ in range(RUNS)]
            seen = len(history(race))
            endings = let_race(race, operations, dice, killing=killing)
            sweep.was_hit(number, hit=True)
            race.check_the_instant()
            for ending in endings:
                check_what_became_of(ending, killing=killing)
            workers = [pid for pid, _ in groupby(line["pid"] for line in history(race)[seen:])]
            assert len(workers) == len(set(workers)), f"interleaved: {workers}"
            if not mixed and not killing:
                assert sum(ending.status == 0 and ending.request["changed"] for ending in endings) == 1
            race.convey(operation)
            race.check_the_end(operation)
    sweep.finish(len(ROUNDS))


def test_the_calls_of_two_runs_never_interleave(race: Stage, sweep: Sweep, tracing: None) -> None:
    """strace sees each run that changes the request's directories make all its changes before another one begins."""
    operation = Operation.RETRIEVE
    for number in sweep.choose(WATCHED, WATCHED_SAMPLE):
        operation = Operation.DELIVER if operation is Operation.RETRIEVE else Operation.RETRIEVE
        with sweep.at(f"round {number}"):
            endings, trace = race.traced_together([operation] * RUNS)
            sweep.was_hit(number, hit=len({call.process for call in trace.calls}) >= RUNS)
            for ending in endings:
                check_what_became_of(ending, killing=False)
            workers = [process for process, _ in groupby(changes_of_data(race, trace))]
            assert len(workers) == len(set(workers)), f"interleaved: {workers}"
            race.convey(operation)
            race.check_the_end(operation)
    sweep.finish(len(WATCHED))


def let_race(stage: Stage, operations: Sequence[Operation], dice: Random, *, killing: bool) -> list[Ending]:
    """Start the runs, and kill some of them, each at a random moment."""
    runs = [stage.start(operation, held=True) for operation in operations]
    events = []
    for run in runs:
        start = dice.uniform(0, SPREAD / 2)
        events.append((start, run.let_go))
        if killing and dice.random() < 0.4:
            events.append((start + dice.uniform(0, SPREAD), run.kill))
    before = 0.0
    for moment, act in sorted(events, key=lambda event: event[0]):
        time.sleep(moment - before)
        act()
        before = moment
    return [run.wait() for run in runs]


def check_what_became_of(ending: Ending, *, killing: bool) -> None:
    if killing and ending.status == KILLED:
        return
    assert ending.status in (0, LockedError.exit_code, NotInQaError.exit_code), f"{ending.status}: {ending.err}"
    if ending.status:
        is_verdict = json.loads(ending.out)["command"] == Operation.QA_FAIL
        refused = {LockedError.code, NotInQaError.code} if is_verdict else {LockedError.code}
        assert ending.request["error"]["code"] in refused
        assert not ending.request["changed"]
        assert not ending.request["steps"]


def history(stage: Stage) -> list[dict[str, object]]:
    path = stage.workspace.spool / ".conveyor" / "history.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in map(json.loads, lines) if line.get("event") != "refused"]


def changes_of_data(stage: Stage, trace: Trace) -> list[int]:
    """Who made each change of the request's directories, of its QA folder and of its cached weblog, in their order."""
    workspace = stage.workspace
    places = [workspace.qa.parent, workspace.weblog.parent, *(workspace.spool / name for name in NAMES)]
    return [
        call.process
        for call in trace.calls
        if call.changes and any(path.startswith(str(place)) for path in call.paths for place in places)
    ]
