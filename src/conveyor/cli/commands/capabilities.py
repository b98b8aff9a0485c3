"""``conveyor capabilities``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.options import epilog, json_option, listing_options
from conveyor.cli.run import set_up


@click.command(
    "capabilities",
    short_help="List what can be conveyed, and who registered it.",
    epilog=epilog("conveyor capabilities", "conveyor capabilities --config site.toml"),
)
@json_option
@listing_options
def command(as_json: bool, **options: Any) -> None:
    """List the registered capabilities: by whom (built in, package, configuration), and what each declares.

    Ends with 78 if two of them claim the same workflow.
    """
    from conveyor.api.listings import capabilities, capability_entry, check_claims
    from conveyor.documents.codec import printed
    from conveyor.documents.listing_documents import CapabilitiesDocument

    session = set_up(options)
    entries = capabilities(session.config)
    for entry in entries:
        if entry.problem:
            session.on_event(
                "warning",
                f"the capability {entry.name!r} cannot be used",
                owner=entry.owner,
                why=entry.problem,
            )
    if as_json:
        check_claims(session.config)
        declared = [capability_entry(one) for one in entries]
        console.print_json(printed(CapabilitiesDocument, "capabilities", 0, capabilities=declared))
        return
    for entry in entries:
        console.echo(f"{entry.name}  ({entry.kind}: {entry.owner})")
        if (one := entry.capability) is None:
            console.echo(f"  cannot be used: {entry.problem}")
            continue
        directories = ", ".join(d.name if d.required else f"{d.name} (optional)" for d in one.directories)
        console.echo(f"  workflows    {', '.join(one.workflows)}")
        console.echo(f"  QA area      {one.qa_area}")
        console.echo(f"  directories  {directories}")
        if one.weblog:
            need = "required" if one.weblog.required else "optional"
            console.echo(f"  weblog       {one.weblog.directory}/{{{', '.join(one.weblog.patterns)}}} ({need})")
    check_claims(session.config)
