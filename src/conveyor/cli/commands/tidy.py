"""``conveyor tidy``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli.looking import with_usual_layout
from conveyor.cli.options import FROM_FILE, any_requests, capability_option, epilog, json_option, looking_options
from conveyor.cli.run import metadata_files, print_outcomes, set_up


@click.command(
    "tidy",
    short_help="Remove what stayed behind for readers on other hosts.",
    epilog=epilog("conveyor tidy", "conveyor tidy spool/tmpiox5trbp/metadata.json"),
)
@any_requests
@capability_option
@json_option
@looking_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
    """Remove what conveyances left of the sources of their copies, of these requests or of all in the workspace.

    On NFS the source of a copy stays for a while, since other hosts' caches still lead readers there ('cache_lifetime').
    What could not be removed before is tried again. A request that is held is passed over. Worth a line in a crontab.
    """
    from conveyor.api.tidying import tidy
    from conveyor.cli.text import tidy_lines

    session, files = set_up(options), []
    if metadata or ctx.meta.get(FROM_FILE):
        files = metadata_files(metadata, session)
    else:
        session = with_usual_layout(session)
    outcomes = tidy(files, capability=options["capability"], config=session.config)
    ctx.exit(print_outcomes("tidy", outcomes, tidy_lines, as_json=options["as_json"]))
