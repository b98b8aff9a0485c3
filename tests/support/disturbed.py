"""A request that is conveyed in this process, while something disturbs it just before one of the calls."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from conveyor.request.metadata import read_metadata
from conveyor.request.places import locate
from conveyor.settings.model import Settings
from conveyor.weblog.limits import Limits
from support.stage import CLONE, RETAG
from support.swaps import Swap, exchange, swapping
from support.workspace import DIRECTORIES, Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@dataclass(frozen=True)
class Stage:
    """A request, its QA folder in the same file system or in another, and a victim with the same names in it."""

    workspace: Workspace
    qa: Path
    victim: Path
    aside: Path
    way: str
    operation: Operation

    @property
    def origin(self) -> Path:
        return self.workspace.spool if self.operation is Operation.DELIVER else self.qa

    @property
    def target(self) -> Path:
        return self.qa if self.operation is Operation.DELIVER else self.workspace.spool

    def convey(
        self, operation: Operation, swap: Swap | None = None, monkeypatch: pytest.MonkeyPatch | None = None
    ) -> Outcome:
        swap = swap or Swap(self.aside, self.victim, self.aside)
        refused = self.way in ("renames", "copy without exchange")
        fs = FileSystem(exchange(swap, refused=refused), sync=lambda _: None, pause=lambda _: None)
        places = locate(
            read_metadata(self.workspace.metadata),
            Settings(spool_root=self.workspace.spool.parent, qa_root=self.qa.parent.parent),
            CALIBRATION.qa_area,
        )
        copying = CopyOptions(project_ids="retag" if self.way == RETAG else "copy")
        request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100), copying)
        outcome = Outcome(str(operation), None)
        if monkeypatch is None:
            return convey(request, operation, Environment(fs), outcome)
        with swapping(monkeypatch, swap):
            return convey(request, operation, Environment(fs), outcome)

    def data(self, folder: Path) -> dict[str, bytes]:
        """The content of every file below the three directories; links in their place are not followed."""
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for name in DIRECTORIES
            if not (folder / name).is_symlink()
            for path in (folder / name).rglob("*")
            if path.is_file()
        }


def make_stage(root: Path, far: Path, way: str, operation: Operation) -> tuple[Stage, dict[str, bytes]]:
    workspace = make_workspace(root / "workspaces")
    if way == CLONE:  # short files are not worth it
        (workspace.spool / "products" / "folder" / "file.txt").write_bytes(bytes(range(256)) * 64)
    is_apart = way in (RETAG, CLONE) or way.startswith("copy")
    qa = (far if is_apart else workspace.root) / "qa2" / workspace.request
    qa.parent.mkdir(parents=True, exist_ok=True)
    victim = far / "victim" if is_apart else root / "victim"
    shutil.copytree(workspace.spool, victim)
    for name in (".conveyor", "products/products", "folder"):
        (victim / name).mkdir()
    (victim / ".conveyor" / "history.jsonl").write_text("theirs\n")
    (victim / ".conveyor" / "claim.7").write_text("theirs\n")
    (victim / ".conveyor.json").write_text("{}")
    (victim / "file.txt").write_text("theirs\n")
    stage = Stage(workspace, qa, victim, root / "aside", way, operation)
    if operation is not Operation.DELIVER:
        stage.convey(Operation.DELIVER).raise_for_error()
    before = stage.data(stage.origin)
    assert len(before) == 4
    return stage, before
