"""The doctor, called in to a test's workspace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conveyor.diagnostics import examine
from conveyor.diagnostics.workspace import Options
from conveyor.engine.context import Environment
from conveyor.engine.host import Host, Process
from conveyor.filesystem.posix import FileSystem
from conveyor.settings.sources import load_config

if TYPE_CHECKING:
    from conveyor.diagnostics.findings import Finding, Report
    from support.workspace import Workspace


class DeadHost(Host):
    """This host, whose processes say that they are one that has died here."""

    def this_process(self) -> Process:
        return replace(super().this_process(), started="1")


def examined(
    workspace: Workspace,
    *,
    fs: FileSystem | None = None,
    host: Host | None = None,
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> Report:
    """Report on a workspace whose request is named, with another file system, host or setting."""
    environment = Environment(fs or FileSystem(), host or Host())
    return examine(Options(load_config(settings or {}), environment, **{"metadata": (workspace.metadata,), **changes}))


def findings_of(report: Report, check: str, subject: str | None = None) -> list[Finding]:
    """The findings of one check, about one subject."""
    return [one for one in report.findings if one.check == check and subject in (None, one.subject)]


def only_finding(report: Report, check: str, subject: str | None = None) -> Finding:
    """The one finding of a check, about one subject."""
    [finding] = findings_of(report, check, subject)
    return finding
