"""The beginning of a look at a whole workspace: which one it is, and what a terminal shows as long as it lasts."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.cli.run import Session

_BACK = "\r\x1b[K"


def with_usual_layout(session: Session) -> Session:
    """Return the session with the workspace of the working directory, if none is set and the layout is the usual one."""
    from conveyor.capabilities.registry import Registry
    from conveyor.request.places import usual_spool_above

    if session.config.values.spool_root is not None:
        return session
    try:
        here = Path.cwd()
    except FileNotFoundError:  # it was removed, and whoever needs it says so
        return session
    spool = usual_spool_above(here, Registry(session.config).near_areas)
    if spool is None:
        return session
    values = session.config.values.model_copy(update={"spool_root": spool})
    origins = {**session.config.origins, "spool_root": "the working directory"}
    return replace(session, config=replace(session.config, values=values, origins=origins))


@contextmanager
def looking_display() -> Iterator[Callable[[int, int], None]]:
    """Give a callback that shows how many requests have been looked at, if stdout and stderr are a terminal.

    A terminal that cannot be drawn on gets one line.
    """
    if not (sys.stdout is not None and sys.stdout.isatty() and sys.stderr is not None and sys.stderr.isatty()):
        yield lambda *_: None
        return
    is_drawn = os.environ.get("TERM") != "dumb"
    told: list[int] = []

    def show(count: int, total: int) -> None:
        if is_drawn:
            sys.stderr.write(f"{_BACK}looked at {count:,} of {total:,}")
            sys.stderr.flush()
        elif not told:
            console.echo_error(f"looking at {total:,} requests")
        told.append(count)

    try:
        yield show
    finally:
        if told and is_drawn:
            sys.stderr.write(_BACK)
            sys.stderr.flush()
