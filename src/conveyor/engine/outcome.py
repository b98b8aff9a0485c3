"""The outcome of a command for one request: a value, which the layers above print as text or as JSON."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conveyor.documents.kept_documents import Progress
    from conveyor.engine.survey import State
    from conveyor.engine.verification import Verified
    from conveyor.engine.way_over import Way
    from conveyor.errors import ConveyorError
    from conveyor.filesystem.in_use import Occupant


#: The levels of what is told, from what is of least weight on.
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class EventCallback(Protocol):
    """A callback that gets each event as it happens: a level (``debug`` to ``error``), an event, and its details."""

    def __call__(self, level: str, event: str, **details: object) -> None:
        """Take one event; must not raise."""


def no_events(level: str, event: str, **details: object) -> None:
    """Ignore the event."""


@frozen
class StepOutcome:
    """The outcome of one step: ``planned``, ``done``, ``already`` or ``failed``."""

    step: str
    subject: str
    meaning: str
    outcome: str
    detail: str = ""


@frozen
class Outcome:
    """The outcome of one command for one request.

    ``request``, ``capability`` and ``state`` are None as long as they could not be told. ``changed`` says whether anything
    on disk changed. ``ways`` says how each directory went that this run moved, or, in a dry run, would go. ``spool``, ``qa``
    and ``weblog`` are the request's places, ``weblog_page`` is the page to open first; None if there is none. ``verdict`` is
    ``qa-fail`` while that of a failed QA is kept. ``progress`` is, in a status, that of a copy that is made at this moment,
    and ``seen`` what an overview says of the request, as documents have it;
    ``verified`` is what a verification found, ``users`` are those who have something of the request open.
    """

    command: str
    metadata: str | None
    dry_run: bool = False
    request: str | None = None
    capability: str | None = None
    state: State | None = None
    changed: bool = False
    directories: Mapping[str, State] = field(default_factory=dict)
    steps: tuple[StepOutcome, ...] = ()
    ways: Mapping[str, Way] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    spool: str | None = None
    qa: str | None = None
    weblog: str | None = None
    weblog_page: str | None = None
    verdict: str | None = None
    progress: Progress | None = None
    verified: tuple[Verified, ...] = ()
    users: tuple[Occupant, ...] = ()
    seen: Mapping[str, object] | None = None
    error: ConveyorError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None

    @property
    def already(self) -> bool:
        """Tell whether there was nothing to do."""
        return self.ok and not self.changed and not any(step.outcome == "planned" for step in self.steps)

    def raise_for_error(self) -> Outcome:
        """Raise the error, if there is one; otherwise give the outcome back, for chaining."""
        if self.error is not None:
            raise self.error
        return self


def exit_code(outcomes: list[Outcome]) -> int:
    """Return 0 if all is well; else the code that those which failed have in common, or 1 if they differ."""
    codes = {outcome.error.exit_code for outcome in outcomes if outcome.error}
    if not codes:
        return 0
    return codes.pop() if len(codes) == 1 else 1
