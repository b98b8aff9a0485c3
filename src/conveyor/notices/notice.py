"""Notices as values: what is told, in words and in fields, of the outcome of a conveyance, or of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from conveyor.clock import now
from conveyor.documents.codec import validate
from conveyor.documents.outbox_documents import Notice
from conveyor.engine.host import Host
from conveyor.engine.plan import Operation
from conveyor.errors import LockedError
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conveyor.engine.outcome import Outcome
    from conveyor.errors import ConveyorError
    from conveyor.settings.receivers import Event

_PASS = "pass"  # the command, which only records a verdict; to fail a request brings it home
_WORDS = {
    "ready": "is ready for QA",
    "judged": "was judged",
    "home": "is home",
    "failed": "needs attention",
    "stalled": "is stalled",
    "test": "is no request: this is a test",
}


@frozen
class Subject:
    """A request as a notice names it; ``name`` alone is always known. The places are paths as text.

    ``board_page`` is the address of its page of the QA board.
    """

    name: str
    project: str | None = None
    capability: str | None = None
    spool: str | None = None
    qa: str | None = None
    weblog_page: str | None = None
    board_page: str | None = None


def page_of_board(address: str | None, request: str) -> str | None:
    """Return the address of a request's page of the board that has this address; None if there is none."""
    return f"{address}request/{quote(request, safe='')}/" if address is not None else None


def event_of(outcome: Outcome) -> Event | None:
    """Return the event that the outcome of a conveyance, or of a verdict, is; None if it is none.

    A dry run is none, nor is what was done already, nor a refusal by what ends by itself: another conveyance, a stop.
    """
    if outcome.dry_run:
        return None
    if outcome.command == _PASS:
        return "judged" if outcome.ok else None
    if outcome.command not in frozenset(map(str, Operation)):
        return None
    if outcome.error is not None:
        return None if outcome.error.exit_code == LockedError.exit_code else "failed"
    if not outcome.changed:
        return None
    return "ready" if outcome.command == Operation.DELIVER else "home"


def state_of(outcome: Outcome) -> str:
    """Return the state that a request is in by an outcome, in words that are the same whenever it is in that state."""
    error = outcome.error
    return f"failed {outcome.command} {error.code}" if error else str(event_of(outcome))


def make_notice(
    event: Event | Literal["test"],
    subject: Subject,
    *,
    command: str | None = None,
    verdict: Literal["pass", "fail"] | None = None,
    error: ConveyorError | None = None,
    details: Iterable[str] = (),
) -> Notice:
    """Make a notice with a key of its own; ``details`` are more lines for people."""
    host = Host()
    return validate(
        Notice,
        {
            "schema": "conveyor-notice/1",
            "key": host.token() + host.token(),
            "event": event,
            "time": now(),
            "request": subject.name,
            "subject": _headline(event, subject, verdict, error),
            "text": "\n".join(_lines(subject, command, error, details)),
            "project_code": subject.project,
            "capability": subject.capability,
            "command": command,
            "verdict": verdict,
            "spool": subject.spool,
            "qa": subject.qa,
            "weblog_page": subject.weblog_page,
            "board_page": subject.board_page,
            "error": error,
            "host": host.this_process().host,
        },
    )


def _headline(event: str, subject: Subject, verdict: str | None, error: ConveyorError | None) -> str:
    names = [one for one in (subject.project, subject.name) if one]
    end = f": {verdict}" if verdict else f": {error.code}" if error else ""
    return f"[conveyor] {' '.join(names)} {_WORDS[event]}{end}"


def _lines(subject: Subject, command: str | None, error: ConveyorError | None, details: Iterable[str]) -> Iterable[str]:
    """Yield the lines of the text: what happened first, then where everything is."""
    if error is not None:
        yield f"{command}: {error.message}"
        yield f"What to do: {error.hint}"
    yield from details
    places = {
        "Request": subject.name,
        "Project": subject.project,
        "Capability": subject.capability,
        "Board": subject.board_page,
        "Weblog": subject.weblog_page,
        "QA folder": subject.qa,
        "Spool": subject.spool,
    }
    yield from (f"{what + ':':12}{value}" for what, value in places.items() if value)
