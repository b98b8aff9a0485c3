"""``conveyor history``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.options import ANY_PATH, epilog, json_option, looking_options
from conveyor.cli.run import metadata_files, set_up

if TYPE_CHECKING:
    from conveyor.api.run_history import RunEntry


@click.command(
    "history",
    short_help="Show what was done to a request, by whom, and what was said.",
    epilog=epilog("conveyor history tmpiox5trbp", "conveyor history --json tmpiox5trbp"),
)
@click.argument("metadata", type=ANY_PATH)
@json_option
@looking_options
def command(metadata: str, as_json: bool, **options: Any) -> None:
    """Show the runs of a request, the last first: when, which command, by whom, where, and what came of it.

    A run that was refused has a line, with the reason, and so have verdicts, notes and assignments. Times are UTC. The
    steps of each run are in .conveyor/history.jsonl.
    """
    from conveyor.api.run_history import history
    from conveyor.documents.codec import printed
    from conveyor.documents.report_documents import HistoryDocument

    session = set_up(options)
    [file] = metadata_files([metadata], session)
    runs = history(file)
    if as_json:
        console.print_json(printed(HistoryDocument, "history", 0, metadata=str(file), runs=list(runs)))
    else:
        console.echo(console.joined(map(_line, reversed(runs))) or "nothing was done yet")


def _line(run: RunEntry) -> str:
    from conveyor.cli.text import length_text

    who = f"{run.account}@{run.host}" if run.account else run.host
    outcome = "did not end, or runs" if run.outcome is None else run.outcome
    details = [f"{outcome}: {run.error}" if run.error else outcome]
    if run.reason:
        details.append(f'"{run.reason}"')
    if run.bytes:
        from conveyor.api.sizes import size_text

        details.append(f"{size_text(run.bytes)} copied")
    if run.way:
        details.append(", ".join(run.way))
    if run.seconds is not None:
        details.append(f"in {length_text(run.seconds)}")
    return f"{run.time[:19]}Z  {run.command:8}  {who}  {'  '.join(details)}"
