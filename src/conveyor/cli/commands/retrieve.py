"""``conveyor retrieve``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli.main import EPILOG
from conveyor.cli.options import conveyance_options
from conveyor.cli.run import convey


@click.command("retrieve", short_help="Retrieve requests from their QA area.", epilog=EPILOG)
@conveyance_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
    """Retrieve requests from their QA area, with what the analysts changed.

    READY goes first, each directory moves home in the place of its link, and the emptied QA folder goes. Files that an
    analyst left beside the directories stay, and are named.
    """
    from conveyor.engine.plan import Operation

    ctx.exit(convey(Operation.RETRIEVE, metadata, options))
