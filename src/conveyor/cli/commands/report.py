"""``conveyor report``."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.looking import with_usual_layout
from conveyor.cli.options import FILE_PATH, epilog, json_option, looking_options
from conveyor.cli.run import set_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from conveyor.api.reporting import Spread, WorkReport


def _length(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Return a length of time in seconds."""
    from conveyor.api.selection import length_of

    try:
        return length_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command(
    "report",
    short_help="Report what was delivered, passed, failed and refused.",
    epilog=epilog("conveyor report --since 7d", "conveyor report --since 4w --csv", "conveyor report --plot week.svg"),
)
@click.option("--since", default="7d", show_default=True, callback=_length, metavar="TIME", help="how far back")
@click.option("--csv", "as_csv", is_flag=True, help="print a table with a line a day (UTC)")
@click.option("--plot", metavar="FILE", type=FILE_PATH, help="draw the days into this file: .svg, .png or .pdf")
@json_option
@looking_options
@click.pass_context
def command(ctx: click.Context, /, since: float, as_csv: bool, plot: str | None, as_json: bool, **options: Any) -> None:
    """Report what was done in a workspace: by the histories of all requests in the spool area, and by nothing else.

    Delivered, passed, failed; refused, with the codes; the time in QA (median and worst), from the end of a delivery to the
    verdict, or to the way home if nobody gave one; how much was copied, and how fast. Ends with 74 if a history could not
    be read. --plot needs matplotlib: pip install 'conveyor[plot]'.
    """
    from conveyor.api.reporting import report
    from conveyor.documents.codec import printed
    from conveyor.documents.report_documents import ReportDocument
    from conveyor.errors import IoFailedError

    session = with_usual_layout(set_up(options))
    found = report(session.config, since)
    error = IoFailedError(f"the history of {', '.join(found.unread)} could not be read") if found.unread else None
    code = error.exit_code if error else 0
    if plot is not None:
        _draw(found, Path(plot))
    if as_json:
        console.print_json(printed(ReportDocument, "report", code, error, report=found))
    elif as_csv:
        console.echo(_table(found))
    else:
        console.echo("\n".join(_lines(found)))
    if error is not None and not as_json:
        console.echo_error(f"conveyor: {error.message}\n  hint: {error.hint}")
    ctx.exit(code)


def _lines(found: WorkReport) -> Iterator[str]:
    from conveyor.api.sizes import size_text

    yield f"from {found.since[:19]}Z to {found.until[:19]}Z"
    yield f"delivered  {found.delivered:5}{_spread(found.deliveries)}"
    yield f"retrieved  {found.retrieved:5}"
    yield f"passed     {found.passed:5}"
    yield f"failed     {found.failed:5}"
    yield f"refused    {sum(found.refused.values()):5}{_codes(found.refused)}"
    yield f"stopped    {sum(found.stopped.values()):5}{_codes(found.stopped)}"
    yield f"time in QA {found.turnaround.count:5}{_spread(found.turnaround)}"
    rate = f"  {size_text(int(found.bytes_per_second))}/s" if found.bytes_per_second else ""
    yield f"copied     {size_text(found.bytes)}{rate}"


def _spread(spread: Spread) -> str:
    from conveyor.cli.text import length_text

    if spread.median is None or spread.worst is None:
        return ""
    return f"  median {length_text(spread.median)}, worst {length_text(spread.worst)}"


def _codes(counts: Mapping[str, int]) -> str:
    return f"  ({', '.join(f'{code} {count}' for code, count in counts.items())})" if counts else ""


def _table(found: WorkReport) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["date", "delivered", "passed", "failed", "refused"])
    writer.writerows([day.date, day.delivered, day.passed, day.failed, day.refused] for day in found.days)
    return table.getvalue().rstrip("\n")


def _draw(found: WorkReport, path: Path) -> None:
    """Draw the counts of the days. Raises :class:`~conveyor.errors.ConfigurationError` without matplotlib."""
    from conveyor.errors import ConfigurationError, UsageError

    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError(
            "a plot needs matplotlib, which is not installed", hint="pip install 'conveyor[plot]'"
        ) from None
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    kinds = ("delivered", "passed", "failed", "refused")
    for number, kind in enumerate(kinds):
        places = [place + 0.2 * (number - 1.5) for place in range(len(found.days))]
        axes.bar(places, [getattr(day, kind) for day in found.days], width=0.2, label=kind)
    axes.set_xticks(range(len(found.days)), [day.date for day in found.days], rotation=45)
    axes.set_ylabel("requests")
    axes.legend()
    try:
        figure.savefig(path)
    except ValueError as error:
        raise UsageError(str(error), hint="name a file that ends with .svg, .png or .pdf") from None
