"""The path of the QA folder is a trap: what was opened or saved by it breaks once the request is home."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from conveyor.engine.idleness import first_of
from conveyor.engine.steps import Retrieve
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.engine.endpoints import Endpoints
    from conveyor.engine.plan import Plan


def warn_of_qa_path(endpoints: Endpoints, plan: Plan) -> None:
    """Warn of the processes that work in the QA folder, and of what in it names it by its path, before it goes home.

    Raises :class:`OSError` if a directory cannot be read.
    """
    names = [step.subject for step in plan.steps if isinstance(step, Retrieve)]
    if not names or endpoints.area is None:
        return
    from conveyor.filesystem.in_use import visitors

    qa = endpoints.qa.path
    if found := [str(use) for use in visitors(PathAt(endpoints.area, qa.name))]:
        endpoints.copying.warn(
            f"somebody works in {qa}, and will not find there what they opened by that path: {first_of(found)}"
        )
    if found := sorted(_named(endpoints, names)):
        endpoints.copying.warn(
            f"what names {qa} by its path breaks once it is home; {endpoints.spool.path} works all the time: "
            + first_of(found)
        )


def _named(endpoints: Endpoints, names: list[str]) -> Iterator[str]:
    from conveyor.filesystem.mentions import mentions

    places = {str(endpoints.qa.path), posixpath.realpath(endpoints.qa.path)}

    def is_home_then(name: str) -> bool:
        return name in names or endpoints.spool.kind(name) is not None

    for name in names:
        if endpoints.qa.kind(name) is Kind.DIRECTORY:
            found = mentions(PathAt(endpoints.qa.root, name), places, is_home_then)
            yield from (f"{name}/{path}" for path in found)
