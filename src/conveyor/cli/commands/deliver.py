"""``conveyor deliver``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli.main import EPILOG
from conveyor.cli.options import conveyance_options
from conveyor.cli.run import convey


@click.command("deliver", short_help="Deliver finished requests to their QA area.", epilog=EPILOG)
@conveyance_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
    """Deliver finished requests to their QA area.

    The weblog is cached and unpacked, the capability's directories move to the QA area, a link stands in the place of
    each, and READY is written last. Paths below the request keep working throughout. A delivery that was interrupted
    is finished by running the same command again; one that is finished already is a success.
    """
    from conveyor.engine.plan import Operation

    ctx.exit(convey(Operation.DELIVER, metadata, options))
