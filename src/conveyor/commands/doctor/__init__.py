"""``conveyor doctor``: looks at the workspace and at each request, and says what each finding means and what to run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.commands.doctor import host, litter, requests, room, trials, workspace
from conveyor.commands.doctor.findings import Finding, Group, Report, error
from conveyor.commands.doctor.visit import Visit, arrive
from conveyor.engine.context import World
from conveyor.engine.outcome import Observer, nobody
from conveyor.errors import ConveyorError, InternalError, foreseen
from conveyor.settings.sources import LoadedSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from conveyor.commands.doctor.visit import Scene

#: Everything that is checked, in the order in which it is told.
CHECKS: tuple[tuple[Group, tuple[Callable[[Scene], Iterator[Finding]], ...]], ...] = (
    (Group.HOST, (host.account, host.identity, host.exchange_call, host.umask, host.settings, host.capabilities)),
    (Group.WORKSPACE, (workspace.there, workspace.permissions, room.space, workspace.mount_options)),
    (Group.TRIALS, (trials.tried,)),
    (Group.REQUESTS, (requests.requests,)),
    (Group.LITTER, (litter.qa_folders, litter.cached_weblogs, litter.lost_metadata)),
)


def doctor(
    metadata: Sequence[Path] = (),
    *,
    capability: str | None = None,
    settings: LoadedSettings | None = None,
    probe: bool = True,
    options: Sequence[str] = (),
    observer: Observer = nobody,
) -> Report:
    """Look at the workspace, and at the requests that are named, or else at every one in the spool root.

    ``probe`` allows trials in scratch folders of the areas, which are removed again; without it nothing is written.
    ``options`` are those of the command line that the commands in the findings need too. Raises
    :class:`~conveyor.errors.ConfigurationError` where neither metadata files nor a spool root are given.
    """
    world = World(observer=observer)
    return examine(Visit(settings or load_settings(), world, tuple(metadata), capability, probe, tuple(options)))


def examine(visit: Visit) -> Report:
    """Make every check. One that cannot be made stops no other: it is a finding."""
    with arrive(visit) as scene:
        return Report(tuple(_findings(scene)))


def _findings(scene: Scene) -> Iterator[Finding]:
    for group, checks in CHECKS:
        for check in checks:
            name = check.__name__.replace("_", "-")
            scene.visit.world.observer("info", f"check {name}", group=str(group))
            try:
                for finding in check(scene):
                    yield replace(finding, group=group)
            except Exception as failure:  # noqa: BLE001 - a check that fails, even by a bug of ours, must not hide the others
                yield replace(_failed(name, failure), group=group)


def _failed(check: str, failure: Exception) -> Finding:
    match failure:
        case ConveyorError():
            told = failure
        case OSError():
            told = foreseen(failure)
        case _:
            told = InternalError(f"{type(failure).__name__}: {failure}")
    return error(check, check, f"the check failed: {told.message}", told.hint)
