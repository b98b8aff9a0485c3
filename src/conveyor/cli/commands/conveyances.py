"""``conveyor deliver``, ``retrieve`` and ``qa-fail``."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.options import conveyance_options, epilog, reason_option
from conveyor.cli.run import metadata_files, print_document, print_outcome, set_up, stop_on_signal

if TYPE_CHECKING:
    from conveyor.api.runners import Runner
    from conveyor.cli.options import Decorator
    from conveyor.cli.run import Session
    from conveyor.htcondor.runner import Update


def _conveyance(operation: str, short_help: str, text: str, name: str | None = None) -> click.Command:
    """Return the command of an operation, which may have another name; ``text`` is its help."""
    is_verdict = operation == "qa-fail"

    @click.command(
        name or operation,
        short_help=short_help,
        help=text,
        epilog=epilog(
            f"conveyor {name or operation} tmpiox5trbp" + (' -m "flux scale off, spw 7"' if is_verdict else ""),
            f"conveyor {name or operation} -n metadata.json      (shows the plan, changes nothing)",
            f"conveyor {name or operation} --jobs 4 spool/*/metadata.json",
        ),
    )
    @conveyance_options
    @_options_of(operation)
    @click.pass_context
    def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
        from conveyor.api.runners import convey_all
        from conveyor.cli.text import outcome_lines, sum_line
        from conveyor.engine.outcome import exit_code
        from conveyor.engine.plan import Operation

        jobs, dry_run, as_json = options["jobs"], options["dry_run"], options["as_json"]
        reason = options.pop("reason", None)
        session = set_up(options)
        show = partial(print_outcome, lines=outcome_lines, as_json=as_json, log_has_errors=session.log_has_errors)
        with stop_on_signal() as stop:
            outcomes = convey_all(
                Operation(operation),
                metadata_files(metadata, session),
                capability=options["capability"],
                dry_run=dry_run,
                reason=reason,
                config=session.config,
                jobs=jobs,
                runner=pool_runner(session, jobs) if session.config.values.runner == "htcondor" else None,
                on_event=session.on_event,
                on_progress=session.on_progress,
                on_outcome=show,
                stop=stop,
            )
        if as_json:
            print_document(operation, outcomes, dry_run=dry_run)
        elif len(outcomes) > 1:
            console.echo(sum_line(outcomes))
        ctx.exit(exit_code(outcomes))

    return command


def _options_of(operation: str) -> Decorator:
    """Return the options that an operation has for itself."""
    return reason_option if operation == "qa-fail" else lambda function: function


def pool_runner(session: Session, jobs: int | None) -> Runner:
    """Return the runner of a pool, with a line on stderr for each request that is done, and a question after Ctrl-C."""
    from conveyor.htcondor.dag import Throttle
    from conveyor.htcondor.runner import HTCondorRunner

    throttle = Throttle(max_jobs=jobs) if jobs else Throttle()
    return HTCondorRunner(partial(_report, session), _confirm_removal, throttle)


def _report(session: Session, update: Update) -> None:
    """Print an update, or log it if stderr is for a program."""
    from conveyor.cli.text import update_line

    line = update_line(update.outcome, update.done, update.total, update.note)
    if session.log_has_errors:
        session.on_event("info", line)
    else:
        console.echo_error(f"conveyor: {line}")


def _confirm_removal() -> bool:
    """Ask the person who pressed Ctrl-C whether to remove the jobs; if nobody can be asked they stay."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return click.confirm("Remove the jobs from the pool? They go on otherwise", default=False, err=True)
    except click.Abort:
        return False


deliver = _conveyance(
    "deliver",
    "Deliver finished requests to their QA area.",
    """Deliver finished requests to their QA area.

    The weblog is cached and unpacked, the capability's directories move to the QA area, a link stands in the place of
    each, and READY is written last. Paths below the request keep working throughout. A delivery that was interrupted
    is finished by running the same command again; one that is finished already is a success.
    """,
)

retrieve = _conveyance(
    "retrieve",
    "Retrieve requests from their QA area.",
    """Retrieve requests from their QA area, with what the analysts changed.

    READY goes first, each directory moves home in the place of its link, and the emptied QA directory goes. Files that
    an analyst left beside the directories stay, and are named.
    """,
)

_FAIL = """Retrieve requests whose QA failed, record the verdict, and clean up.

    The same way home as 'conveyor retrieve'. The verdict, with who gave it, when and why, is kept with the request until
    it is delivered again; the cached weblog stays unless the capability says otherwise. A verdict on what is not in QA is
    refused (66). 'conveyor fail' and 'conveyor qa-fail' are the same.
    """

qa_fail = _conveyance("qa-fail", "Retrieve requests whose QA failed, and clean up.", _FAIL)
fail = _conveyance("qa-fail", "Record that requests failed their QA, and carry them home.", _FAIL, "fail")
