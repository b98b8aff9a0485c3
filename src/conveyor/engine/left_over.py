"""Remove what commands left of a request: for readers on other hosts, since it could not be removed, or by dying."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.engine.claim import Claim
from conveyor.engine.conveyance import look
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.event_log import History
from conveyor.engine.qa_record import drop_half_written
from conveyor.engine.steps import RemoveLeftBehind
from conveyor.engine.steps.base import Run
from conveyor.engine.survey import survey
from conveyor.weblog.cache import WeblogCache

if TYPE_CHECKING:
    from conveyor.engine.context import Environment, Request
    from conveyor.engine.outcome import Outcome

_COMMAND = "tidy"


def remove_what_stayed(request: Request, environment: Environment, outcome: Outcome) -> Outcome:
    """Remove what stayed of the sources of copies and may go, under the request's claim; nothing is held if nothing did.

    So goes what was half written of what people said.

    Raises :class:`~conveyor.errors.LockedError` if another conveyance holds the request, and :class:`OSError`.
    """
    warnings: list[str] = []

    def opened() -> Endpoints:
        return Endpoints(environment.fs, request.places, request.copying, request.cache_lifetime)

    with opened() as endpoints:
        seen = survey(endpoints, request.capability)
        outcome = replace(outcome, changed=drop_half_written(endpoints.spool, environment.host))
        if seen.lingering or seen.left_behind:
            # As for a conveyance: what was seen before the claim was held may be gone.
            with Claim(endpoints.spool, environment.host) as claim, opened() as claimed:
                claimed.open_qa()
                claimed.copying.warn = warnings.append
                step = RemoveLeftBehind()
                weblogs = WeblogCache(environment.fs, request.places, request.limits)
                done = step.perform(Run(claimed, request, weblogs))
                claim.used = done.changed
                if done.changed:
                    history = History(environment.host, _COMMAND, request.capability.name, end=claimed.spool)
                    history.add(step.name, "", "done", done.detail, durable=True)
                outcome = replace(outcome, changed=outcome.changed or done.changed)
    seen_now = look(request, environment, outcome)
    return replace(seen_now, warnings=tuple(dict.fromkeys((*warnings, *seen_now.warnings))))
