"""``conveyor users``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli.options import capability_option, epilog, json_option, looking_options, requests_arguments
from conveyor.cli.run import metadata_files, print_outcomes, set_up


@click.command(
    "users",
    short_help="Show who has a request's files and casacore tables open.",
    epilog=epilog("conveyor users tmpiox5trbp", "conveyor users --exit-status tmpiox5trbp || echo somebody is there"),
)
@requests_arguments
@click.option("--exit-status", is_flag=True, help="end with 75 if anybody has anything open")
@capability_option
@json_option
@looking_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], exit_status: bool, **options: Any) -> None:
    """Show the processes that have anything of a request open, in spool or in QA, if only to read.

    Of this host: all that they have open, and the directory that they stand in; of other accounts as root only. Of other
    hosts: the casacore tables that they have open, where locks go to the file server (NFS; Lustre with flock). Nothing is
    changed. Exit status 0 says that it was looked, whatever was found, unless --exit-status asks for 75.
    """
    from conveyor.api.distinct import distinct, repeated
    from conveyor.api.operations import users
    from conveyor.cli.text import users_lines

    session = set_up(options)
    common = {"capability": options["capability"], "config": session.config, "require_nobody": exit_status}
    files = distinct(metadata_files(metadata, session))
    outcomes = (repeated(users(path, **common), files) for path in files)
    ctx.exit(print_outcomes("users", outcomes, users_lines, as_json=options["as_json"]))
