"""Conveyor carries finished observatory requests from the spool area to the QA area, and home again.

The names below are the Python API; the commands of the same names call nothing else. They are imported when they are
first asked for, so that starting the program costs only what the command needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from conveyor._version import __version__

if TYPE_CHECKING:
    from conveyor.api.operations import deliver, qa_fail, retrieve, status, to_json, unlock, users, verify
    from conveyor.api.people import assign, note, qa_pass
    from conveyor.api.reporting import WorkReport, report
    from conveyor.api.run_history import RunEntry, history
    from conveyor.api.runners import OutcomeCallback, convey_all
    from conveyor.capabilities.capability import Capability, Directory, Weblog
    from conveyor.capabilities.hook import Hook, HookContext, StepResult
    from conveyor.capabilities.marker import Delivery, Marker, ReadyDocument
    from conveyor.diagnostics import doctor
    from conveyor.diagnostics.findings import Finding, Group, Report, Severity
    from conveyor.documents.kept_documents import Progress
    from conveyor.engine.copy_progress import ProgressCallback
    from conveyor.engine.outcome import EventCallback, Outcome, StepOutcome
    from conveyor.engine.plan import Operation
    from conveyor.engine.survey import State
    from conveyor.engine.verification import Verified
    from conveyor.errors import ConveyorError
    from conveyor.filesystem.in_use import Occupant
    from conveyor.request.metadata import Metadata, read_metadata
    from conveyor.settings.sources import Config, load_config

_HOMES = {
    "Capability": "capabilities.capability",
    "Config": "settings.sources",
    "ConveyorError": "errors",
    "Delivery": "capabilities.marker",
    "Directory": "capabilities.capability",
    "EventCallback": "engine.outcome",
    "Finding": "diagnostics.findings",
    "Group": "diagnostics.findings",
    "Hook": "capabilities.hook",
    "HookContext": "capabilities.hook",
    "Marker": "capabilities.marker",
    "Metadata": "request.metadata",
    "Occupant": "filesystem.in_use",
    "Operation": "engine.plan",
    "Outcome": "engine.outcome",
    "OutcomeCallback": "api.runners",
    "Progress": "documents.kept_documents",
    "ProgressCallback": "engine.copy_progress",
    "ReadyDocument": "capabilities.marker",
    "Report": "diagnostics.findings",
    "RunEntry": "api.run_history",
    "Severity": "diagnostics.findings",
    "State": "engine.survey",
    "StepOutcome": "engine.outcome",
    "StepResult": "capabilities.hook",
    "Verified": "engine.verification",
    "Weblog": "capabilities.capability",
    "WorkReport": "api.reporting",
    "assign": "api.people",
    "convey_all": "api.runners",
    "deliver": "api.operations",
    "doctor": "diagnostics",
    "history": "api.run_history",
    "load_config": "settings.sources",
    "note": "api.people",
    "qa_fail": "api.operations",
    "qa_pass": "api.people",
    "read_metadata": "request.metadata",
    "report": "api.reporting",
    "retrieve": "api.operations",
    "status": "api.operations",
    "to_json": "api.operations",
    "unlock": "api.operations",
    "users": "api.operations",
    "verify": "api.operations",
}

__all__ = [
    "Capability",
    "Config",
    "ConveyorError",
    "Delivery",
    "Directory",
    "EventCallback",
    "Finding",
    "Group",
    "Hook",
    "HookContext",
    "Marker",
    "Metadata",
    "Occupant",
    "Operation",
    "Outcome",
    "OutcomeCallback",
    "Progress",
    "ProgressCallback",
    "ReadyDocument",
    "Report",
    "RunEntry",
    "Severity",
    "State",
    "StepOutcome",
    "StepResult",
    "Verified",
    "Weblog",
    "WorkReport",
    "__version__",
    "assign",
    "convey_all",
    "deliver",
    "doctor",
    "history",
    "load_config",
    "note",
    "qa_fail",
    "qa_pass",
    "read_metadata",
    "report",
    "retrieve",
    "status",
    "to_json",
    "unlock",
    "users",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"conveyor.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'conveyor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
