"""What people say of a request, from the look to the outcome: nothing moves, and no conveyance is kept waiting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.engine.conveyance import with_survey
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.event_log import History, leave_refusal
from conveyor.engine.qa_record import WORDS_LIMIT, change_qa_record, read_qa_record
from conveyor.engine.refusals import check_closed
from conveyor.engine.survey import State, survey
from conveyor.errors import NotInQaError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conveyor.engine.context import Environment, Request
    from conveyor.engine.outcome import Outcome
    from conveyor.engine.qa_record import Change


def say(
    request: Request,
    environment: Environment,
    outcome: Outcome,
    *,
    event: str,
    said: Mapping[str, str | None],
    change: Change,
    dry_run: bool = False,
) -> Outcome:
    """Keep what a person said with the request, and in its history; ``event`` is the line's there, ``said`` its fields.

    Raises :class:`~conveyor.errors.NotInQaError` for a verdict on what is not in QA, :class:`~conveyor.errors.UsageError` if
    the words are too many, other :class:`~conveyor.errors.ConveyorError` and :class:`OSError`.
    """
    if any(words is not None and len(words) > WORDS_LIMIT for words in said.values()):
        raise UsageError(
            f"more than {WORDS_LIMIT} characters at a time", hint="say less, and write the rest into a file"
        )
    with Endpoints(environment.fs, request.places, request.copying) as endpoints:
        seen = survey(endpoints, request.capability)
        outcome = with_survey(outcome, seen)
        if event == "verdict" and seen.state is not State.IN_QA:
            error = not_in_qa_error(request.places.request, seen.state)
            if not dry_run:
                history = History(environment.host, outcome.command, request.capability.name)
                leave_refusal(environment.fs, request.places, history, error)
            raise error
        spool = endpoints.spool
        check_closed(seen.spool)
        if dry_run:
            if spool.meta_handle is not None:
                read_qa_record(environment.fs, spool.meta_handle)
            return outcome
        spool.make_meta()
        change_qa_record(spool, environment.host, request.places.request, change)
        History(environment.host, outcome.command, request.capability.name, end=spool).say(event, **said)
    return replace(outcome, changed=True)


def not_in_qa_error(name: str, state: State) -> NotInQaError:
    """Return the refusal of a verdict on a request that is in another state."""
    return NotInQaError(f"{name} is {state}, not in QA: no verdict is recorded")
