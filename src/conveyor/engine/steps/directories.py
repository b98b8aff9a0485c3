"""The steps that move directories, put their final links, and complete or roll back what an interrupted copy left.

The subject of each is a directory's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.capabilities.hook import StepResult
from conveyor.engine.links import put_final_link
from conveyor.engine.move import move
from conveyor.engine.move_across import complete_copy, roll_back_copy
from conveyor.engine.steps.base import EngineStep, Run
from conveyor.layout import COMMITTED

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint


class Deliver(EngineStep):
    """Move a directory from spool to the QA area."""

    name = "deliver"
    text = "move {subject} to the QA area, a link in its place"

    def perform(self, run: Run) -> StepResult:
        return StepResult(detail=move(run.endpoints, self.subject, run.endpoints.spool))


class Retrieve(EngineStep):
    """Move a directory from the QA area home."""

    name = "retrieve"
    text = "move {subject} home, in the place of its link"

    def perform(self, run: Run) -> StepResult:
        return StepResult(detail=move(run.endpoints, self.subject, run.endpoints.qa))


class PutFinalLink(EngineStep):
    """Replace a bridge in spool by the final link."""

    name = "link"
    text = "replace the temporary link of {subject} by the final one"

    def perform(self, run: Run) -> StepResult:
        return StepResult(put_final_link(run.endpoints, run.endpoints.spool, self.subject))


class CompleteCopy(EngineStep):
    """Remove the source of a copy that was swapped in by a run that was interrupted."""

    name = "finish-copy"
    text = "remove the source of the finished copy of {subject}"

    def perform(self, run: Run) -> StepResult:
        at = _end_of_copy(run, self.subject)
        complete_copy(run.endpoints, self.subject, at)
        return StepResult(detail=f"in {at.path}")


class RollBackCopy(EngineStep):
    """Take a copy back out that was swapped in by a run that was interrupted."""

    name = "recall-copy"
    text = "roll back the unfinished copy of {subject}"

    def perform(self, run: Run) -> StepResult:
        at = _end_of_copy(run, self.subject)
        roll_back_copy(run.endpoints, self.subject, at)
        return StepResult(detail=f"from {at.path}")


def _end_of_copy(run: Run, name: str) -> Endpoint:
    return next(end for end in (run.endpoints.qa, run.endpoints.spool) if end.meta_kind(name + COMMITTED) is not None)
