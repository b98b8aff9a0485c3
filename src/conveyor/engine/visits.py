"""A moment at which nobody has anything open in what moves, for those who ask for it.

A reader is in nobody's way. But where two renames take the place of an exchange, one that opens something in the instant
between them misses it, and some do not try again: zarr takes a missing path for an empty array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.engine.idleness import make_sure_of_no_visitors
from conveyor.engine.steps import Deliver, Retrieve
from conveyor.filesystem.treecopy.copy_options import PathAt

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoints
    from conveyor.engine.plan import Plan


def make_sure_that_nobody_is_in(endpoints: Endpoints, plan: Plan) -> None:
    """Raise :class:`~conveyor.errors.InUseError` if a process of this host is in a directory that the plan moves.

    That is one that stands in it, or has anything in it open, if only to read. Raises :class:`OSError`.
    """
    origins = {Deliver.name: endpoints.spool, Retrieve.name: endpoints.qa}
    for step in plan.steps:
        end = origins.get(step.name)
        if end is not None:
            make_sure_of_no_visitors(PathAt(end.root, step.subject))
