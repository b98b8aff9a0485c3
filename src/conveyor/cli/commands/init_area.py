"""``conveyor init-area``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.looking import with_usual_layout
from conveyor.cli.options import DIR_PATH, epilog, json_option, looking_options
from conveyor.cli.run import set_up


@click.command(
    "init-area",
    short_help="Mark the areas, so that one that is not mounted is noticed.",
    epilog=epilog("conveyor init-area"),
)
@click.argument("areas", metavar="[AREA]...", nargs=-1, type=DIR_PATH)
@json_option
@looking_options
def command(areas: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Put the marker .conveyor-area into each AREA, once, while it is mounted.

    Without AREA: into the spool area (CONVEYOR_SPOOL_ROOT) and each QA area that is there. A marker that is there stays.
    Then set require_area_marker: nothing is conveyed from or to an area without one.
    """
    from conveyor.api.areas import init_areas
    from conveyor.documents.codec import printed
    from conveyor.documents.listing_documents import AreasDocument

    session = with_usual_layout(set_up(options))
    marked = init_areas([Path(area).absolute() for area in areas], config=session.config)
    if as_json:
        entries = [{**vars(one), "path": str(one.path)} for one in marked]
        console.print_json(printed(AreasDocument, "init-area", 0, areas=entries))
        return
    for one in marked:
        console.echo(f"{one.path}: {'marked' if one.made else 'marked already'}, {one.id}")
