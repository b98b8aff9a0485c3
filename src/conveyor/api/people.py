"""What people say of requests: verdicts, assignments, notes. Nothing moves, unless a passed request is to come home."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from conveyor.api.operations import act_on_request, retrieve
from conveyor.engine.context import Environment
from conveyor.engine.outcome import EventCallback, Outcome, no_events
from conveyor.engine.qa_record import assigned, judged, noted
from conveyor.engine.saying import say
from conveyor.errors import UsageError
from conveyor.settings.sources import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conveyor.engine.qa_record import Change
    from conveyor.request.metadata import Metadata


def qa_pass(
    metadata: Path | str | Metadata,
    *,
    reason: str | None = None,
    home: bool = False,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    on_event: EventCallback = no_events,
) -> Outcome:
    """Record that a request passed its QA: who says so, when, and for what ``reason``; with ``home``, retrieve it too.

    Without it nothing moves: the ingestion's own retrieval brings the request home. The outcome's error is
    :class:`~conveyor.errors.NotInQaError` if the request is not in QA. See :func:`deliver` for the rest.
    """
    config = config or load_config()
    environment = Environment(on_event=on_event)
    change = judged("pass", environment.host.account_name(), reason)
    said = {"outcome": "pass", "reason": reason}
    outcome = _say("pass", metadata, "verdict", said, change, environment, capability, config, dry_run=dry_run)
    if not home or dry_run or not outcome.ok:
        return outcome
    return retrieve(metadata, capability=capability, config=config, on_event=on_event)


def assign(
    metadata: Path | str | Metadata, to: str, *, capability: str | None = None, config: Config | None = None
) -> Outcome:
    """Assign a request to somebody, in the place of whoever had it. See :func:`deliver` for the rest."""
    environment = Environment()
    change = assigned(to, environment.host.account_name())
    said = {"to": _words(to, "name of a person")}
    return _say("assign", metadata, "assigned", said, change, environment, capability, config)


def note(
    metadata: Path | str | Metadata, text: str, *, capability: str | None = None, config: Config | None = None
) -> Outcome:
    """Add a note to a request. See :func:`deliver` for the rest."""
    environment = Environment()
    change = noted(text, environment.host.account_name())
    return _say("note", metadata, "note", {"reason": _words(text, "note")}, change, environment, capability, config)


def _words(text: str, what: str) -> str:
    if not text.strip():
        raise UsageError(f"the {what} is empty", hint="if it comes from a variable of the shell, that is not set")
    return text


def _say(
    command: str,
    metadata: Path | str | Metadata,
    event: str,
    said: Mapping[str, str | None],
    change: Change,
    environment: Environment,
    capability: str | None,
    config: Config | None,
    *,
    dry_run: bool = False,
) -> Outcome:
    act = partial(say, environment=environment, event=event, said=said, change=change, dry_run=dry_run)
    return act_on_request(
        metadata,
        act,
        command=command,
        capability=capability,
        config=config or load_config(),
        on_event=environment.on_event,
        dry_run=dry_run,
    )
