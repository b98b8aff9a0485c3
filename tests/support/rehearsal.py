"""A request on which conveyances are run in this process, where they can be stopped at any call."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.capabilities.capability import Directory, Weblog
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey, look
from conveyor.engine.host import Host, Process
from conveyor.engine.left_over import remove_what_stayed
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy import copy_entries
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from conveyor.request.metadata import read_metadata
from conveyor.request.places import locate
from conveyor.settings.model import Settings
from conveyor.weblog.limits import Limits
from support.faults import Faults, exchange, injected
from support.projects import RememberedProjects
from support.verdicts import check_the_end, check_the_instant, data_in
from support.workspace import Workspace, add_files_that_show_a_crash, make_workspace, weblog_tar

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from support.verdicts import Data

# Two directories show what three would, in half the time; a failed QA removes the weblog, so that this is swept too.
DIRECTORIES = ("rawdata", "products")
CAPABILITY = replace(
    CALIBRATION,
    directories=tuple(Directory(name) for name in DIRECTORIES),
    weblog=Weblog(keep_after_qa_fail=False),
)


# The project IDs of the two areas, and of one file in spool.
SPOOL, QA, OTHER, ODD = 5, 300, 77, "rawdata/folder/file.txt"


class Mortal(Host):
    """A host on which every earlier run is dead, as after a crash, although all runs are in this one process."""

    runs = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self._run = next(self.runs)

    def this_process(self) -> Process:
        return replace(super().this_process(), started=f"run {self._run}")


@dataclass
class Stage:
    """One request in a workspace of its own, and the way that directories are carried on it."""

    workspace: Workspace
    way: str
    monkeypatch: pytest.MonkeyPatch
    projects: RememberedProjects = field(default_factory=RememberedProjects)

    def run(self, operation: Operation, faults: Faults | None = None) -> Outcome:
        faults = faults or Faults()
        environment = Environment(self._fs(faults), Mortal())
        request = self._request()
        self.projects.faults = faults
        with injected(self.monkeypatch, faults, self._apart, self.projects.keep_out):
            return convey(request, operation, environment, Outcome(str(operation), None))

    def look(self) -> Outcome:
        return look(self._request(), Environment(self._fs(Faults()), Mortal()), Outcome("status", None))

    def data(self, folder: Path) -> Data:
        return data_in(folder, DIRECTORIES)

    def check_the_instant(self, before: Data) -> None:
        seen = self.look()
        assert seen.error is None
        check_the_instant(self.workspace, DIRECTORIES, before, seen.state)

    def check_the_end(self, operation: Operation, before: Data) -> None:
        if self.way == "copy without exchange":
            at_once = replace(self._request(), cache_lifetime=0.0)
            remove_what_stayed(at_once, Environment(self._fs(Faults()), Mortal()), Outcome("tidy", None))
        seen = self.look()
        check_the_end(self.workspace, DIRECTORIES, before, operation, seen.state, seen.warnings)
        if self.way == "retag" and not self.projects.refused:
            end, number = (self.workspace.qa, QA) if operation is Operation.DELIVER else (self.workspace.spool, SPOOL)
            numbers = self.projects.numbers(end, DIRECTORIES)
            assert set(numbers.values()) - {OTHER} == {number}
            assert [path for path, found in numbers.items() if found == OTHER] == [ODD] * (number == SPOOL)

    def _fs(self, faults: Faults) -> FileSystem:
        refused = self.way in ("renames", "copy without exchange")
        return FileSystem(
            exchange(faults, refused=refused, apart=self._apart, keep_out=self.projects.keep_out),
            sync=lambda _: None,
            pause=lambda _: None,
            projects=self.projects,
        )

    @property
    def _apart(self) -> Path | None:
        return self.workspace.root / self.workspace.qa_area if self.way.startswith("copy") else None

    def _request(self) -> Request:
        metadata = read_metadata(self.workspace.metadata)
        places = locate(metadata, Settings(), CAPABILITY.qa_area)
        copying = CopyOptions(project_ids="retag" if self.way == "retag" else "copy")
        # Where there is no exchange other hosts have caches: NFS. What stays for them is tidied before the end is looked at.
        lifetime = 60.0 if self.way == "copy without exchange" else None
        limits = Limits(10**9, 1000, 100)
        return Request(places, CAPABILITY, metadata.project_code, limits, copying, cache_lifetime=lifetime)


def prepared(root: Path, way: str, operation: Operation, monkeypatch: pytest.MonkeyPatch) -> tuple[Stage, Data]:
    """A stage on which the wish can be run, and what its data is then.

    Where directories are renamed, the delivery is a second one, after a failed QA and with a new weblog.
    """
    workspace = make_workspace(root)
    add_files_that_show_a_crash(workspace)
    stage = Stage(workspace, way, monkeypatch)
    if way == "retag":
        (workspace.root / workspace.qa_area).mkdir(exist_ok=True)
        stage.projects.tag(workspace.spool.parent, SPOOL)
        stage.projects.tag(workspace.root / workspace.qa_area, QA)
        stage.projects.tag(workspace.spool / ODD, OTHER)
    if operation is Operation.DELIVER:
        if not way.startswith("copy"):
            stage.run(Operation.DELIVER).raise_for_error()
            stage.run(Operation.RETRIEVE).raise_for_error()
            (workspace.spool / ".conveyor" / "qa-fail.json").write_text("{}")
            (workspace.spool / "products" / "weblog.tgz").write_bytes(weblog_tar(page="another page"))
        origin = workspace.spool
    else:
        stage.run(Operation.DELIVER).raise_for_error()
        (workspace.qa / "products" / "qa_report.txt").write_text("PASS")
        origin = workspace.qa
    if way.startswith("copy"):
        # It looks twice at what was just written, and each run has to make as many calls as the others.
        time.sleep(copy_entries._STEP / 1e9)  # noqa: SLF001 - how long that is, is no business of anybody else's
    return stage, stage.data(origin)
