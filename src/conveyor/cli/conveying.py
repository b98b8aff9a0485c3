"""What deliver, retrieve and qa-fail have in common: convey, print, exit."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import streams
from conveyor.cli.options import set_up
from conveyor.cli.signals import asked_to_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.cli.options import Setup
    from conveyor.commands.engines import Engine
    from conveyor.engine.outcome import Outcome
    from conveyor.engine.plan import Wish


def convey(wish: Wish, metadata: tuple[str, ...], options: dict[str, Any]) -> int:
    """Run one of the three commands; its exit status."""
    from conveyor.commands.conveyance import convey_all

    def conveyed(setup: Setup, stop: Callable[[], bool]) -> list[Outcome]:
        return convey_all(
            wish,
            [Path(path) for path in metadata],
            capability=options["capability"],
            dry_run=options["dry_run"],
            settings=setup.loaded,
            jobs=jobs,
            engine=_pool(setup, jobs) if setup.loaded.settings.engine == "htcondor" else None,
            observer=setup.observer,
            watcher=setup.watcher,
            stop=stop,
        )

    jobs = options.get("jobs")
    return told(wish, options, conveyed)


def _pool(setup: Setup, jobs: int | None) -> Engine:
    """The engine that conveys on a pool: a line on stderr for each request that is done, a question after Ctrl-C.

    Where stderr is for a program the lines are log lines.
    """
    from conveyor.cli.text import news_line
    from conveyor.htcondor.dag import Throttle
    from conveyor.htcondor.pool import News, Pool

    def tell(news: News) -> None:
        line = news_line(news.outcome, news.done, news.total, news.note)
        if setup.log_has_errors:
            setup.observer("info", line)
        else:
            streams.complain(f"conveyor: {line}")

    return Pool(tell, _is_to_be_removed, Throttle(max_jobs=jobs) if jobs else Throttle())


def _is_to_be_removed() -> bool:
    """Ask whoever pressed Ctrl-C what is to become of the jobs; where nobody can be asked they stay."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return click.confirm("Remove the jobs from the pool? They go on otherwise", default=False, err=True)
    except click.Abort:
        return False


def told(wish: Wish, options: dict[str, Any], conveyed: Callable[[Setup, Callable[[], bool]], list[Outcome]]) -> int:
    """Have something conveyed, which may be asked to stop, and print what came of it; the exit status."""
    from conveyor.cli.text import outcome_lines
    from conveyor.commands.document import requests_document
    from conveyor.engine.outcome import exit_code

    setup = set_up(options)
    gc.freeze()
    gc.enable()
    with asked_to_stop() as stop:
        outcomes = conveyed(setup, stop)
    if options["as_json"]:
        streams.print_json(requests_document(str(wish), outcomes, dry_run=options["dry_run"]))
    for outcome in outcomes:
        result, errors = outcome_lines(outcome)
        if not options["as_json"]:
            streams.say("\n".join(result))
        if errors and not setup.log_has_errors:
            streams.complain("\n".join(errors))
    return exit_code(outcomes)
