"""``conveyor post-script``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli.options import epilog, post_script_options
from conveyor.cli.run import Ended, metadata_files, print_outcomes, set_up, stop_on_signal

_HELP = {
    "deliver": "Deliver a request to its QA area if the job succeeded.",
    "retrieve": "Retrieve a request from its QA area if the job succeeded.",
    "qa-fail": "Retrieve a request whose QA failed if the job succeeded.",
}


@click.group(
    "post-script",
    short_help="Convey a request behind a job of HTCondor's DAGMan.",
    epilog=epilog("conveyor post-script --return $RETURN --job $JOB --unless-exit 100 deliver metadata.json"),
)
@click.option("--return", "status", metavar="$RETURN", type=int, required=True, help="how the job ended, from DAGMan")
@click.option("--job", metavar="$JOB", help="the node's name, for the log")
@click.option("--retry", metavar="$RETRY", help="which retry of the node this is, for the log")
@click.option("--max-retries", metavar="$MAX_RETRIES", help="how many retries the node has, for the log")
@click.option(
    "--unless-exit",
    metavar="N",
    type=click.IntRange(1, 125),
    expose_value=False,  # the exit status is decided at the program's end: see main.run
    help="end with N if no retry can help, for 'RETRY node n UNLESS-EXIT N'",
)
@click.pass_context
def command(ctx: click.Context, /, **job: Any) -> None:
    """Convey a request behind a job, as the POST script of a DAGMan node; this exit status is the node's.

    If the job succeeded ($RETURN is 0) the request is conveyed. If it failed nothing is conveyed, and the exit status
    says how it failed: 101 another status than 0, 102 a signal, 103 removed, 104 not submitted, 105 its PRE script failed.

    Each run is logged in the request's .conveyor/post-script.jsonl, unless --log-file names another file.
    """
    from conveyor.htcondor.post_script import JobResult

    ctx.obj = JobResult(**job)


def _post_script(operation: str) -> click.Command:
    """Return the command of an operation."""

    @click.command(
        operation,
        short_help=_HELP[operation],
        help=_HELP[operation],
        epilog=epilog(f"conveyor post-script --return $RETURN {operation} metadata.json"),
    )
    @post_script_options
    @click.pass_context
    def conveyance(ctx: click.Context, /, metadata: str, **options: Any) -> Ended:
        from conveyor.cli.logs import threshold
        from conveyor.cli.text import outcome_lines
        from conveyor.engine.plan import Operation
        from conveyor.htcondor.post_script import post_script

        job = ctx.obj
        dry_run = options["dry_run"]
        session = set_up(options)
        [file] = metadata_files([metadata], session)
        with stop_on_signal() as stop:
            outcome = post_script(
                Operation(operation),
                file,
                job,
                capability=options["capability"],
                dry_run=dry_run,
                config=session.config,
                on_event=session.on_event,
                least=None if session.config.values.log_file else threshold(session.verbosity, own_file=True),
                stop=stop,
            )
        status = print_outcomes(
            operation,
            [outcome],
            outcome_lines,
            as_json=options["as_json"],
            dry_run=dry_run,
            log_has_errors=session.log_has_errors,
        )
        return Ended(status, outcome.error)

    return conveyance


for _operation in _HELP:
    command.add_command(_post_script(_operation))
