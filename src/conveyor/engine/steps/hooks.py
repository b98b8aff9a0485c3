"""The step that runs a hook of the capability's own."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from conveyor.capabilities.hook import HookContext, StepResult
from conveyor.errors import CapabilityBrokenError, ConveyorError
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        with guarded(self.hook):
            return self.hook.describe()

    def rehearse(self, run: Run) -> str:
        with guarded(self.hook):
            self.hook.rehearse(context_of(run.request))
        return ""

    def perform(self, run: Run) -> StepResult:
        with guarded(self.hook):
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
        with guarded(hook):
            if hook.needed(context_of(request)):
                found.append(hook)
    return tuple(found)


@contextlib.contextmanager
def guarded(hook: Hook) -> Iterator[None]:
    """Turn what a hook raises into a :class:`~conveyor.errors.CapabilityBrokenError`, unless it is a foreseen failure.

    That of ``sys.exit`` too: nothing was conveyed, whatever the status says. What it prints goes to stderr.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (ConveyorError, OSError):
        raise
    except (Exception, SystemExit) as error:
        raise CapabilityBrokenError(f"the step {hook.name!r} failed: {type(error).__name__}: {error}") from error
