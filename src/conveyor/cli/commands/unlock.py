"""``conveyor unlock``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.options import ANY_PATH, capability_option, epilog, json_option, looking_options
from conveyor.cli.run import metadata_files, print_outcomes, set_up

if TYPE_CHECKING:
    from conveyor.engine.claim import Holder

_WARNING = """\
The claim is held by {holder}.
If that conveyance still runs, two at once can lose data. Make sure that it does not:
  - the host is gone for good, or
  - it is back, and nothing there runs as pid {pid} (best: run 'conveyor status' there, which knows)."""


@click.command(
    "unlock",
    short_help="Release the claim that a dead host left.",
    epilog=epilog("conveyor unlock spool/tmpiox5trbp/metadata.json"),
)
@click.argument("metadata", type=ANY_PATH)
@click.option("--yes", is_flag=True, help="you have made sure that the holder is gone: do not ask")
@capability_option
@json_option
@looking_options
@click.pass_context
def command(ctx: click.Context, /, metadata: str, yes: bool, **options: Any) -> None:
    """Release the claim on a request that a dead host left.

    Needed in no other case: a holder that died on the host that it ran on is known to be dead there, and 'conveyor
    deliver' or 'retrieve' goes on by itself. A holder that is alive on this host is never unlocked.
    """
    from conveyor.api.operations import unlock
    from conveyor.cli.text import unlock_lines

    def sure(holder: Holder) -> bool:
        console.echo_error(_WARNING.format(holder=holder, pid=holder.process.pid))
        if yes:
            return True
        if not sys.stdin.isatty():
            console.echo_error("Nobody is here to be asked: run this at a terminal, or with --yes.")
            return False
        try:
            return click.confirm("Is it gone?", err=True)
        except click.Abort:
            return False

    session = set_up(options)
    [file] = metadata_files([metadata], session)
    outcome = unlock(file, sure, capability=options["capability"], config=session.config)
    ctx.exit(print_outcomes("unlock", [outcome], unlock_lines, as_json=options["as_json"]))
