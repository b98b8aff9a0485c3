"""``conveyor metrics``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.looking import with_usual_layout
from conveyor.cli.options import FILE_PATH, epilog, looking_options
from conveyor.cli.run import set_up


@click.command(
    "metrics",
    short_help="Write the metrics of the workspace for Prometheus.",
    epilog=epilog("conveyor metrics --output /var/lib/node_exporter/textfile/conveyor.prom"),
)
@click.option("-o", "--output", metavar="FILE", type=FILE_PATH, help="write this file, in one step, and not to stdout")
@looking_options
def command(output: str | None, **options: Any) -> None:
    """Write the metrics of the workspace in Prometheus's text format.

    Run it from cron into the folder of node_exporter's textfile collector. Needs prometheus-client:
    pip install 'conveyor[metrics]'.
    """
    from conveyor.api.metrics import metrics_text, write_metrics

    session = with_usual_layout(set_up(options))
    if output is None:
        console.echo(metrics_text(session.config).rstrip("\n"))
    else:
        write_metrics(session.config, Path(output).absolute())
