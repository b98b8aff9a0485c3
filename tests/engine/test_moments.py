"""Another conveyance that comes between any two calls of one that only looks: nobody is told of a state that never was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from conveyor.errors import LockedError
from support.faults import Faults
from support.rehearsal import prepared
from support.verdicts import opposite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.rehearsal import Stage
    from support.sweep import Sweep

SAMPLE = 8


class Between(Faults):
    """Not a fault: before call number ``at``, something else is done on the stage."""

    def __init__(self, act: Callable[[Stage], object], stage: Stage, at: int) -> None:
        super().__init__(at=at, looks=True)
        self._act, self._stage = act, stage

    def point(self, call: str) -> None:
        self.calls.append(call)
        if len(self.calls) - 1 == self.at:
            self._act(self._stage)

    def answer(self) -> None:
        pass


@pytest.mark.parametrize("way", ["exchange", "renames", "retag", "copy"])
@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_a_conveyance_that_comes_between_two_looks(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, sweep: Sweep, operation: Operation, way: str
) -> None:
    """The one that looked ends as if it had come before or after, or with 75 and nothing changed."""
    stage, _ = prepared(quick_folder / "undisturbed", way, operation, monkeypatch)
    looks = Faults(looks=True)
    stage.run(operation, looks)
    until = next(number for number, call in enumerate(looks.calls) if call in ("mkdir", "symlink"))
    overtaken = 0
    for at in sweep.choose(range(until), SAMPLE):
        stage, before = prepared(quick_folder / str(at), way, operation, monkeypatch)
        between = Between(lambda stage: stage.run(operation).raise_for_error(), stage, at=at)
        with sweep.at(f"another one came before call {at} of {until}: {looks.calls[at]}"):
            outcome = stage.run(operation, between)
            sweep.was_hit(at, hit=len(between.calls) > at)
            assert outcome.error is None or outcome.error.exit_code == LockedError.exit_code
            assert not outcome.changed
            overtaken += outcome.error is not None
            stage.check_the_end(operation, before)
            stage.run(opposite(operation)).raise_for_error()
    sweep.finish(21)
    assert overtaken > sweep.tried // 3
