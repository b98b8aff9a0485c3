"""One request as an overview has it: a frozen value, with everything that a list, a page or a metric says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conveyor.api.request_state import Glance
    from conveyor.documents.kept_documents import Progress
    from conveyor.engine.claim import Holder
    from conveyor.engine.plan import Operation
    from conveyor.engine.survey import State
    from conveyor.errors import ConveyorError


class Trouble(StrEnum):
    """The troubles of a request, the worst first: of several, an entry has the first."""

    UNREADABLE = "unreadable"  # it, or a part of it, cannot be looked at
    ORPHANED = "orphaned"  # it is in a QA area, and its directory in spool is gone
    RENAMED = "renamed"  # its QA folder has another name now
    DANGLING = "dangling"  # a link of it leads to nothing
    NEEDS_PERSON = "needs-person"  # no command goes on from here
    STALLED = "stalled"  # a conveyance was begun, and nobody alive works on it
    REFUSED = "refused"  # the last conveyance was
    LEFT_OVER = "left-over"  # something of Conveyor's own could not be removed


class Section(StrEnum):
    """The sections of a list of requests, in the order in which people need them."""

    NEEDS_PERSON = "needs-person"
    STALLED = "stalled"
    MOVING = "moving"
    IN_QA = "in-qa"
    COMPUTING = "computing"
    IN_SPOOL = "in-spool"


@frozen
class Judgement:
    """A verdict on a request: ``by`` is the account that gave it, None if that is not known; ``time`` is UTC."""

    verdict: Literal["pass", "fail"]
    time: str
    by: str | None = None
    reason: str | None = None


@frozen
class Assignment:
    """The person ``to`` whom a request was assigned, by which account and when (UTC)."""

    to: str
    by: str | None
    time: str


@frozen
class Attempt:
    """The last command that was run on a request, by its history. ``error`` is the code of what refused or stopped it."""

    command: str
    outcome: str | None
    time: str
    host: str | None = None
    account: str | None = None
    error: str | None = None
    reason: str | None = None

    @property
    def result(self) -> str:
        """What came of it, in words. A run that was killed has not said so."""
        return ", ".join(filter(None, (self.outcome or "did not end, or runs", self.error)))


@dataclass(frozen=True, slots=True)  # there are thousands
class OverviewEntry:
    """One request of a workspace; whatever is not known is None.

    ``spool`` and ``qa`` are its two places, ``workflow`` is that of its metadata. ``detail`` says in words what the trouble
    is. ``is_computing`` says that its workflow has not written all directories yet. Times are UTC (RFC 3339): ``since`` is
    that of the state or the trouble, ``delivered`` that of READY, from which ``age_in_qa`` follows, in seconds.
    ``holder_is_alive`` is None if that cannot be told from this host. ``size`` is in bytes, known of what was copied.
    ``begun`` is the conveyance that was interrupted, of what is stalled. ``next_command`` are the words of the command line
    to run next. ``to_tidy`` counts the sources of copies that may go by now. ``data_sets`` are the file sets that its
    metadata names, ``deliveries`` counts those of its history, ``is_edited`` says that a delivered directory was written to
    since. All paths are text: thousands of entries go from one process to another.
    """

    name: str
    metadata: str
    spool: str | None = None
    qa: str | None = None
    project: str | None = None
    capability: str | None = None
    workflow: str | None = None
    state: State | None = None
    directories: Mapping[str, State] = field(default_factory=dict)
    trouble: Trouble | None = None
    detail: str = ""
    is_computing: bool = False
    since: str | None = None
    delivered: str | None = None
    age_in_qa: float | None = None
    holder: Holder | None = None
    holder_is_alive: bool | None = None
    progress: Progress | None = None
    size: int | None = None
    weblog: str | None = None
    weblog_page: str | None = None
    qa_failed: bool = False
    verdict: Judgement | None = None
    assigned: Assignment | None = None
    last_attempt: Attempt | None = None
    begun: Operation | None = None
    next_command: tuple[str, ...] = ()
    to_tidy: int = 0
    warnings: tuple[str, ...] = ()
    data_sets: tuple[str, ...] = ()
    deliveries: int | None = None
    is_edited: bool | None = None
    error: ConveyorError | None = None
    glance: Glance | None = None

    @property
    def section(self) -> Section:
        """The section that it stands in: what needs a person goes before everything else."""
        if self.trouble is Trouble.STALLED:
            return Section.STALLED
        if self.trouble is not None:
            return Section.NEEDS_PERSON
        if self.holder is not None and self.holder_is_alive is not False:
            return Section.MOVING
        if self.is_computing:
            return Section.COMPUTING
        return Section.IN_QA if self.state == "in-qa" else Section.IN_SPOOL
