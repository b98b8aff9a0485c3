"""``conveyor pass``, ``assign`` and ``note``: what people say of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from conveyor.cli.options import (
    ANY_PATH,
    capability_option,
    epilog,
    json_option,
    looking_options,
    reason_option,
    requests_arguments,
)
from conveyor.cli.run import metadata_files, print_outcomes, set_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.engine.outcome import Outcome


@click.command(
    "pass",
    short_help="Record that requests passed their QA.",
    epilog=epilog(
        'conveyor pass tmpiox5trbp -m "flux scale fine"',
        "conveyor pass --retrieve tmpiox5trbp      (carries it home too)",
    ),
)
@requests_arguments
@reason_option
@click.option("--retrieve", "home", is_flag=True, help="carry them home too")
@click.option("-n", "--dry-run", is_flag=True, help="change nothing; say whether the verdict would be taken")
@capability_option
@json_option
@looking_options
@click.pass_context
def passed(ctx: click.Context, /, metadata: tuple[str, ...], reason: str | None, home: bool, **options: Any) -> None:
    """Record that requests passed their QA: who says so, when, and why.

    Nothing moves, since the ingestion's own 'conveyor retrieve' brings a request home; with --retrieve it is carried home
    at once. A verdict on what is not in QA is refused (66). A later verdict takes the place of an earlier one; all are in
    'conveyor history'.
    """
    from conveyor.api.people import qa_pass

    capability, dry_run = options["capability"], options.pop("dry_run")
    as_json = options["as_json"]
    session = set_up(options)

    def act(path: Path) -> Outcome:
        common = {"capability": capability, "config": session.config, "on_event": session.on_event}
        return qa_pass(path, reason=reason, home=home, dry_run=dry_run, **common)

    files = metadata_files(metadata, session)
    ctx.exit(_each("pass", files, act, as_json=as_json, dry_run=dry_run, log_has_errors=session.log_has_errors))


@click.command("assign", short_help="Assign a request to somebody.", epilog=epilog("conveyor assign tmpiox5trbp da02"))
@click.argument("metadata", type=ANY_PATH)
@click.argument("who")
@capability_option
@json_option
@looking_options
@click.pass_context
def assigned(ctx: click.Context, /, metadata: str, who: str, **options: Any) -> None:
    """Assign a request to somebody: 'conveyor status' and the board show it, and 'status --assigned WHO' selects it."""
    from conveyor.api.people import assign

    ctx.exit(_say("assign", assign, metadata, who, options))


@click.command(
    "note", short_help="Add a note to a request.", epilog=epilog('conveyor note tmpiox5trbp "spw 7 looks odd"')
)
@click.argument("metadata", type=ANY_PATH)
@click.argument("text")
@capability_option
@json_option
@looking_options
@click.pass_context
def noted(ctx: click.Context, /, metadata: str, text: str, **options: Any) -> None:
    """Add a note to a request, wherever it is; who wrote it, and when, is kept with it."""
    from conveyor.api.people import note

    ctx.exit(_say("note", note, metadata, text, options))


def _say(command: str, function: Callable[..., Outcome], metadata: str, words: str, options: dict[str, Any]) -> int:
    """Have a function of the Python API keep the words of a person with one request. Returns the exit status."""
    capability, as_json = options["capability"], options["as_json"]
    session = set_up(options)
    files = metadata_files([metadata], session)

    def act(path: Path) -> Outcome:
        return function(path, words, capability=capability, config=session.config)

    return _each(command, files, act, as_json=as_json, log_has_errors=session.log_has_errors)


def _each(
    command: str,
    files: list[Path],
    act: Callable[[Path], Outcome],
    *,
    as_json: bool,
    log_has_errors: bool,
    dry_run: bool = False,
) -> int:
    """Act on each request, and print each outcome as it comes, and a sum. Returns the exit status."""
    from conveyor.api.distinct import distinct, repeated
    from conveyor.cli.text import outcome_lines, sum_line

    named = distinct(files)
    outcomes = (repeated(act(path), named) for path in named)
    return print_outcomes(
        command, outcomes, outcome_lines, sum_line, as_json=as_json, dry_run=dry_run, log_has_errors=log_has_errors
    )
