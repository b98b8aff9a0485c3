"""The check for free space for all that a plan will copy, made before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.engine.crossing import prepare_crossing
from conveyor.engine.idleness import make_sure_of_idleness
from conveyor.engine.steps import Deliver, Retrieve, RollBackCopy
from conveyor.engine.way_over import Way, check_project_ids
from conveyor.filesystem.treecopy.copy_options import PathAt

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.engine.plan import Plan
    from conveyor.engine.way_over import Foretold
    from conveyor.filesystem.posix import DirFd


def check_room(
    endpoints: Endpoints,
    plan: Plan,
    about: Callable[[str], AbstractContextManager[None]],
    find_ways: Callable[[Endpoints, list[str], Endpoint], dict[str, Foretold]],
) -> dict[str, Way]:
    """Count what will be copied to another file system, ``about`` one directory after the other; the copy need not again.

    Raises :class:`~conveyor.errors.InUseError` if somebody writes to it, :class:`~conveyor.errors.SpaceMissingError` if
    there is no room for all of it, :class:`~conveyor.errors.UnmovableError` if the setting ``project_ids`` refuses one, and
    what :func:`~conveyor.engine.crossing.prepare_crossing` raises. Returns the ways of the directories that move, as they
    were found.
    """
    ways = dict[str, Way]()
    for origin, moving in ((endpoints.spool, Deliver), (endpoints.qa, Retrieve)):
        names = [step.subject for step in plan.steps if isinstance(step, moving)]
        found = find_ways(endpoints, names, origin) if names else {}
        for name, one in found.items():
            check_project_ids(endpoints, name, origin, one)
            ways[name] = one.way
        # What is recalled becomes a part of the copy, so that what is missing of it is not known yet.
        recalled = {step.subject for step in plan.steps if isinstance(step, RollBackCopy)}
        copied = [name for name in names if ways[name] in (Way.CLONE, Way.COPY) and name not in recalled]
        folder = endpoints.other(origin).handle or endpoints.area  # the QA folder may not be there yet
        if folder is not None and copied:
            _count(endpoints, origin, copied, folder, about)
    return ways


def _count(
    endpoints: Endpoints,
    origin: Endpoint,
    names: list[str],
    folder: DirFd,
    about: Callable[[str], AbstractContextManager[None]],
) -> None:
    from conveyor.filesystem.treecopy.estimate import add_needs
    from conveyor.filesystem.treecopy.estimate import check_space as check
    from conveyor.filesystem.treecopy.messages import SpaceNeeded
    from conveyor.filesystem.treecopy.shareable import shareable

    need, manifests = SpaceNeeded(0, 0), SpaceNeeded(0, 0)
    for name in names:
        with about(name):
            counted = prepare_crossing(endpoints, name, origin, folder)
            make_sure_of_idleness(PathAt(origin.root, name), counted.tables)
            endpoints.copying.idle.add(name)
        need, manifests = add_needs(need, counted.needed), add_needs(manifests, counted.manifest_needed)
    copying = endpoints.copying

    def spared(missing: int) -> int:
        left = missing
        for name in names:
            if left > 0:
                shared = shareable(PathAt(origin.root, name), folder, copying.options, copying.monitor, left)
                copying.counted[name] = copying.counted[name].without(shared)
                left -= shared
        return missing - left

    check(need, folder, origin.path, spared)
    if origin is endpoints.spool:  # the way home takes the place of the manifests that the way out made
        check(manifests, origin.root, origin.path)
