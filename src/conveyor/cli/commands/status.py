"""``conveyor status``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.options import ANY_PATH, EPILOG, capability_option, json_option, runner_option, settings_options
from conveyor.cli.run import print_outcomes, set_up


@click.command("status", short_help="Say where each request is now.", epilog=EPILOG)
@click.argument("metadata", nargs=-1, type=ANY_PATH)
@capability_option
@runner_option
@json_option
@settings_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
    """Say where each request and each of its directories is now, read from the file system.

    Without METADATA: every request in the spool root (CONVEYOR_SPOOL_ROOT) that a capability claims. With the runner
    htcondor the pool is asked too which of them a job in its queue is to convey.
    """
    from conveyor.api.operations import status
    from conveyor.cli.text import status_lines

    session = set_up(options)
    outcomes = status([Path(path) for path in metadata], capability=options["capability"], config=session.config)
    if session.config.values.runner == "htcondor":
        from conveyor.errors import ConfigurationError
        from conveyor.htcondor.runner import with_queued

        try:
            outcomes = with_queued(outcomes)
        except ConfigurationError as error:  # the file system has said where everything is
            console.echo_error(f"conveyor: the pool is not asked: {error.message}")
    if not outcomes and not options["as_json"]:
        console.echo("no request in the spool area has a capability of its own")
    ctx.exit(print_outcomes("status", outcomes, status_lines, as_json=options["as_json"]))
