"""The steps that record the verdict of a failed QA, and clear it before the next delivery."""

from __future__ import annotations

from conveyor.capabilities.hook import StepResult
from conveyor.clock import now
from conveyor.documents.codec import dump
from conveyor.documents.kept_documents import Verdict
from conveyor.engine.steps.base import EngineStep, Run
from conveyor.layout import VERDICT


class RecordVerdict(EngineStep):
    """Record that the request's QA failed."""

    name = "record-verdict"
    text = "record the verdict: QA failed"

    def perform(self, run: Run) -> StepResult:
        spool = run.endpoints.spool
        spool.make_meta()
        verdict = Verdict(
            schema="conveyor-verdict/1",
            request=run.request.places.request,
            verdict="qa-fail",
            capability=run.capability.name,
            time=now(),
        )
        run.fs.write(spool.meta, VERDICT, dump(verdict))
        return StepResult()


class ClearVerdict(EngineStep):
    """Remove the verdict of an earlier QA, before the next delivery."""

    name = "clear-verdict"
    text = "clear the verdict of the earlier QA"

    def perform(self, run: Run) -> StepResult:
        run.fs.unlink(run.endpoints.spool.meta, VERDICT)
        return StepResult()
