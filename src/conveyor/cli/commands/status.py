"""``conveyor status``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from conveyor.cli import streams
from conveyor.cli.main import EPILOG
from conveyor.cli.options import capability_option, engine_option, json_option, set_up, settings_options


@click.command("status", short_help="Say where each request is now.", epilog=EPILOG)
@click.argument("metadata", nargs=-1, type=click.Path())
@capability_option
@engine_option
@json_option
@settings_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
    """Say where each request and each of its directories is now, read from the file system.

    Without METADATA: every request in the spool root (CONVEYOR_SPOOL_ROOT) that a capability claims. With the engine
    htcondor the pool is asked too which of them a job in its queue is to convey.
    """
    from conveyor.cli.text import status_lines
    from conveyor.commands.conveyance import status
    from conveyor.commands.document import requests_document
    from conveyor.engine.outcome import exit_code

    setup = set_up(options)
    paths = [Path(path) for path in metadata]
    outcomes = status(paths, capability=options["capability"], settings=setup.loaded)
    if setup.loaded.settings.engine == "htcondor":
        from conveyor.htcondor.pool import with_queued

        outcomes = with_queued(outcomes)
    if options["as_json"]:
        streams.print_json(requests_document("status", outcomes))
    elif not outcomes:
        streams.say("no request in the spool area has a capability of its own")
    for outcome in outcomes:
        result, errors = status_lines(outcome)
        if not options["as_json"]:
            streams.say("\n".join(result))
        if errors:
            streams.complain("\n".join(errors))
    ctx.exit(exit_code(outcomes))
