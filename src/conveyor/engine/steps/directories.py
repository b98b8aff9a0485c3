"""The steps that move directories, put their final links, and complete or roll back what an interrupted copy left.

The subject of each is a directory's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from conveyor.capabilities.hook import StepResult
from conveyor.engine.endpoints import Location
from conveyor.engine.links import put_final_link
from conveyor.engine.move import move
from conveyor.engine.retagging import settle_projects
from conveyor.engine.steps.base import EngineStep, Run
from conveyor.filesystem.posix import Kind
from conveyor.layout import COMMITTED

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint


class _Move(EngineStep):
    """A step that moves a directory from the end ``origin`` to the other."""

    origin: ClassVar[Location]

    def rehearse(self, run: Run) -> str:
        """Return the way that was found by trying."""
        return str(run.ways[self.subject])

    def perform(self, run: Run) -> StepResult:
        way = run.ways[self.subject] = move(run.endpoints, self.subject, run.endpoints.at(self.origin))
        return StepResult(detail=str(way))


class Deliver(_Move):
    """Move a directory from spool to the QA area."""

    name = "deliver"
    text = "move {subject} to the QA area, a link in its place"
    origin = Location.SPOOL


class Retrieve(_Move):
    """Move a directory from the QA area home."""

    name = "retrieve"
    text = "move {subject} home, in the place of its link"
    origin = Location.QA


class SettleProjects(EngineStep):
    """Finish what a run that was interrupted began: to give a directory the project IDs that it has where it is."""

    name = "settle-project-ids"
    text = "give {subject} the project IDs that it has here"

    def perform(self, run: Run) -> StepResult:
        at = next(end for end in (run.endpoints.qa, run.endpoints.spool) if end.kind(self.subject) is Kind.DIRECTORY)
        settle_projects(run.endpoints, self.subject, at)
        return StepResult(detail=f"in {at.path}")


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
        from conveyor.engine.move_across import complete_copy

        at = _end_of_copy(run, self.subject)
        complete_copy(run.endpoints, self.subject, at)
        return StepResult(detail=f"in {at.path}")


class RollBackCopy(EngineStep):
    """Take a copy back out that was swapped in by a run that was interrupted."""

    name = "recall-copy"
    text = "roll back the unfinished copy of {subject}"

    def perform(self, run: Run) -> StepResult:
        from conveyor.engine.move_across import roll_back_copy

        at = _end_of_copy(run, self.subject)
        roll_back_copy(run.endpoints, self.subject, at)
        return StepResult(detail=f"from {at.path}")


def _end_of_copy(run: Run, name: str) -> Endpoint:
    return next(end for end in (run.endpoints.qa, run.endpoints.spool) if end.meta_kind(name + COMMITTED) is not None)
