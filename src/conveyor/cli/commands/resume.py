"""``conveyor resume``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.commands.conveyances import pool_runner
from conveyor.cli.looking import with_usual_layout
from conveyor.cli.options import (
    FROM_FILE,
    any_requests,
    capability_option,
    epilog,
    json_option,
    runner_option,
    settings_options,
)
from conveyor.cli.run import metadata_files, print_document, print_outcome, set_up, stop_on_signal

if TYPE_CHECKING:
    from conveyor.api.runners import Runner
    from conveyor.engine.plan import Operation


@click.command(
    "resume",
    short_help="Finish conveyances that were interrupted.",
    epilog=epilog(
        "conveyor resume --all -n      (shows what would be finished)",
        "conveyor resume --all --jobs 4",
        "conveyor resume tmpiox5trbp",
    ),
)
@any_requests
@click.option("--all", "everything", is_flag=True, help="all that was interrupted in the workspace")
@click.option("-n", "--dry-run", is_flag=True, help="print the plans, change nothing; exit status as in a real run")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="how many requests to convey at a time")
@capability_option
@runner_option
@json_option
@settings_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], everything: bool, dry_run: bool, **options: Any) -> None:
    """Finish what was interrupted, each request in the direction that it had: out, home, or home after a failed QA.

    What nobody alive works on is finished; what runs, and what a host holds that cannot be asked from here, is left and
    named. Run it with -n first. To go back instead, run the opposite command on a request.
    """
    from conveyor.api.resuming import interrupted, resume
    from conveyor.cli.text import outcome_lines, sum_line
    from conveyor.engine.outcome import exit_code

    is_named = bool(metadata or ctx.meta.get(FROM_FILE))
    if is_named == everything:
        raise click.UsageError("name requests, or --all of them" if everything else "name requests, or use --all")
    as_json, jobs = options["as_json"], options["jobs"]
    session = with_usual_layout(set_up(options))
    files = metadata_files(metadata, session) if is_named else None
    found = interrupted(session.config, files, options["capability"])
    for entry in found.held:
        console.echo_error(f"conveyor: {entry.name} is left: {entry.holder} holds it")
    on_pool = session.config.values.runner == "htcondor"

    def runner(_: Operation) -> Runner | None:
        return pool_runner(session, jobs) if on_pool else None

    with stop_on_signal() as stop:
        outcomes = resume(
            session.config,
            found,
            runner=runner,
            dry_run=dry_run,
            jobs=jobs,
            capability=options["capability"],
            on_event=session.on_event,
            on_progress=session.on_progress,
            on_outcome=partial(
                print_outcome, lines=outcome_lines, as_json=as_json, log_has_errors=session.log_has_errors
            ),
            stop=stop,
        )
    if as_json:
        print_document("resume", outcomes, dry_run=dry_run)
    else:
        console.echo(sum_line(outcomes) or "nothing was interrupted")
    ctx.exit(exit_code(outcomes))
