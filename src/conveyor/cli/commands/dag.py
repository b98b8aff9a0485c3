"""``conveyor dag``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.options import ANY_PATH, EPILOG, capability_option, epilog, requests_arguments, settings_options
from conveyor.cli.run import metadata_files, print_outcomes, set_up, stop_on_signal

_HELP = {
    "deliver": "Write a DAG that delivers requests to their QA area.",
    "retrieve": "Write a DAG that retrieves requests from their QA area.",
    "qa-fail": "Write a DAG that retrieves requests whose QA failed.",
}


@click.group(
    "dag",
    short_help="Write a DAG of conveyances for a pool of HTCondor.",
    epilog=epilog(
        "conveyor dag deliver spool/*/metadata.json --output deliveries",
        "condor_submit_dag deliveries/conveyor.dag",
        "conveyor dag summary deliveries",
    ),
)
def command() -> None:
    """Write a DAG of conveyances for HTCondor's DAGMan: one node a request, and a last one that sums up.

    The other commands, run-node, end-node and summary, are what the DAG itself runs in its folder.
    """


def _write(operation: str) -> click.Command:
    """Return the command that writes the DAG of an operation."""

    @click.command(
        operation,
        short_help=_HELP[operation],
        epilog=epilog(f"conveyor dag {operation} spool/*/metadata.json --output conveyances"),
    )
    @requests_arguments
    @click.option("--output", metavar="DIR", required=True, type=ANY_PATH, help="the new folder to write the DAG to")
    @click.option(
        "--max-jobs",
        metavar="N",
        type=click.IntRange(min=1),
        default=10,
        show_default=True,
        help="how many jobs may load the same file servers at a time",
    )
    @click.option(
        "--retries", metavar="N", type=click.IntRange(min=0), default=3, show_default=True, help="further tries"
    )
    @click.option(
        "--wait",
        metavar="SECONDS",
        type=click.IntRange(min=1),
        default=60,
        show_default=True,
        help="how long to wait while a request is held",
    )
    @capability_option
    @settings_options
    def write(metadata: tuple[str, ...], output: str, max_jobs: int, retries: int, wait: int, **options: Any) -> None:
        from conveyor.api.distinct import distinct, repeated
        from conveyor.api.runners import Batch
        from conveyor.cli.text import name_of
        from conveyor.engine.context import Environment
        from conveyor.engine.plan import Operation
        from conveyor.htcondor.dag import Throttle, draft
        from conveyor.layout import DAG

        capability = options.pop("capability")
        session = set_up(options)
        config = session.config
        files = distinct(metadata_files(metadata, session))
        batch = Batch(Operation(operation), tuple(files), capability, config, Environment())
        dag_draft = draft(batch, Path(output))
        for outcome in dag_draft.seen:
            for notice in repeated(replace(outcome, warnings=()), files).warnings:
                console.echo(f"{name_of(outcome)}: {notice}")
        done = len(dag_draft.seen) - dag_draft.nodes
        if not dag_draft.nodes:
            console.echo(f"nothing to {operation}, {done} done already: no DAG is written")
            return
        dag = dag_draft.write(Throttle(max_jobs, retries, wait)).path / DAG
        console.echo(f"{dag_draft.nodes} to {operation}, {done} done already: submit it with 'condor_submit_dag {dag}'")

    write.help = (
        f"{_HELP[operation]}\n\nEvery host of the pool has to see DIR. Requests that are done already are left out."
    )
    return write


for _operation in _HELP:
    command.add_command(_write(_operation))


@command.command("run-node", short_help="Convey the request of a node: a DAG's job.", epilog=EPILOG)
@click.argument("node")
@click.pass_context
def run_node(ctx: click.Context, /, node: str) -> None:
    """Convey the request of a node of the DAG in the working directory; its exit status is the conveyance's."""
    from conveyor.cli.logs import log_events
    from conveyor.engine.outcome import exit_code
    from conveyor.htcondor.dag_folder import DagFolder
    from conveyor.htcondor.node import run_node as run

    on_event = ctx.with_resource(log_events(1, "json", None))
    with stop_on_signal() as stop:
        outcome = run(DagFolder.read(Path.cwd()), node, on_event=on_event, stop=stop)
    ctx.exit(exit_code([outcome]))


@command.command("end-node", short_help="Say what a node's end means: a DAG's POST script.", epilog=EPILOG)
@click.argument("node")
@click.option("--return", "status", metavar="$RETURN", type=int, required=True, help="how the job ended, from DAGMan")
@click.option("--wait", metavar="SECONDS", type=int, default=60, show_default=True, help="as the DAG was written with")
@click.pass_context
def end_node(ctx: click.Context, /, node: str, status: int, wait: int) -> None:
    """Say by the exit status what the end of a node of the DAG in the working directory means.

    0 done, 75 wait and ask again, 100 no retry can help, anything else: a retry may.
    """
    from conveyor.htcondor.dag_folder import DagFolder
    from conveyor.htcondor.node import end_node as end
    from conveyor.htcondor.post_script import JobResult

    ctx.exit(end(DagFolder.read(Path.cwd()), node, JobResult(status, node), wait))


@command.command("summary", short_help="Sum up what came of a DAG: its FINAL node.", epilog=EPILOG)
@click.argument("folder", type=ANY_PATH, default=".")
@click.option("--failed", metavar="$FAILED_COUNT", type=int, default=0, help="how many nodes failed, from DAGMan")
@click.pass_context
def summary(ctx: click.Context, /, folder: str, failed: int) -> None:
    """Print what came of each request of a DAG, and write the same to summary.json there as 'deliver --json' prints it.

    The exit status is that of 'conveyor deliver' for the same requests, and never 0 if a node failed.
    """
    from conveyor.cli.text import outcome_lines
    from conveyor.htcondor.dag_folder import DagFolder
    from conveyor.htcondor.node import summary as sum_up

    outcomes, status = sum_up(DagFolder.read(Path(folder).absolute()), failed)
    print_outcomes("summary", outcomes, outcome_lines)
    ctx.exit(status)
