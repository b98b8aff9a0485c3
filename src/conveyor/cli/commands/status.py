"""``conveyor status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.options import ANY_PATH, asked_runner_option, capability_option, epilog, json_option, looking_options
from conveyor.cli.run import metadata_files, print_outcomes, set_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conveyor.engine.outcome import Outcome


@click.command(
    "status",
    short_help="Say where each request is now.",
    epilog=epilog("conveyor status", "conveyor status --json spool/tmpiox5trbp/metadata.json"),
)
@click.argument("metadata", nargs=-1, type=ANY_PATH)
@capability_option
@asked_runner_option
@json_option
@looking_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
    """Say where each request and each of its directories is now, read from the file system.

    Without METADATA: every request in the spool root (CONVEYOR_SPOOL_ROOT) that a capability claims, and whatever is out,
    whoever delivered it. What cannot be listed or looked at is named with its error, and is in the exit status. With the
    runner htcondor the pool is asked too which of them a job in its queue is to convey.
    """
    from conveyor.api.find_requests import find_requests
    from conveyor.api.operations import status
    from conveyor.api.overview import look_at_each
    from conveyor.cli.text import status_lines

    session, capability, found = set_up(options), options["capability"], None
    outcomes: Iterable[Outcome]
    if metadata:
        outcomes = status(metadata_files(metadata), capability=capability, config=session.config)
    else:
        found = find_requests(session.config, capability)
        outcomes = look_at_each(found, session.config)
    if session.config.values.runner == "htcondor":
        from conveyor.errors import ConfigurationError
        from conveyor.htcondor.runner import with_queued

        try:
            outcomes = with_queued(list(outcomes))
        except ConfigurationError as error:  # the file system has said where everything is
            console.echo_error(f"conveyor: the pool cannot be asked: {error.message}")
    not_shown = found.not_shown if found else None
    code = print_outcomes("status", outcomes, status_lines, as_json=options["as_json"], not_shown=not_shown)
    if found is not None and not options["as_json"]:
        if not found.requests and not found.unlisted:
            console.echo(f"no requests that Conveyor handles in {found.spool.path}")
        if not_shown:
            console.echo(found.not_shown_text)
    ctx.exit(code)
