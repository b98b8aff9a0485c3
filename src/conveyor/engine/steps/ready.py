"""The steps that write and remove the marker of a QA area: ``READY``, in most areas."""

from __future__ import annotations

from conveyor.capabilities.hook import StepResult
from conveyor.capabilities.marker import Delivery, content_of
from conveyor.clock import now
from conveyor.engine.steps.base import EngineStep, Run
from conveyor.engine.way_over import known_ways
from conveyor.filesystem.posix import Kind
from conveyor.layout import READY
from conveyor.values import frozen


@frozen
class _MarkerStep(EngineStep):
    """A step about the marker of this name."""

    marker: str = READY

    def describe(self) -> str:
        return self.text.format(marker=self.marker)


class WriteMarker(_MarkerStep):
    """Write the marker of the QA area: the delivery is complete."""

    name = "write-ready"
    text = "write {marker}"

    def perform(self, run: Run) -> StepResult:
        endpoints, qa, request = run.endpoints, run.endpoints.qa, run.request
        delivery = Delivery(
            request.places.request,
            request.project_code,
            run.capability.name,
            request.places.spool,
            tuple(name for name in run.names if qa.kind(name) is Kind.DIRECTORY),
            run.weblogs.path if run.weblog_cached else None,  # an older one is not this delivery's
            now(),
            run.weblog_page,
            known_ways(endpoints, run.names) | run.ways,
            run.size,
        )
        content = content_of(run.capability.marker, delivery)
        # Whoever sees the marker may rely on all of the delivery, after a power cut too.
        run.fs.fsync(endpoints.spool.root)
        run.fs.fsync(qa.root)
        run.fs.write(qa.root, self.marker, content)
        endpoints.let_read(qa.root, self.marker)
        return StepResult(detail=str(qa.path / self.marker))


class RemoveMarker(_MarkerStep):
    """Remove the marker, before anything goes home."""

    name = "withdraw-ready"
    text = "withdraw {marker}"

    def perform(self, run: Run) -> StepResult:
        qa = run.endpoints.qa
        if qa.kind(self.marker) is None:
            return StepResult(changed=False)
        run.fs.unlink(qa.root, self.marker)
        run.fs.fsync(qa.root)
        return StepResult()
