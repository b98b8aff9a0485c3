"""``conveyor doctor``: looks at the workspace and at each request, and says what each finding means and what to run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.diagnostics import area_checks, host_checks, orphans, probes, request_checks, room
from conveyor.diagnostics.findings import Finding, Group, Report, error
from conveyor.diagnostics.workspace import Options, open_workspace
from conveyor.engine.context import Environment
from conveyor.engine.outcome import EventCallback, no_events
from conveyor.errors import ConveyorError, InternalError, foreseen
from conveyor.settings.sources import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from conveyor.diagnostics.workspace import Workspace

#: Everything that is checked, in the order in which it is told.
CHECKS: tuple[tuple[Group, tuple[Callable[[Workspace], Iterator[Finding]], ...]], ...] = (
    (
        Group.HOST,
        (
            host_checks.account,
            host_checks.identity,
            host_checks.exchange_call,
            host_checks.umask,
            host_checks.settings,
            host_checks.capabilities,
        ),
    ),
    (Group.WORKSPACE, (area_checks.there, area_checks.permissions, room.space, area_checks.mount_options)),
    (Group.TRIALS, (probes.tried,)),
    (Group.REQUESTS, (request_checks.requests,)),
    (Group.LITTER, (orphans.qa_folders, orphans.cached_weblogs, orphans.lost_metadata)),
)


def doctor(
    metadata: Sequence[Path] = (),
    *,
    capability: str | None = None,
    config: Config | None = None,
    probe: bool = True,
    options: Sequence[str] = (),
    on_event: EventCallback = no_events,
) -> Report:
    """Look at the workspace, and at the requests that are named, or else at every one in the spool root.

    ``probe`` allows trials in scratch folders of the areas, which are removed again; without it nothing is written.
    ``options`` are those of the command line that the commands in the findings need too. Raises
    :class:`~conveyor.errors.ConfigurationError` where neither metadata files nor a spool root are given.
    """
    environment = Environment(on_event=on_event)
    return examine(Options(config or load_config(), environment, tuple(metadata), capability, probe, tuple(options)))


def examine(visit: Options) -> Report:
    """Make every check. One that cannot be made stops no other: it is a finding."""
    with open_workspace(visit) as scene:
        return Report(tuple(_findings(scene)))


def _findings(scene: Workspace) -> Iterator[Finding]:
    for group, checks in CHECKS:
        for check in checks:
            name = check.__name__.replace("_", "-")
            scene.visit.environment.on_event("info", f"check {name}", group=str(group))
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
