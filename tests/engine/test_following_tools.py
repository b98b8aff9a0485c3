"""Tools that follow links: for none of them is there a way round, at rest or at any moment of a conveyance."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from support.faults import Faults
from support.rehearsal import DIRECTORIES, prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.rehearsal import Stage

# What each of them follows unasked, or is told to follow when a request has to be packed while it is out.
TOOLS = {
    "cp": ["cp", "-rL"],
    "rsync": ["rsync", "-aL"],
    "zip": ["zip", "-qr"],
    "tar": ["tar", "-chf"],
}


def loops(top: Path, inside: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """The ways from a directory, links followed, into a directory that they are in already."""
    with os.scandir(top) as entries:
        for entry in list(entries):
            try:
                status = entry.stat()
                if not entry.is_dir():
                    continue
            except OSError:  # a claim, which leads nowhere
                continue
            here = (status.st_dev, status.st_ino)
            if here in inside:
                yield top / entry.name
            else:
                yield from loops(top / entry.name, (*inside, here))


class Watched(Faults):
    """Not a fault: before each call that changes something, both ends are walked with links followed."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._ends = (stage.workspace.spool, stage.workspace.qa)
        self.found: list[str] = []

    def point(self, call: str) -> None:
        super().point(call)
        for end in self._ends:
            if end.is_dir():
                self.found += [f"before {call}, call {len(self.calls)}: {way}" for way in loops(end)]


@pytest.mark.parametrize("way", ["exchange", "renames", "copy", "copy without exchange"])
@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_no_moment_has_a_loop(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, way: str
) -> None:
    """Before each call of a conveyance, a walk that follows links comes to its end at both ends of the request."""
    stage, _ = prepared(quick_folder, way, operation, monkeypatch)
    watched = Watched(stage)
    stage.run(operation, watched).raise_for_error()
    assert len(watched.calls) > 20
    assert watched.found == []


def _arguments(tool: str, source: Path, target: Path) -> list[str]:
    """The arguments of one of the tools: from a directory, to a new name."""
    first = TOOLS[tool]
    return [*first, f"{target}.out", "."] if tool in ("zip", "tar") else [*first, f"{source}/.", str(target)]


@pytest.mark.parametrize("tool", [*TOOLS, "copytree"])
@pytest.mark.parametrize("end", ["spool", "qa"])
def test_a_delivered_request_can_be_packed(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, tool: str, end: str
) -> None:
    """Each tool ends well on either end of a delivered request, with each file of the request once."""
    stage, before = prepared(quick_folder / "request", "exchange", Operation.DELIVER, monkeypatch)
    stage.run(Operation.DELIVER).raise_for_error()
    source, target = getattr(stage.workspace, end), quick_folder / "packed"
    if tool == "copytree":
        shutil.copytree(source, target)
    elif shutil.which(tool) is None:
        pytest.skip(f"there is no {tool} on this host")
    else:
        subprocess.run(_arguments(tool, source, target), cwd=source, check=True, capture_output=True)
    if target.is_dir():
        files = {path.relative_to(target) for path in target.rglob("*") if path.is_file()}
        below = [path for path in files if path.parts[0] in DIRECTORIES]
        assert len(below) == len(
            {path for path, item in before.items() if not os.path.isdir(source / os.fsdecode(path))}
        )
        assert {path.parts[0] for path in files} <= {".conveyor", *os.listdir(source)}
