"""``conveyor qa-fail``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli.main import EPILOG
from conveyor.cli.options import conveyance_options
from conveyor.cli.run import convey


@click.command("qa-fail", short_help="Retrieve requests whose QA failed, and clean up.", epilog=EPILOG)
@conveyance_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
    """Retrieve requests whose QA failed, record the verdict, and clean up.

    The same way home as 'conveyor retrieve'. The verdict is kept with the request until it is delivered again; the
    cached weblog stays unless the capability says otherwise.
    """
    from conveyor.engine.plan import Operation

    ctx.exit(convey(Operation.QA_FAIL, metadata, options))
