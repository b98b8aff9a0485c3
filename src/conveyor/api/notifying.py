"""Notices: left in the outbox at the end of a conveyance, and sent from there by ``conveyor notify``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from conveyor.api.overview import overview
from conveyor.api.overview_entry import Trouble
from conveyor.clock import now, seconds_between
from conveyor.engine.host import Host
from conveyor.engine.qa_record import read_qa_record
from conveyor.errors import ConfigurationError, ConveyorError, NotNotifiedError
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import META_DIR
from conveyor.notices.notice import Subject, event_of, make_notice, page_of_board, state_of
from conveyor.notices.outbox import BEGINNINGS, Outbox, begin_anew, leave
from conveyor.request.places import find_roots
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.documents.kept_documents import JudgementEntry
    from conveyor.engine.context import Request
    from conveyor.engine.outcome import EventCallback, Outcome
    from conveyor.notices.posting import Attempt
    from conveyor.settings.model import Settings
    from conveyor.settings.sources import Config


def leave_notice(outcome: Outcome, request: Request | None, config: Config, on_event: EventCallback) -> None:
    """Leave a notice of the outcome of a conveyance for whoever wants it; ``request`` is None if it could not be told.

    Nothing that goes wrong with it changes the conveyance: it is a warning in the log. Nothing is sent here.
    """
    event = event_of(outcome)
    if event is None or not config.values.receivers:
        return
    receivers = _receivers(config.values, event)
    try:
        subject = _subject(outcome, request, config.values)
        if subject is None:
            return
        area = request.places.spool_area if request else Path(subject.spool or "").parent
        if not receivers:
            if event in BEGINNINGS:
                begin_anew(FileSystem(), area, subject.name)
            return
        judgement = _judgement(request) if request and event in ("judged", "home") else None
        notice = make_notice(
            event,
            subject,
            command=outcome.command,
            verdict="fail" if outcome.verdict else judgement and judgement["verdict"],
            error=outcome.error,
            details=[*_words(judgement), *outcome.warnings],
        )
        state = f"judged {judgement['time']}" if judgement and event == "judged" else state_of(outcome)
        leave(FileSystem(), area, notice, receivers, state)
    except Exception as error:  # noqa: BLE001 - a notice must not fail a conveyance, whatever is wrong with it
        on_event("warning", f"no notice could be left: {error}", request=outcome.request)


def _judgement(request: Request) -> JudgementEntry | None:
    """Return the verdict that people gave on a request since it was last delivered; None if nobody did."""
    fs, places = FileSystem(), request.places
    with fs.open_root(places.spool_area) as area, fs.open_below(area, [places.request, META_DIR]) as meta:
        record = read_qa_record(fs, meta)
    return record["verdict"] if record else None


def _words(judgement: JudgementEntry | None) -> list[str]:
    """Return a verdict in a line for people."""
    if judgement is None:
        return []
    reason = f": {judgement['reason']}" if judgement["reason"] else ""
    return [f"Verdict: {judgement['verdict']}, by {judgement['by'] or 'somebody'}{reason}"]


def _receivers(settings: Settings, event: str) -> list[str]:
    """Return the names of those who want to be told of an event."""
    return [name for name, receiver in settings.receivers.items() if event in receiver.on]


def _subject(outcome: Outcome, request: Request | None, settings: Settings) -> Subject | None:
    """Return the request that is told of; None if it is not known, and its metadata file is none of the spool area.

    Whoever misspelt a path has seen so; but a damaged metadata file in the spool area is a matter for those who are told.
    """
    if request is None:
        if settings.spool_root is None or outcome.metadata is None:
            return None
        spool = Path(outcome.metadata).resolve().parent
        is_request = spool.parent == settings.spool_root.resolve() and spool.is_dir()
        page = page_of_board(settings.board_url, spool.name)
        subject = Subject(spool.name, capability=outcome.capability, spool=str(spool), board_page=page)
        return subject if is_request else None
    return Subject(
        request.places.request,
        request.project_code,
        request.capability.name,
        str(request.places.spool),
        str(request.places.qa),
        outcome.weblog_page,
        page_of_board(settings.board_url, request.places.request),
    )


class AttemptCallback(Protocol):
    """A callback that gets each attempt to send a notice as it ends."""

    def __call__(self, attempt: Attempt, /) -> None:
        """Take one attempt; must not raise."""


@frozen
class Passed:
    """One pass over the outbox: what came of each notice that was tried, and how many wait now."""

    attempts: tuple[Attempt, ...]
    waiting: int

    @property
    def error(self) -> NotNotifiedError | None:
        """The error that says that notices could not be sent; None if all could."""
        failed = [one for one in self.attempts if one.outcome != "sent"]
        if not failed:
            return None
        receivers = ", ".join(sorted({one.receiver for one in failed}))
        return NotNotifiedError(f"{len(failed)} of {len(self.attempts)} notices could not be sent, to {receivers}")


def notify(
    config: Config, on_attempt: AttemptCallback = lambda _: None, stop: Callable[[], bool] = lambda: False
) -> Passed:
    """Leave notices of what is stalled, and send what waits and is due. ``stop`` is asked before each notice.

    Raises :class:`~conveyor.errors.ConfigurationError` if no receivers or no spool root are set, and other
    :class:`~conveyor.errors.ConveyorError` if the outbox is out of reach.
    """
    from conveyor.notices.posting import Posting

    _receivers_set(config)
    attempts = []
    try:
        with Outbox(FileSystem(), find_roots(config.values).spool, Host()) as outbox:
            _look(config, outbox)
            for attempt in Posting(outbox, config.values, stop=stop).run():
                on_attempt(attempt)
                attempts.append(attempt)
            return Passed(tuple(attempts), len(outbox.waiting()))
    except OSError as error:
        raise ConveyorError.from_os_error(error) from error


def _receivers_set(config: Config) -> None:
    if not config.values.receivers:
        raise ConfigurationError(
            "there is nobody to tell: no receivers are set",
            hint="add a [receivers.NAME] table to the configuration file: see 'Notify people' in the documentation",
        )


def _look(config: Config, outbox: Outbox) -> None:
    """Leave a notice of each request that is stalled for long, and forget what was told of those that are gone."""
    found, receivers = overview(config), _receivers(config.values, "stalled")
    for entry in found.entries:
        if receivers and entry.trouble is Trouble.STALLED and _is_long(entry, config.values.stalled_minutes):
            page = page_of_board(config.values.board_url, entry.name)
            subject = Subject(
                entry.name, entry.project, entry.capability, entry.spool, entry.qa, entry.weblog_page, page
            )
            details = [entry.detail, f"What to run: {shlex.join(entry.next_command)}"]
            notice = make_notice("stalled", subject, details=details)
            leave(outbox.fs, outbox.area, notice, receivers, "stalled")
    if found.spool.error is None:
        outbox.forget(frozenset(found.spool.names))


def _is_long(entry: OverviewEntry, minutes: int) -> bool:
    """Tell whether an entry has been as it is for so many minutes; one that does not say since when has."""
    seconds = seconds_between(entry.since, now()) if entry.since is not None else None
    return seconds is None or seconds >= minutes * 60


def try_receivers(config: Config, on_attempt: AttemptCallback = lambda _: None) -> tuple[Attempt, ...]:
    """Send each receiver a test, past the outbox. Raises :class:`~conveyor.errors.ConfigurationError` if none is set."""
    from conveyor.notices.posting import try_receiver

    _receivers_set(config)
    attempts = []
    for name, receiver in config.values.receivers.items():
        attempts.append(try_receiver(make_notice("test", Subject("test")), name, receiver, config.values))
        on_attempt(attempts[-1])
    return tuple(attempts)
