"""``conveyor notify``."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from conveyor.api.notifying import Passed, notify
from conveyor.cli import console
from conveyor.cli.looking import with_usual_layout
from conveyor.cli.options import epilog, json_option, looking_options
from conveyor.cli.run import set_up, stop_on_signal
from conveyor.errors import ConfigurationError, ConveyorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.api.notifying import AttemptCallback
    from conveyor.cli.run import Session
    from conveyor.notices.posting import Attempt

_NAP = 0.1  # seconds between two looks whether to stop


@click.command(
    "notify",
    short_help="Tell people what conveyances left for them in the outbox.",
    epilog=epilog("conveyor notify -q", "conveyor notify --follow", "conveyor notify --test"),
)
@click.option("--follow", is_flag=True, help="go on until a signal comes, looking anew every so often")
@click.option(
    "--interval",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="with --follow: how long to wait between two looks",
)
@click.option("--test", "is_test", is_flag=True, help="send each receiver a test, now, and nothing else")
@json_option
@looking_options
@click.pass_context
def command(ctx: click.Context, /, follow: bool, interval: int, is_test: bool, as_json: bool, **options: Any) -> None:
    """Send the notices that wait in the outbox, and tell of requests that are stalled.

    Receivers are tables [receivers.NAME] of the TOML file. What cannot be sent waits, and is tried again by a later run:
    after a minute, then after twice as long each time, at most an hour. Several may run at once: none sends what another
    one sends.
    """
    from conveyor.api.notifying import try_receivers

    if as_json and follow:
        raise click.UsageError("--json prints one document at the end, and --follow has none")
    session = with_usual_layout(set_up(options))
    show = _silent if as_json else partial(_show, is_quiet=session.verbosity < 0)
    if is_test:
        ctx.exit(_end(Passed(try_receivers(session.config, show), 0), as_json=as_json))
    with stop_on_signal() as stop:
        if follow:
            _follow(session, interval, show, stop)
            return
        passed = notify(session.config, show, stop)
    if not passed.attempts and not as_json and session.verbosity >= 0:
        console.echo(f"nothing to send now; {passed.waiting} waiting for a later try")
    ctx.exit(_end(passed, as_json=as_json))


def _follow(session: Session, interval: int, show: AttemptCallback, stop: Callable[[], bool]) -> None:
    """Make a pass every so often until ``stop`` says so; an area that is out of reach for a while is only told of."""
    while not stop():
        try:
            notify(session.config, show, stop)
        except ConveyorError as error:
            if isinstance(error, ConfigurationError):
                raise
            console.echo_error(f"conveyor: {error.message}")
        until = time.monotonic() + interval
        while time.monotonic() < until and not stop():
            time.sleep(_NAP)


def _silent(attempt: Attempt, /) -> None:
    """Say nothing of an attempt: the document will."""


def _show(attempt: Attempt, /, *, is_quiet: bool) -> None:
    what = f"{attempt.event} {attempt.request}, to {attempt.receiver}"
    note = f" ({attempt.problem})" if attempt.problem else ""
    if attempt.outcome != "sent":
        ends = {"later": "; it is tried again", "given up": f"; given up after {attempt.attempts} tries"}
        after = ends[attempt.outcome] if attempt.event != "test" else ""
        console.echo_error(f"conveyor: not sent: {what}: {attempt.problem}{after}")
    elif not is_quiet:
        console.echo(f"sent: {what}{note}")


def _end(passed: Passed, *, as_json: bool) -> int:
    """Print the document, if it is asked for, and return the exit status."""
    from conveyor.documents.codec import printed
    from conveyor.documents.report_documents import NotifyDocument

    error = passed.error
    status = error.exit_code if error else 0
    if as_json:
        content = {"notices": passed.attempts, "waiting": passed.waiting}
        console.print_json(printed(NotifyDocument, "notify", status, error, **content))
    return status
