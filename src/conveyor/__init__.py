"""Conveyor carries finished observatory requests from the spool area to the QA area, and home again.

The names below are the Python API; the commands of the same names call nothing else. They are imported when they are
first asked for, so that starting the program costs only what the command needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from conveyor._version import __version__

if TYPE_CHECKING:
    from conveyor.capabilities.strategy import Capability, Directory, Weblog
    from conveyor.commands.conveyance import convey_all, deliver, qa_fail, retrieve, status
    from conveyor.commands.doctor import doctor
    from conveyor.commands.doctor.findings import Finding, Group, Report, Severity
    from conveyor.commands.verify import verify
    from conveyor.engine.outcome import Observer, Outcome, StepOutcome
    from conveyor.engine.plan import Wish
    from conveyor.engine.progress import Progress, Watcher
    from conveyor.engine.survey import State
    from conveyor.engine.verification import Verified
    from conveyor.errors import ConveyorError
    from conveyor.request.metadata import Metadata, read_metadata
    from conveyor.settings.sources import LoadedSettings, load_settings

_HOMES = {
    "Capability": "capabilities.strategy",
    "ConveyorError": "errors",
    "Directory": "capabilities.strategy",
    "Finding": "commands.doctor.findings",
    "Group": "commands.doctor.findings",
    "LoadedSettings": "settings.sources",
    "Metadata": "request.metadata",
    "Observer": "engine.outcome",
    "Outcome": "engine.outcome",
    "Progress": "engine.progress",
    "Report": "commands.doctor.findings",
    "Severity": "commands.doctor.findings",
    "State": "engine.survey",
    "StepOutcome": "engine.outcome",
    "Verified": "engine.verification",
    "Watcher": "engine.progress",
    "Weblog": "capabilities.strategy",
    "Wish": "engine.plan",
    "convey_all": "commands.conveyance",
    "deliver": "commands.conveyance",
    "doctor": "commands.doctor",
    "load_settings": "settings.sources",
    "qa_fail": "commands.conveyance",
    "read_metadata": "request.metadata",
    "retrieve": "commands.conveyance",
    "status": "commands.conveyance",
    "verify": "commands.verify",
}

__all__ = [
    "Capability",
    "ConveyorError",
    "Directory",
    "Finding",
    "Group",
    "LoadedSettings",
    "Metadata",
    "Observer",
    "Outcome",
    "Progress",
    "Report",
    "Severity",
    "State",
    "StepOutcome",
    "Verified",
    "Watcher",
    "Weblog",
    "Wish",
    "__version__",
    "convey_all",
    "deliver",
    "doctor",
    "load_settings",
    "qa_fail",
    "read_metadata",
    "retrieve",
    "status",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"conveyor.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'conveyor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
