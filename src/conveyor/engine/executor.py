"""Act: perform the steps of a plan one by one, each safe to repeat, each recorded in the request's history."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from conveyor.engine.outcome import StepOutcome
from conveyor.engine.steps import Deliver, Retrieve
from conveyor.errors import ConveyorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.engine.copy_progress import ProgressReporter
    from conveyor.engine.event_log import History
    from conveyor.engine.outcome import EventCallback
    from conveyor.engine.plan import Plan
    from conveyor.engine.steps.base import Run, Step


_MOVES = (Deliver.name, Retrieve.name)


class Executor:
    """Performs plans for one request under its claim. ``done`` grows step by step and is whole after a failure too."""

    def __init__(
        self,
        run: Run,
        history: History,
        on_event: EventCallback,
        reporter: ProgressReporter,
        may_go_on: Callable[[], object],
    ) -> None:
        self._run = run
        self._history = history
        self._on_event = on_event
        self._reporter = reporter
        self._may_go_on = may_go_on
        self.done: list[StepOutcome] = []
        self.changed = False

    @property
    def ways(self) -> list[str]:
        """The ways that directories took: ``exchange``, ``renames``, ``copy``."""
        return sorted({step.detail for step in self.done if step.step in _MOVES and step.outcome == "done"})

    @property
    def size(self) -> int | None:
        """The bytes of the request, if this run counted them."""
        return self._run.size

    def perform(self, plan: Plan) -> None:
        """Perform the steps in order.

        Raises :class:`~conveyor.errors.ConveyorError` at the first that fails, and between two steps, or in the middle of
        a copy, what ``may_go_on`` raises.
        """
        for step in plan.steps:
            self._may_go_on()
            about = {"request": self._run.request.places.request, "step": step.name}
            self._on_event("debug", f"next: {step.describe()}", **about)
            last = step is plan.steps[-1]
            try:
                with self._reporter.about(step.subject):
                    result = step.perform(self._run)
            except OSError as error:
                raise self._failed(step, self._run.endpoints.told_error(error)) from error
            except Exception as error:
                raise self._failed(step, ConveyorError.from_exception(error)) from error
            self._record(step, "done" if result.changed else "already", result.detail, durable=last)
            self.changed = self.changed or result.changed
            details = {"detail": result.detail} if result.detail else {}
            self._on_event("info", step.describe(), **about, changed=result.changed, **details)

    def _failed(self, step: Step, error: ConveyorError) -> ConveyorError:
        if self.done:  # a run that fails at its first step leaves nothing behind, a history neither
            with contextlib.suppress(OSError):
                self._history.add(step.name, step.subject, "failed", error.message, durable=True)
        self.done.append(StepOutcome(step.name, step.subject, step.describe(), "failed", error.message))
        return error

    def _record(self, step: Step, outcome: str, detail: str, *, durable: bool) -> None:
        self.done.append(StepOutcome(step.name, step.subject, step.describe(), outcome, detail))
        try:
            self._history.add(step.name, step.subject, outcome, detail, durable=durable)
        except OSError as error:
            raise ConveyorError.from_os_error(error) from error
