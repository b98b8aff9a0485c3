"""The POST script of a node: a request is conveyed behind a job, if the job succeeded.

Source of the numbers: HTCondor's manual, *DAGMan script arguments*, ``$RETURN``; the three below -1000 are defined in
DAGMan's ``dagman_main.h``.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.api.operations import act_on_request, log_error
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey, look
from conveyor.engine.event_log import RequestLog
from conveyor.engine.outcome import LEVELS, EventCallback, Outcome, no_events
from conveyor.errors import (
    ConveyorError,
    JobFailedError,
    JobKilledError,
    JobNotStartedError,
    JobNotSubmittedError,
    JobRemovedError,
)
from conveyor.layout import POST_SCRIPT_LOG
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conveyor.engine.plan import Operation
    from conveyor.settings.sources import Config


#: The exit statuses that a program may choose: 126 and above are the shell's.
NO_RETRY_STATUSES = range(1, 126)


@frozen
class JobResult:
    """DAGMan's ``$RETURN``, ``$JOB``, ``$RETRY`` and ``$MAX_RETRIES``; None for those that are not given."""

    status: int
    job: str | None = None
    retry: str | None = None
    max_retries: str | None = None

    @property
    def error(self) -> JobFailedError | None:
        """The reason why nothing is to be conveyed; None if the job succeeded."""
        job = f"the job {self.job}" if self.job else "the job"
        match self.status:
            case 0:
                return None
            case _ if self.status > 0:
                return JobFailedError(f"{job} ended with status {self.status}: nothing is conveyed")
            case -1001:
                return JobNotSubmittedError(f"{job} could not be submitted: nothing is conveyed")
            case -1002:
                return JobRemovedError(f"{job} was removed from the queue: nothing is conveyed")
            case -1004:
                return JobNotStartedError(f"{job} did not run, since its PRE script failed: nothing is conveyed")
            case _ if self.status > -1000:
                return JobKilledError(f"{job} was ended by signal {_signal(-self.status)}: nothing is conveyed")
            case _:
                return JobFailedError(f"{job} failed, DAGMan says {self.status}: nothing is conveyed")

    @property
    def log_fields(self) -> dict[str, object]:
        """The fields of each log line that come from DAGMan."""
        numbers = {"retry": self.retry, "max_retries": self.max_retries}
        known = {"job": self.job, "return": self.status} | {name: _number(text) for name, text in numbers.items()}
        return {name: value for name, value in known.items() if value is not None}


def _number(text: str | None) -> int | str | None:
    """Return the number that a text is; any other text, such as a macro that DAGMan left as it is, comes back."""
    try:
        return text if text is None else int(text)
    except ValueError:
        return text


def node_error(arguments: Sequence[str], error: ConveyorError) -> ConveyorError:
    """Return what ended a post script before it looked at its request: the job's failure, if it failed, else ``error``.

    The job's failure has the other error as a note. ``arguments`` are the command line's.
    """
    status = _number(_value("--return", arguments))
    failure = JobResult(status, _value("--job", arguments)).error if isinstance(status, int) else None
    if failure is None:
        return error
    for note in (*getattr(error, "__notes__", ()), f"besides: {error.message}"):
        failure.add_note(note)
    return failure


def node_status(arguments: Sequence[str], status: int, error: ConveyorError | None) -> int:
    """Return the exit status of a post script, which is its node's, if its command ended with ``status`` and ``error``.

    That of the job's failure, if it failed, whatever else is wrong, the command line and the settings too. Otherwise the
    number that ``--unless-exit`` names if there is an error that no retry helps, and ``status`` in all other cases.
    """
    returned = _number(_value("--return", arguments))
    if isinstance(returned, int) and (failure := JobResult(returned).error):
        return failure.exit_code
    no_retry = _number(_value("--unless-exit", arguments))
    if error is not None and not error.retryable and isinstance(no_retry, int) and no_retry in NO_RETRY_STATUSES:
        return no_retry
    return status


def _value(option: str, arguments: Sequence[str]) -> str | None:
    """Return the value that an option is given last in a command line, which may be wrong in any other way."""
    found = None
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else next(words, None)
    return found


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:  # one of the real-time signals
        return str(number)


def post_script(
    operation: Operation,
    metadata: Path,
    job: JobResult,
    *,
    config: Config,
    capability: str | None = None,
    dry_run: bool = False,
    on_event: EventCallback = no_events,
    least: int | None = LEVELS["info"],
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Convey a request if its job succeeded; otherwise the outcome's error says how the job failed.

    Events go to ``on_event``, and from the level ``least`` on to the request's own log (None: to none).
    """
    callbacks = [on_event]

    def log(level: str, event: str, **details: object) -> None:
        for callback in callbacks:
            callback(level, event, **details)

    def act(request: Request, outcome: Outcome) -> Outcome:
        environment = Environment(on_event=log, stop=stop)
        if least is not None and not dry_run:
            always = {"request": request.places.request, "command": str(operation), **job.log_fields}
            callbacks.append(RequestLog(environment.fs, request.places, POST_SCRIPT_LOG, least, always))
        if job.error is not None:
            return look(request, environment, outcome)
        log("info", "the job succeeded")
        return convey(request, operation, environment, outcome, dry_run=dry_run)

    outcome = act_on_request(
        metadata, act, command=str(operation), capability=capability, config=config, dry_run=dry_run
    )
    # The node has to report that the job failed, whatever else is wrong with the request.
    outcome = replace(outcome, error=job.error or outcome.error)
    log_error(outcome, log)
    if outcome.ok:
        log("info", f"{operation}: the request is {outcome.state} now")
    return outcome
