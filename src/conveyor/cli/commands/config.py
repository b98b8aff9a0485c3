"""``conveyor config``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.options import epilog, json_option, settings_options
from conveyor.cli.run import set_up


@click.command(
    "config",
    short_help="Show the effective settings and their sources.",
    epilog=epilog("conveyor config", "conveyor config --config site.toml --json"),
)
@json_option
@settings_options
def command(as_json: bool, **options: Any) -> None:
    """Show the effective settings, and which source each came from.

    Flag goes before environment (CONVEYOR_...), before the TOML file (--config, CONVEYOR_CONFIG, then
    ~/.config/conveyor/conveyor.toml, /etc/xdg/conveyor/conveyor.toml and /etc/conveyor/conveyor.toml), before CAPO
    properties, before the default.
    """
    from conveyor.api.listings import config
    from conveyor.documents.codec import printed
    from conveyor.documents.listing_documents import ConfigDocument

    session = set_up(options)
    rows = config(session.config)
    if as_json:
        file = str(session.config.file) if session.config.file else None
        console.print_json(printed(ConfigDocument, "config", 0, file=file, settings=rows))
        return
    width = max(len(name) for name in rows)
    for name, row in rows.items():
        value = row["value"] if row["value"] is not None else f"({row['meaning_of_none']})"
        console.echo(f"{name:{width}}  {value}  ({row['source']})")
