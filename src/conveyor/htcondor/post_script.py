"""The POST script of a node: a request is conveyed behind a job, if the job succeeded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.api.requests import capture_errors, log_error, new_outcome, resolve_request
from conveyor.engine.context import Environment
from conveyor.engine.conveyance import convey, look
from conveyor.engine.event_log import RequestLog
from conveyor.engine.outcome import LEVELS, EventCallback, Outcome, no_events
from conveyor.layout import POST_SCRIPT_LOG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.engine.plan import Operation
    from conveyor.htcondor.job_ending import JobResult
    from conveyor.settings.sources import Config


def post_script(
    operation: Operation,
    metadata: Path,
    ending: JobResult,
    *,
    config: Config,
    capability: str | None = None,
    dry_run: bool = False,
    on_event: EventCallback = no_events,
    least: int | None = LEVELS["info"],
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Convey a request if its job succeeded; otherwise the outcome's error says how the job failed.

    What happens is told to ``observer``, and, from level ``least`` on, added to the request's own log (None: to none).
    """
    observers = [on_event]

    def everybody(level: str, event: str, **details: object) -> None:
        for one in observers:
            one(level, event, **details)

    def conveyed(outcome: Outcome) -> Outcome:
        request, outcome = resolve_request(metadata, capability, config, outcome)
        environment = Environment(on_event=everybody, stop=stop)
        if least is not None and not dry_run:
            always = {"request": request.places.request, "command": str(operation), **ending.told}
            observers.append(RequestLog(environment.fs, request.places, POST_SCRIPT_LOG, least, always))
        if ending.error is not None:
            return look(request, environment, outcome)
        everybody("info", "the job succeeded")
        return convey(request, operation, environment, outcome, dry_run=dry_run)

    outcome = capture_errors(conveyed, replace(new_outcome(str(operation), metadata), dry_run=dry_run))
    # That the job failed is what the node has to tell, whatever else is wrong with the request.
    outcome = replace(outcome, error=ending.error or outcome.error)
    log_error(outcome, everybody)
    if outcome.ok:
        everybody("info", f"{operation}: the request is {outcome.state} now")
    return outcome
