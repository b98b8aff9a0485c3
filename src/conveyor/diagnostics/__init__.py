"""``conveyor doctor``: checks of the host, the workspace and each request, with what each finding means and what to run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.api.operations import several
from conveyor.diagnostics import area_checks, host_checks, notice_checks, orphans, probes, reader_checks, request_checks
from conveyor.diagnostics.findings import Finding, Group, Report, guarded
from conveyor.diagnostics.workspace import Options, open_workspace
from conveyor.engine.context import Environment
from conveyor.engine.outcome import EventCallback, no_events
from conveyor.settings.sources import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from conveyor.diagnostics.workspace import Workspace

#: All checks in the order of the report. Their names are words of the JSON document, and stay.
CHECKS: dict[Group, dict[str, Callable[[Workspace], Iterator[Finding]]]] = {
    Group.HOST: {
        "account": host_checks.account,
        "identity": host_checks.identity,
        "exchange-call": host_checks.exchange_call,
        "umask": host_checks.umask,
        "settings": host_checks.settings,
        "capabilities": host_checks.capabilities,
    },
    Group.WORKSPACE: {
        "there": area_checks.reachable,
        "area-markers": area_checks.markers,
        "permissions": area_checks.permissions,
        "space": area_checks.space,
        "mount-options": area_checks.mount_options,
        "notices": notice_checks.notices,
        "readers": reader_checks.readers,
    },
    Group.PROBES: {"tried": probes.run_probes},
    Group.REQUESTS: {"requests": request_checks.requests},
    Group.ORPHANS: {
        "qa-folders": orphans.qa_directories,
        "cached-weblogs": orphans.cached_weblogs,
        "scratch-directories": orphans.scratch_directories,
        "lost-metadata": orphans.lost_metadata,
    },
}


def doctor(
    metadata: Iterable[Path | str] | Path | str = (),
    *,
    capability: str | None = None,
    config: Config | None = None,
    probe: bool = True,
    options: Sequence[str] = (),
    on_event: EventCallback = no_events,
) -> Report:
    """Check the workspace, and the requests that are named, or else every one in the spool root.

    ``probe`` allows probes in scratch directories of the areas, which are removed again; without it nothing is written.
    ``options`` are those of the command line that the commands in the findings need too. Raises
    :class:`~conveyor.errors.ConfigurationError` if neither metadata files nor a spool root are given.
    """
    environment = Environment(on_event=on_event)
    return examine(
        Options(config or load_config(), environment, tuple(several(metadata)), capability, probe, tuple(options))
    )


def examine(options: Options) -> Report:
    """Make every check. One that fails stops no other: its failure is a finding."""
    with open_workspace(options) as workspace:
        return Report(tuple(_findings(workspace)))


def _findings(workspace: Workspace) -> Iterator[Finding]:
    for group, checks in CHECKS.items():
        for name, check in checks.items():
            workspace.environment.on_event("info", f"check {name}", group=str(group))
            for finding in guarded(check(workspace), name, name, "the check failed: "):
                yield replace(finding, group=group)
