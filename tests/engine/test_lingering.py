"""The source of a copy stays for readers on other hosts, as long as their caches may lead there, and then goes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import conveyor
from conveyor.api.overview import overview
from conveyor.api.tidying import tidy
from conveyor.cli.status_screen import Style, screen_lines
from conveyor.filesystem.mounts import Mount, cache_lifetime
from support.inventory import inventory
from support.workspace import DIRECTORIES, Workspace, make_workspace

PAGE = "products/weblog.tgz"


@pytest.fixture
def apart(tmp_path: Path, memory_folder: Path) -> Workspace:
    """A request whose QA area is on another file system."""
    return make_workspace(tmp_path / "here", qa_root=memory_folder)


def config_of(workspace: Workspace, **settings: Any) -> conveyor.Config:
    return conveyor.load_config({"qa_root": str(workspace.qa.parents[1]), "cache_lifetime": 60, **settings})


def convey(command: str, workspace: Workspace, **settings: Any) -> conveyor.Outcome:
    outcome: conveyor.Outcome = getattr(conveyor, command)(workspace.metadata, config=config_of(workspace, **settings))
    return outcome.raise_for_error()


def aside(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".conveyor").glob("*.lingering.*"))


def test_who_has_the_old_directory_finds_it_whole(apart: Workspace) -> None:
    """A client that has cached a directory under its old name goes on in it; the request is settled all the same."""
    names = sorted(os.listdir(apart.spool / "rawdata"))
    cached = os.open(apart.spool / "rawdata", os.O_RDONLY)
    try:
        assert convey("deliver", apart).state == "in-qa"
        assert sorted(os.listdir(cached)) == names
    finally:
        os.close(cached)
    assert aside(apart.spool) == [f"{name}.lingering.1" for name in sorted(DIRECTORIES)]
    seen = conveyor.status(apart.metadata, config=config_of(apart))[0]
    assert (seen.state, seen.warnings) == ("in-qa", ())


def test_who_follows_the_old_link_arrives(apart: Workspace) -> None:
    """A client that has cached the link in spool arrives at the data in the QA area, after the way home too."""
    convey("deliver", apart, cache_lifetime=0)
    cached = apart.spool / os.readlink(apart.spool / "products")
    assert convey("retrieve", apart).state == "in-spool"
    assert (cached / "weblog.tgz").read_bytes() == (apart.spool / PAGE).read_bytes()
    seen = conveyor.status(apart.metadata, config=config_of(apart))[0]
    assert (seen.state, seen.warnings) == ("in-spool", ())
    for _ in range(2):  # it may go out and home again at once
        assert convey("deliver", apart).state == "in-qa"
        assert (apart.qa / PAGE).is_file()
        assert not (apart.qa / "products").is_symlink()
        assert convey("retrieve", apart).state == "in-spool"
        assert (cached / "weblog.tgz").read_bytes() == (apart.spool / PAGE).read_bytes()


@pytest.mark.parametrize("way", ["tidy", "tidy all", "retrieve"])
def test_what_no_cache_leads_to_any_more_goes(apart: Workspace, way: str) -> None:
    """Once the time is over, the next command or 'conveyor tidy' removes all of it, the QA folder too."""
    before = inventory(apart.spool)
    convey("deliver", apart)
    convey("retrieve", apart)
    assert not any(outcome.changed for outcome in tidy([apart.metadata], config=config_of(apart)))
    later = config_of(apart, cache_lifetime=0, spool_root=str(apart.spool.parent))
    if way == "retrieve":
        assert conveyor.retrieve(apart.metadata, config=later).changed
    else:
        (outcome,) = tidy([apart.metadata] if way == "tidy" else [], config=later)
        assert (outcome.error, outcome.changed, outcome.state) == (None, True, "in-spool")
    assert not apart.qa.exists()
    assert not list(tidy([], config=later))
    after = inventory(apart.spool)
    assert {path: after[path].content for path in before if b".conveyor" not in path} == {
        path: item.content for path, item in before.items() if b".conveyor" not in path
    }


def test_an_overview_tells_what_is_due_and_how_large_it_is(apart: Workspace) -> None:
    """What may go by now is counted, and is no trouble; a request that was copied has its size, at either end."""
    files = [path for name in DIRECTORIES for path in (apart.spool / name).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    soon, later = (config_of(apart, cache_lifetime=time, spool_root=str(apart.spool.parent)) for time in (60, 0))
    for command, state in (("deliver", "in-qa"), ("retrieve", "in-spool")):
        convey(command, apart)
        (found,) = overview(soon).entries
        assert (found.state, found.trouble, found.to_tidy, found.size) == (state, None, 0, size)
        (found,) = overview(later).entries
        assert (found.state, found.trouble) == (state, None)
        assert found.to_tidy == 3 + 3 * (command == "retrieve")
        if command == "deliver":
            assert json.loads((apart.qa / "READY").read_bytes())["bytes"] == size
    lines = list(screen_lines(overview(later), [], Style()))
    assert "  6 sources of copies, kept for readers on other hosts, may go: conveyor tidy" in lines


def test_what_somebody_wrote_to_it_is_kept(apart: Workspace) -> None:
    """A write from another host to what stands aside is not lost: that stays for good, and is named."""
    convey("deliver", apart)
    (apart.spool / ".conveyor" / "working.lingering.1" / "working" / "late").write_text("late")
    (outcome,) = tidy([apart.metadata], config=config_of(apart, cache_lifetime=0))
    assert "working.written.1" in outcome.warnings[0]
    assert (apart.spool / ".conveyor" / "working.written.1" / "working" / "late").read_text() == "late"
    assert aside(apart.spool) == []


@pytest.mark.parametrize(
    ("kind", "options", "seconds"),
    [
        ("ext4", "rw", 0),
        ("lustre", "rw,flock", 0),
        ("nfs4", "rw,vers=4.2", 60),
        ("nfs", "rw,acdirmin=5,acdirmax=10", 10),
        ("nfs4", "rw,noac", 0),
        ("nfs", "rw,lookupcache=none", 0),
        ("fuse.sshfs", "rw", 20),
    ],
)
def test_the_mount_says_how_long_caches_live(kind: str, options: str, seconds: float) -> None:
    """The default is that of the mount's file system, or what its options say."""
    assert cache_lifetime(Mount(Path("/data"), kind, "server:/data", frozenset(options.split(",")))) == seconds
