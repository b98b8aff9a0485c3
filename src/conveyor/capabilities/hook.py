"""Hooks: steps of a capability's own, before a delivery and after a retrieval.

A hook is planned, shown by a dry run, recorded and, after a crash, run again like every other step. It gets the places of
the request and no more: what it changes, it changes with its own means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from conveyor.values import frozen

if TYPE_CHECKING:
    from pathlib import Path


@frozen
class HookContext:
    """The request that a hook is about.

    ``spool`` is the request's directory: paths below it work wherever the data are. ``qa`` is its folder in the QA area,
    which may not exist, and ``weblog`` its place in the weblog cache.
    """

    request: str
    project_code: str | None
    capability: str
    spool: Path
    qa: Path
    weblog: Path


@frozen
class StepResult:
    """The result of a step: whether it changed anything, and a detail for people."""

    changed: bool = True
    detail: str = ""


@runtime_checkable
class Hook(Protocol):
    """A step of a capability's own. ``name`` stands in plans, logs and JSON.

    What it raises ends the conveyance: :class:`~conveyor.ConveyorError` and :class:`OSError` as they are, everything else as
    :class:`~conveyor.errors.CapabilityBrokenError`.
    """

    @property
    def name(self) -> str: ...

    def needed(self, request: HookContext) -> bool:
        """Look, changing nothing: is there anything to do?

        Asked in each conveyance that has steps. A hook whose work leaves no trace says True; it is run again if the
        conveyance is interrupted after it.
        """

    def describe(self) -> str:
        """Return what the step does, in a few words, for plans and logs."""

    def rehearse(self, request: HookContext) -> None:
        """Raise, in a dry run, what would be raised in earnest, as far as that can be known by reading."""

    def perform(self, request: HookContext) -> StepResult:
        """Do the work. It has to be safe to repeat: after a crash nobody knows how far it went."""
