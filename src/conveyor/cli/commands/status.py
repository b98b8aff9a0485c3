"""``conveyor status``."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.looking import looking_display, with_usual_layout
from conveyor.cli.options import (
    FROM_FILE,
    any_requests,
    asked_runner_option,
    capability_option,
    epilog,
    json_option,
    looking_options,
)
from conveyor.cli.run import metadata_files, print_outcome, set_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conveyor.api.overview import Overview
    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.api.selection import Selection
    from conveyor.cli.options import Decorator
    from conveyor.cli.run import Session

_TROUBLED = 69


def _words(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return one word or several, which have commas between them."""
    return tuple(word for word in (value or "").split(",") if word)


def _states(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    from conveyor.engine.survey import State

    return _known_words(ctx, param, value, [state for state in State if state is not State.MISSING])


def _troubles(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    from conveyor.api.overview_entry import Trouble

    return _known_words(ctx, param, value, list(Trouble))


def _known_words(
    ctx: click.Context, param: click.Parameter, value: str | None, known: Sequence[str]
) -> tuple[str, ...]:
    """Return the words, each of them a known one: nothing would be like a misspelt one, which looks as if all were well."""
    words = _words(ctx, param, value)
    for word in words:
        if word not in known:
            raise click.BadParameter(f"{word!r} is not one of {', '.join(map(repr, map(str, known)))}.", ctx, param)
    return words


def _length(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return a length of time in seconds."""
    from conveyor.api.selection import length_of

    try:
        return length_of(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def _several(name: str, metavar: str, text: str, words: Callable[..., tuple[str, ...]] = _words) -> Decorator:
    return click.option(f"--{name}", callback=words, metavar=metavar, help=f"only {text}")


@click.command(
    "status",
    short_help="Say where each request is now, and what needs attention.",
    epilog=epilog(
        "conveyor status",
        "conveyor status --state in-qa --older-than 2d",
        "conveyor status --json spool/tmpiox5trbp/metadata.json",
    ),
)
@any_requests
@_several("state", "STATE,…", "requests in these states: in-spool, in-qa, in-transit, broken", _states)
@_several("trouble", "TROUBLE,…", "requests with these troubles, such as stalled, refused or needs-person", _troubles)
@_several("project", "CODE,…", "requests of these projects")
@_several("assigned", "WHO,…", "requests that are assigned to them")
@click.option("--older-than", callback=_length, metavar="TIME", help="only what has been so for longer, such as 2d")
@click.option(
    "--sort",
    type=click.Choice(["section", "name", "age", "project", "size", "state"]),
    default="section",
    help="the order (default: what needs a person first)",
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="the most requests that are shown (0: all)")
@click.option("--format", "form", type=click.Choice(["text", "tsv", "json"]), default="text", help="how it is printed")
@click.option("--watch", is_flag=True, help="look again every few seconds, until you press Ctrl-C")
@click.option("--interval", type=click.IntRange(min=1), default=5, metavar="SECONDS", help="the time between two looks")
@click.option("--exit-status", is_flag=True, help="end with 69 if anything needs attention")
@capability_option
@asked_runner_option
@json_option
@looking_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], **options: Any) -> None:
    """Say where each request is now, read from the file system, and what needs attention.

    Without METADATA: one screen about every request in the workspace that a capability claims, and whatever is out,
    whoever delivered it: the workspace of CONVEYOR_SPOOL_ROOT, or, in the usual layout, that of the working directory.
    The options choose among them; -c names their capability. What cannot be listed or looked at is named with its error,
    and is in the exit status.

    With METADATA: these requests, each directory of them, and the command to run next. With the runner htcondor the
    pool is asked too which of them a job in its queue is to convey.
    """
    if options["as_json"]:
        options["form"] = "json"
    session = set_up(options)
    if metadata or ctx.meta.get(FROM_FILE):
        ctx.exit(_of_requests(metadata, session, options))
    session = with_usual_layout(session)
    while True:
        code = _of_workspace(session, options)
        if not options["watch"]:
            ctx.exit(code)
        time.sleep(options["interval"])


def _of_requests(metadata: tuple[str, ...], session: Session, options: dict[str, Any]) -> int:
    """Print what was seen of the requests that are named. Returns the exit status."""
    from conveyor.api.distinct import distinct, repeated
    from conveyor.api.overview import look_at, outcome_of
    from conveyor.api.overview_document import entries_document
    from conveyor.cli.text import status_lines
    from conveyor.engine.outcome import exit_code

    files = distinct(metadata_files(metadata, session))
    spool = with_usual_layout(session).config.spool_of_names
    entries = [look_at(path, options["capability"], session.config, spool) for path in files]
    if session.config.values.runner == "htcondor":
        entries = _with_queued(entries)
    outcomes = [repeated(outcome_of(one), files) for one in entries]
    code = exit_code(outcomes)
    if options["exit_status"] and any(one.trouble is not None for one in entries):
        code = _TROUBLED
    for entry, outcome in zip(entries, outcomes, strict=True):
        lines = partial(status_lines, entry=entry)
        as_json = options["form"] == "json"
        print_outcome(outcome, lines, as_json=as_json, log_has_errors=False)
    if options["form"] == "json":
        console.print_json(entries_document(list(zip(entries, outcomes, strict=True)), code))
    return code


def _of_workspace(session: Session, options: dict[str, Any]) -> int:
    """Print what was seen of the workspace. Returns the exit status."""
    from conveyor.api.overview import failures_of, overview
    from conveyor.engine.outcome import exit_code

    with looking_display() as on_seen:
        found = overview(session.config, on_seen=on_seen)
    if session.config.values.runner == "htcondor":
        found = replace(found, entries=tuple(_with_queued(found.entries)))
    code = exit_code(failures_of(found))
    if options["exit_status"] and (found.unlisted or any(one.trouble is not None for one in found.entries)):
        code = _TROUBLED
    _print(found, _selection(options), code, options)
    return code


def _print(found: Overview, selection: Selection, code: int, options: dict[str, Any]) -> None:
    chosen = selection.of(found.entries, found.time)
    match options["form"]:
        case "json":
            from conveyor.api.overview_document import overview_document

            console.print_json(overview_document(found, chosen, code))
        case "tsv":
            from conveyor.cli.status_screen import tsv_lines

            console.echo("\n".join(tsv_lines(chosen, found.time)))
        case _:
            from conveyor.cli.status_screen import screen_lines, style_of_terminal

            is_narrow = selection.is_narrow or selection.limit is not None or options["limit"] == 0
            lines = list(screen_lines(found, chosen, style_of_terminal(), is_narrow=is_narrow))
            clear = "\x1b[H\x1b[2J" if options["watch"] and console.is_terminal() else ""
            console.echo(clear + "\n".join(lines))


def _selection(options: dict[str, Any]) -> Selection:
    from conveyor.api.selection import Selection

    return Selection(
        states=options["state"],
        troubles=options["trouble"],
        capabilities=(options["capability"],) if options["capability"] else (),
        projects=options["project"],
        assigned=options["assigned"],
        older_than=options["older_than"],
        order=options["sort"],
        limit=options["limit"] or None,
    )


def _with_queued(entries: Sequence[OverviewEntry]) -> list[OverviewEntry]:
    from conveyor.errors import ConfigurationError
    from conveyor.htcondor.runner import with_queued

    try:
        return with_queued(entries)
    except ConfigurationError as error:  # the file system has said where everything is
        console.echo_error(f"conveyor: the pool cannot be asked: {error.message}")
        return list(entries)
