"""Whether there is room for all that a plan will copy: found out before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.engine.plan import StepName
from conveyor.engine.remains import INCOMING
from conveyor.filesystem.copying.values import Named
from conveyor.filesystem.port import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from conveyor.engine.ends import End, Ends
    from conveyor.engine.plan import Plan
    from conveyor.filesystem.port import Folder


def check_room(ends: Ends, plan: Plan, about: Callable[[str], AbstractContextManager[None]]) -> None:
    """Count what will be copied to another file system, ``about`` one directory after the other; the copy need not again.

    Raises :class:`~conveyor.errors.SpaceMissingError` where there is no room for all of it, and :class:`OSError` where
    something in it cannot be copied. Between two folders of one file system, where a rename may be refused all the same,
    nothing is counted: there the copy of each directory does so.
    """
    for origin, step_name in ((ends.spool, StepName.DELIVER), (ends.qa, StepName.RETRIEVE)):
        # What is recalled becomes a part of the copy, so that what is missing of it is not known yet.
        recalled = {step.subject for step in plan.steps if step.name is StepName.RECALL_COPY}
        names = [step.subject for step in plan.steps if step.name is step_name and step.subject not in recalled]
        target = ends.other(origin)
        folder = target.folder or ends.area  # the QA folder may not be there yet
        crossing = [name for name in names if folder is not None and _crosses(origin, name, folder)]
        if folder is not None and crossing:
            _count(ends, origin, crossing, folder, about)


def _crosses(origin: End, name: str, folder: Folder) -> bool:
    source, target = origin.fs.look(origin.here, name), origin.fs.look(folder, ".")
    return source is not None and target is not None and source.device != target.device


def _count(
    ends: Ends, origin: End, names: list[str], folder: Folder, about: Callable[[str], AbstractContextManager[None]]
) -> None:
    from conveyor.filesystem.copying.counting import check_room as check
    from conveyor.filesystem.copying.counting import count, plus
    from conveyor.filesystem.copying.tasks import Need

    target, copying, need, manifests = ends.other(origin), ends.copying, Need(0, 0), Need(0, 0)
    for name in names:
        with about(name):
            begun = target.inner_kind(name + INCOMING) is Kind.DIRECTORY
            copy = Named(target.own, name + INCOMING) if begun else None
            counted = count(Named(origin.here, name), folder, copy, copying.options, copying.watch)
        copying.counted[name] = counted
        need, manifests = plus(need, counted.need), plus(manifests, counted.manifest_need)
    check(need, folder, origin.path)
    if origin is ends.spool:  # the way home takes the place of the manifests that the way out made
        check(manifests, origin.here, origin.path)
