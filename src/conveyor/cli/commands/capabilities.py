"""``conveyor capabilities``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli import streams
from conveyor.cli.main import EPILOG
from conveyor.cli.options import json_option, set_up, settings_options


@click.command("capabilities", short_help="List what can be conveyed, and who registered it.", epilog=EPILOG)
@json_option
@settings_options
def command(as_json: bool, **options: Any) -> None:
    """List the registered capabilities: by whom (built in, package, configuration), and what each declares."""
    from conveyor.commands.document import envelope
    from conveyor.commands.listings import capabilities, capability_document

    setup = set_up(options)
    entries = capabilities(setup.loaded)
    for entry in entries:
        if entry.problem:
            setup.observer(
                "warning",
                f"the capability {entry.name!r} cannot be used",
                owner=entry.owner,
                why=entry.problem,
            )
    if as_json:
        streams.print_json(envelope("capabilities", 0, capabilities=[capability_document(one) for one in entries]))
        return
    for entry in entries:
        streams.say(f"{entry.name}  ({entry.kind}: {entry.owner})")
        if (one := entry.capability) is None:
            streams.say(f"  cannot be used: {entry.problem}")
            continue
        directories = ", ".join(d.name if d.required else f"{d.name} (optional)" for d in one.directories)
        streams.say(f"  workflows    {', '.join(one.workflows)}")
        streams.say(f"  QA area      {one.qa_area}")
        streams.say(f"  directories  {directories}")
        if one.weblog:
            need = "required" if one.weblog.required else "optional"
            streams.say(f"  weblog       {one.weblog.directory}/{{{', '.join(one.weblog.patterns)}}} ({need})")
