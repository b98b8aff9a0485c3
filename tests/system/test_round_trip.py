"""The installed program on awkward requests: out and home again, twice over, and everything is as before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from support.inventory import comparable, inventory
from support.workspace import DIRECTORIES, HTML, Workspace, add_awkward_files, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from support.inventory import Item

# The capability's QA area, and upstream's flags for out and home.
CAPABILITIES = [("qa2", "--deliver", "--retrieve"), ("image-qa", "--deliver-img", "--retrieve-img")]


def conveyor(*arguments: str | Path, **settings: str | Path) -> str:
    """What the installed program prints; it has to succeed."""
    environment = os.environ | {f"CONVEYOR_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "conveyor", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def state(workspace: Workspace, **settings: str | Path) -> str:
    """Where ``conveyor status`` says that the request is."""
    document: dict[str, Any] = json.loads(conveyor("status", workspace.metadata, "--json", **settings))
    (request,) = document["requests"]
    assert request["error"] is None
    assert set(request["directories"].values()) == {request["state"]}
    return str(request["state"])


def everything(folder: Path) -> dict[bytes, Item]:
    """All that is in the three directories, whichever end they are at."""
    items: dict[bytes, Item] = {}
    for name in DIRECTORIES:
        items |= inventory(folder, inside=name)
    return items


def awkward(root: Path, qa_area: str) -> Workspace:
    """A request that has what real trees have and copies get wrong."""
    workspace = make_workspace(root / "workspaces", qa_area=qa_area)
    add_awkward_files(workspace)
    return workspace


@pytest.mark.parametrize("flags", [False, True], ids=["subcommands", "flags"])
@pytest.mark.parametrize(("qa_area", "out", "home"), CAPABILITIES)
def test_a_request_comes_home_as_it_went_out_twice_over(
    qa_area: str, out: str, home: str, flags: bool, tmp_path: Path
) -> None:
    """Every byte, mode, time and link is the same in the QA area and at home, with subcommands and upstream's flags."""
    workspace = awkward(tmp_path, qa_area)
    before, whole = everything(workspace.spool), inventory(workspace.spool)
    for _ in range(2):
        conveyor(out if flags else "deliver", workspace.metadata)
        assert state(workspace) == "in-qa"
        assert everything(workspace.qa) == before
        for name in DIRECTORIES:
            assert (workspace.spool / name).is_symlink()
            assert inventory(workspace.spool / name / "folder") == inventory(workspace.qa / name / "folder")
        assert (workspace.weblog / HTML / "index.html").read_text() == "observation overview"
        conveyor(home if flags else "retrieve", workspace.metadata)
        assert state(workspace) == "in-spool"
        after = inventory(workspace.spool)
        kept = {path: item for path, item in after.items() if path != b"." and not path.startswith(b".conveyor")}
        del whole[b"."]
        assert kept == whole
        whole = kept | {b".": after[b"."]}
        assert not workspace.qa.exists()


@pytest.mark.parametrize(("qa_area", "out", "home"), CAPABILITIES)
def test_a_request_keeps_everything_across_two_file_systems(
    qa_area: str, out: str, home: str, tmp_path: Path, memory_folder: Path
) -> None:
    """Where only a copy can carry a request, holes, hard links, modes and times are the same at both ends."""
    workspace = awkward(tmp_path, qa_area)
    if memory_folder.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("the tests' own folder is on tmpfs as well: there is no second file system")
    far = Workspace(memory_folder, qa_area=qa_area)
    far.qa.parent.mkdir()
    before = everything(workspace.spool)
    for _ in range(2):
        delivered = json.loads(conveyor("deliver", workspace.metadata, "--json", qa_root=memory_folder))
        ways = [step["detail"] for step in delivered["requests"][0]["steps"] if step["step"] == "deliver"]
        assert ways == ["copy"] * len(DIRECTORIES)
        assert state(workspace, qa_root=memory_folder) == "in-qa"
        assert comparable(everything(far.qa)) == comparable(before)
        conveyor(home, workspace.metadata, qa_root=memory_folder)
        assert state(workspace, qa_root=memory_folder) == "in-spool"
        assert comparable(everything(workspace.spool)) == comparable(before)
        assert not far.qa.exists()
    conveyor(out, workspace.metadata, qa_root=memory_folder)
    assert state(workspace, qa_root=memory_folder) == "in-qa"
