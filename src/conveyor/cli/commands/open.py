"""``conveyor open``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.options import ANY_PATH, capability_option, epilog, looking_options
from conveyor.cli.run import metadata_files, set_up


@click.command(
    "open",
    short_help="Open a request's weblog in the browser.",
    epilog=epilog("conveyor open tmpiox5trbp", "conveyor open --board http://localhost:8086/ tmpiox5trbp"),
)
@click.argument("metadata", type=ANY_PATH)
@click.option("--board", metavar="URL", help="open it by the board at this address, not from the cache")
@click.option("--print", "only_print", is_flag=True, help="print the address, and start no browser")
@capability_option
@looking_options
def command(metadata: str, board: str | None, only_print: bool, **options: Any) -> None:
    """Start the browser at the first page of a request's weblog: the one in the cache, or the board's."""
    import webbrowser

    from conveyor.api.operations import status
    from conveyor.api.weblog_address import weblog_address
    from conveyor.errors import ConveyorError

    session = set_up(options)
    files = metadata_files([metadata], session)
    (outcome,) = status(files, capability=options["capability"], config=session.config)
    address = weblog_address(outcome, board)
    console.echo(address)
    if not only_print and not webbrowser.open(address):
        raise ConveyorError("no browser could be started", hint=f"open {address} in one")
