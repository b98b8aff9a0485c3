"""The step that runs a hook of the capability's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.capabilities.hook import HookContext, StepResult
from conveyor.capabilities.package_code import package_code
from conveyor.values import frozen

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from conveyor.capabilities.hook import Hook
    from conveyor.engine.context import Request
    from conveyor.engine.steps.base import Run


@frozen
class HookStep:
    """A hook as a :class:`~conveyor.engine.steps.base.Step`."""

    hook: Hook
    subject: str = ""

    @property
    def name(self) -> str:
        return self.hook.name

    def describe(self) -> str:
        with _of(self.hook):
            return self.hook.describe()

    def rehearse(self, run: Run) -> str:
        with _of(self.hook):
            self.hook.rehearse(context_of(run.request))
        return ""

    def perform(self, run: Run) -> StepResult:
        with _of(self.hook):
            result = self.hook.perform(context_of(run.request))
            if not isinstance(result, StepResult):
                raise TypeError(f"its perform returned {result!r}, not a conveyor.StepResult")
            return result


def context_of(request: Request) -> HookContext:
    """The request as its hooks see it."""
    places = request.places
    return HookContext(
        places.request, request.project_code, request.capability.name, places.spool, places.qa, places.weblog
    )


def needed_hooks(request: Request, hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
    """Ask hooks whether there is anything to do. Raises as they do."""
    found = []
    for hook in hooks:
        with _of(hook):
            if hook.needed(context_of(request)):
                found.append(hook)
    return tuple(found)


def _of(hook: Hook) -> AbstractContextManager[None]:
    return package_code(f"the step {hook.name!r}")
