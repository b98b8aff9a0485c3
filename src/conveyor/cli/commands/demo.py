"""``conveyor demo``."""

from __future__ import annotations

from pathlib import Path

import click

from conveyor.cli import console
from conveyor.cli.options import ANY_PATH, epilog


@click.command(
    "demo",
    short_help="Show a delivery and its way back in a scratch workspace.",
    epilog=epilog("conveyor demo", "conveyor demo --keep try"),
)
@click.option("--keep", metavar="DIR", type=ANY_PATH, help="make the workspace here and leave it for you to look at")
def command(keep: str | None) -> None:
    """Make a realistic request in a scratch workspace, deliver it, show both areas, and retrieve it.

    Nothing outside the scratch workspace is touched, and no settings are read.
    """
    from conveyor.api.demo_scenes import Scene, demonstrate

    number = 0

    def show(scene: Scene) -> None:
        nonlocal number
        number += 1
        console.echo(f"{number}. {scene.title}\n")
        for area, lines in scene.trees:
            console.echo(f"{area}/")
            console.echo("\n".join(lines or ["  (empty)"]))
        console.echo(f"\n{scene.note}\n" if scene.note else "")

    workspace = demonstrate(Path(keep) if keep else None, show)
    if keep:
        metadata = next(workspace.glob("workspaces/spool/*/metadata.json"))
        console.echo(f"The workspace is yours: try 'conveyor deliver {metadata}'")
    else:
        console.echo("The scratch workspace is gone; 'conveyor demo --keep DIR' leaves it for you to play with.")
