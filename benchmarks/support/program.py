"""Conveyor's own command line, and requests that are made for it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_DIRECTORY, _AREA = "working", "qa2"
_CONFIG = """\
spool_root = {spool}
qa_root = {qa_root}
weblog_cache = {cache}
[capabilities.benchmark]
workflows = ["benchmark"]
qa_area = "{area}"
directories = ["{directory}"]
weblog = false
"""
_IMPORT_ALL = """\
import contextlib, importlib, pkgutil, conveyor
for module in pkgutil.walk_packages(conveyor.__path__, "conveyor."):
    if not module.name.endswith("__main__"):
        with contextlib.suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(module.name)
"""
PRIMER = (sys.executable, "-c", _IMPORT_ALL)


@dataclass(frozen=True)
class Place:
    """Where a request is, and where it is to go."""

    origin: Path
    target: Path
    request: str = "tmpbenchmark"

    @property
    def spool(self) -> Path:
        return self.origin / "spool" / self.request

    @property
    def data(self) -> Path:
        """The one directory of the request."""
        return self.spool / _DIRECTORY

    @property
    def area(self) -> Path:
        """The QA area, which has to be there beforehand."""
        return self.target / _AREA

    @property
    def goal(self) -> Path:
        """Where the directory is to be afterwards."""
        return self.area / self.request / _DIRECTORY

    @property
    def metadata(self) -> Path:
        return self.spool / "metadata.json"

    def write_metadata(self) -> None:
        """Write what the workflow says of the request; its directory has to be there."""
        self.metadata.write_text(json.dumps({"workflowName": "benchmark", "destinationDirectory": str(self.spool)}))


def program() -> list[str]:
    """The command line, by the interpreter that runs this; not by a version manager's shim."""
    script = Path(sys.executable).with_name("conveyor")
    return [str(script)] if script.exists() else [sys.executable, "-m", "conveyor"]


def deliver(places: list[Place], folder: Path, *options: str) -> list[str]:
    """The command that delivers requests of one spool area to one QA area; its configuration is written to a folder."""
    first, config = places[0], folder / "conveyor.toml"
    strings = {
        "spool": json.dumps(str(first.spool.parent)),
        "qa_root": json.dumps(str(first.target)),
        "cache": json.dumps(str(folder / "weblog-cache")),
    }
    config.write_text(_CONFIG.format(directory=_DIRECTORY, area=_AREA, **strings))
    return [*program(), "deliver", "--config", str(config), *options, *(str(place.metadata) for place in places)]


def environment(folder: Path) -> dict[str, str]:
    """What a command is run in: no settings of the person who runs it, and byte code where an installation has it."""
    left_out = ("CONVEYOR_", "CAPO_", "RCLONE_", "RSYNC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    home = str(folder)
    kept.setdefault("PYTHONPYCACHEPREFIX", f"{home}/bytecode")
    return kept | {"HOME": home, "XDG_CONFIG_HOME": home, "LC_ALL": "C"}
