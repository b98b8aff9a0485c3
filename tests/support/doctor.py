"""The doctor, called in to a test's workspace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conveyor.commands.doctor import examine
from conveyor.commands.doctor.visit import Visit
from conveyor.engine.context import World
from conveyor.engine.host import Host, Process
from conveyor.filesystem.posix import PosixFileSystem
from conveyor.settings.sources import load_settings

if TYPE_CHECKING:
    from conveyor.commands.doctor.findings import Finding, Report
    from support.workspace import Workspace


class DeadHost(Host):
    """This host, whose processes say that they are one that has died here."""

    def this_process(self) -> Process:
        return replace(super().this_process(), started="1")


def examined(
    workspace: Workspace,
    *,
    fs: PosixFileSystem | None = None,
    host: Host | None = None,
    flags: dict[str, Any] | None = None,
    **changes: Any,
) -> Report:
    """What the doctor finds in a workspace whose request is named, with another file system, host or setting."""
    world = World(fs or PosixFileSystem(), host or Host())
    return examine(Visit(load_settings(flags or {}), world, **{"metadata": (workspace.metadata,), **changes}))


def of(report: Report, check: str, subject: str | None = None) -> list[Finding]:
    """The findings of one check, about one subject."""
    return [one for one in report.findings if one.check == check and subject in (None, one.subject)]


def the(report: Report, check: str, subject: str | None = None) -> Finding:
    """The one finding of a check, about one subject."""
    [finding] = of(report, check, subject)
    return finding
