"""A step: what it does in words, whether it would succeed, and the act. Each is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from conveyor.filesystem.posix import Kind
from conveyor.values import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.capabilities.capability import Capability
    from conveyor.capabilities.hook import StepResult
    from conveyor.engine.context import Request
    from conveyor.engine.endpoints import Endpoints
    from conveyor.engine.way_over import Way
    from conveyor.filesystem.posix import FileSystem
    from conveyor.weblog.cache import WeblogCache


@dataclass
class Run:
    """The context of the steps of one run. ``weblog_cached``: this run has made sure of the cached weblog.

    ``weblog_page`` is the path of its first page. ``ways``: how each directory went, or would go.
    """

    endpoints: Endpoints
    request: Request
    weblogs: WeblogCache
    weblog_cached: bool = False
    weblog_page: Path | None = None
    ways: dict[str, Way] = field(default_factory=dict)

    @property
    def fs(self) -> FileSystem:
        return self.endpoints.fs

    @property
    def capability(self) -> Capability:
        return self.request.capability

    @property
    def names(self) -> list[str]:
        """The names of the capability's directories."""
        return [directory.name for directory in self.capability.directories]

    @property
    def size(self) -> int | None:
        """The bytes of all directories; None unless this run counted each, as it does before it copies one."""
        counted, ends = self.endpoints.copying.counted, (self.endpoints.spool, self.endpoints.qa)
        if not counted:
            return None
        there = [name for name in self.names if any(end.kind(name) is Kind.DIRECTORY for end in ends)]
        return sum(counted[name].total.bytes for name in there) if counted.keys() >= set(there) else None


class Step(Protocol):
    """One step of a plan. ``name`` is the step's in plans, logs and JSON.

    ``subject`` is what it is about: a directory's name, a weblog's path from the request, or nothing.
    """

    @property
    def name(self) -> str: ...

    @property
    def subject(self) -> str: ...

    def describe(self) -> str:
        """Return what the step does, for people."""

    def rehearse(self, run: Run) -> str:
        """Return the detail that :meth:`perform` would tell, empty if that is not known yet.

        Raises what it would raise, as far as that can be known by reading alone; may take long.
        """

    def perform(self, run: Run) -> StepResult:
        """Do it. Raises :class:`OSError` or :class:`~conveyor.errors.ConveyorError`; the next run finishes it then."""


@frozen
class EngineStep:
    """The common part of the engine's own steps; ``text`` says what the step does, with ``{subject}`` for the subject."""

    subject: str = ""
    name: ClassVar[str]
    text: ClassVar[str]

    def describe(self) -> str:
        """Return the text with its subject."""
        return self.text.format(subject=self.subject)

    def rehearse(self, run: Run) -> str:
        """Raise nothing: all that can be known of most steps, the planner has checked."""
        return ""
