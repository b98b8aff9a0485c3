"""What deliver, retrieve and qa-fail have in common: convey, print, exit."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.options import set_up
from conveyor.cli.signals import asked_to_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.api.runners import Runner
    from conveyor.cli.options import Session
    from conveyor.engine.outcome import Outcome
    from conveyor.engine.plan import Operation


def convey(operation: Operation, metadata: tuple[str, ...], options: dict[str, Any]) -> int:
    """Run one of the three commands; its exit status."""
    from conveyor.api.operations import convey_all

    def conveyed(session: Session, stop: Callable[[], bool]) -> list[Outcome]:
        return convey_all(
            operation,
            [Path(path) for path in metadata],
            capability=options["capability"],
            dry_run=options["dry_run"],
            config=session.config,
            jobs=jobs,
            runner=_pool(session, jobs) if session.config.values.engine == "htcondor" else None,
            on_event=session.on_event,
            on_progress=session.on_progress,
            stop=stop,
        )

    jobs = options.get("jobs")
    return run_and_report(operation, options, conveyed)


def _pool(session: Session, jobs: int | None) -> Runner:
    """The engine that conveys on a pool: a line on stderr for each request that is done, a question after Ctrl-C.

    Where stderr is for a program the lines are log lines.
    """
    from conveyor.cli.text import news_line
    from conveyor.htcondor.dag import Throttle
    from conveyor.htcondor.runner import HTCondorRunner, Update

    def tell(news: Update) -> None:
        line = news_line(news.outcome, news.done, news.total, news.note)
        if session.log_has_errors:
            session.on_event("info", line)
        else:
            console.echo_error(f"conveyor: {line}")

    return HTCondorRunner(tell, _is_to_be_removed, Throttle(max_jobs=jobs) if jobs else Throttle())


def _is_to_be_removed() -> bool:
    """Ask whoever pressed Ctrl-C what is to become of the jobs; where nobody can be asked they stay."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return click.confirm("Remove the jobs from the pool? They go on otherwise", default=False, err=True)
    except click.Abort:
        return False


def run_and_report(
    operation: Operation, options: dict[str, Any], conveyed: Callable[[Session, Callable[[], bool]], list[Outcome]]
) -> int:
    """Have something conveyed, which may be asked to stop, and print what came of it; the exit status."""
    from conveyor.api.requests import requests_document
    from conveyor.cli.text import outcome_lines
    from conveyor.engine.outcome import exit_code

    session = set_up(options)
    gc.freeze()
    gc.enable()
    with asked_to_stop() as stop:
        outcomes = conveyed(session, stop)
    if options["as_json"]:
        console.print_json(requests_document(str(operation), outcomes, dry_run=options["dry_run"]))
    for outcome in outcomes:
        result, errors = outcome_lines(outcome)
        if not options["as_json"]:
            console.echo("\n".join(result))
        if errors and not session.log_has_errors:
            console.echo_error("\n".join(errors))
    return exit_code(outcomes)
