"""One look at a workspace: a frozen entry a request, from the file system and the histories, and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from conveyor.api.find_requests import find_requests
from conveyor.api.operations import act_on_request, new_outcome
from conveyor.api.overview_entry import OverviewEntry, Trouble
from conveyor.clock import now
from conveyor.engine.context import Environment, looking_only
from conveyor.engine.conveyance import look
from conveyor.engine.survey import State
from conveyor.errors import RequestMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conveyor.api.find_requests import FoundRequest, FoundRequests, Listing
    from conveyor.engine.context import Request
    from conveyor.engine.outcome import Outcome
    from conveyor.settings.sources import Config


@dataclass(frozen=True)
class Overview:
    """A workspace at a ``time`` (UTC): its areas, and an entry for each request that is Conveyor's.

    These are the requests that a capability claims, and whatever is out, whoever delivered it. ``not_shown`` counts the
    others by their workflow. An area that could not be listed has an error.
    """

    time: str
    spool: Listing
    qa: tuple[Listing, ...]
    entries: tuple[OverviewEntry, ...]
    not_shown: Mapping[str, int] = field(default_factory=dict)

    @property
    def unlisted(self) -> tuple[Listing, ...]:
        """The areas that could not be listed."""
        return tuple(one for one in (self.spool, *self.qa) if one.error is not None)


def overview(config: Config, capability: str | None = None) -> Overview:
    """Look at a workspace, changing nothing.

    ``capability`` is that of all requests in spool, whatever their metadata say. Raises
    :class:`~conveyor.errors.ConfigurationError` if no spool root is set, or it is not there.
    """
    time, found = now(), find_requests(config, capability)
    act = partial(look, environment=Environment(looking_only()))
    entries = tuple(_entry(one, _look_at(one, act, config)) for one in found.requests)
    return Overview(time, found.spool, found.qa, entries, found.not_shown)


def _entry(found: FoundRequest, outcome: Outcome) -> OverviewEntry:
    request = found.request
    return OverviewEntry(
        name=found.name,
        metadata=str(found.metadata),
        spool=str(request.places.spool) if request else None,
        qa=str(request.places.qa) if request else None,
        project=request.project_code if request else None,
        capability=outcome.capability,
        state=outcome.state,
        directories=outcome.directories,
        trouble=_trouble(outcome),
        detail=outcome.error.message if outcome.error else "; ".join(outcome.warnings),
        progress=outcome.progress,
        weblog=outcome.weblog,
        weblog_page=outcome.weblog_page,
        qa_failed=outcome.verdict is not None,
        warnings=outcome.warnings,
        error=outcome.error,
    )


def _trouble(outcome: Outcome) -> Trouble | None:
    if outcome.error is not None:
        return Trouble.UNREADABLE
    return Trouble.NEEDS_PERSON if outcome.state is State.BROKEN else None


def look_at_each(found: FoundRequests, config: Config) -> Iterator[Outcome]:
    """Look at each request in turn; what could not be listed or looked at is an outcome with its error."""
    act = partial(look, environment=Environment(looking_only()))
    yield from (new_outcome("status", one.path, one.error) for one in found.unlisted)
    yield from (_look_at(one, act, config) for one in found.requests)


def _look_at(found: FoundRequest, act: Callable[..., Outcome], config: Config) -> Outcome:
    def resolve(*_: object) -> Request:
        if found.request is None:
            raise found.error or RequestMissingError(f"there is no request {found.name}")
        return found.request

    outcome = act_on_request(found.metadata, act, command="status", capability=None, config=config, resolve=resolve)
    return replace(outcome, request=found.name, error=outcome.error or found.error)
