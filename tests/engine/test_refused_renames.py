"""Renames that a file system refuses within one directory tree: project IDs that differ, lower layers of an overlay."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.engine.endpoints import Endpoints, bridge_text
from conveyor.engine.links import put_bridge, put_final_link, remove_bridge
from conveyor.engine.move import move
from conveyor.errors import ConflictError, UnmovableError
from conveyor.filesystem.error_context import CrossDeviceError
from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import Places
from support.inventory import inventory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd
    from support.workspace import Workspace


class Sealed(FileSystem):
    """A file system on which nothing of some names is renamed or exchanged between directories."""

    def __init__(self, *names: str) -> None:
        super().__init__(pause=lambda _: None)
        self.names = set(names)
        self.projects = 0

    def _check(self, *names: str) -> None:
        if self.names.intersection(names):
            raise CrossDeviceError(errno.EXDEV, os.strerror(errno.EXDEV))

    def rename(self, source: DirFd, name: str, target: DirFd, new_name: str) -> None:
        self._check(name)
        super().rename(source, name, target, new_name)

    def exchange(self, one: DirFd, name: str, other: DirFd, other_name: str) -> None:
        self._check(name, other_name)
        super().exchange(one, name, other, other_name)

    def can_rename(self, source: DirFd, name: str, target: DirFd, probe: str) -> bool:
        return name not in self.names and super().can_rename(source, name, target, probe)

    def take_project(self, directory: DirFd, name: str, like: DirFd) -> None:
        self.projects += 1


@pytest.fixture
def endpoints(workspace: Workspace) -> Iterator[Endpoints]:
    """Both ends of a request, open."""
    workspace.qa.mkdir(parents=True)
    places = Places(
        workspace.request, workspace.spool, workspace.qa.parent, workspace.root / "weblog-cache", relative_links=False
    )
    with Endpoints(Sealed(), places) as opened:
        opened.open_qa()
        for end in (opened.spool, opened.qa):
            end.make_meta()
        yield opened


def _seal(endpoints: Endpoints, *names: str) -> Sealed:
    assert isinstance(endpoints.fs, Sealed)
    endpoints.fs.names = set(names)
    return endpoints.fs


def test_a_bridge_that_cannot_be_renamed_is_removed_in_its_place(endpoints: Endpoints, workspace: Workspace) -> None:
    """A bridge that came by an exchange keeps the other end's project ID, so that no rename takes it anywhere."""
    put_bridge(endpoints, endpoints.qa, "working")
    _seal(endpoints, "working")
    remove_bridge(endpoints, endpoints.qa, "working")
    assert not (workspace.qa / "working").is_symlink()
    assert os.listdir(workspace.qa / ".conveyor") == ["working.peer"]


def test_somebodys_link_that_cannot_be_renamed_is_left(endpoints: Endpoints, workspace: Workspace) -> None:
    """What stands in the place of the bridge and is not Conveyor's stays there."""
    (workspace.qa / "working").symlink_to("/elsewhere")
    _seal(endpoints, "working")
    with pytest.raises(ConflictError):
        remove_bridge(endpoints, endpoints.qa, "working")
    assert os.readlink(workspace.qa / "working") == "/elsewhere"


@pytest.mark.parametrize("sealed", [("working",), ("working", "working.link")], ids=["exchange", "rename too"])
def test_a_final_link_that_cannot_be_put_in_place_is_made_anew(
    endpoints: Endpoints, workspace: Workspace, sealed: tuple[str, ...]
) -> None:
    """Refused an exchange, and a rename, the final link is made in the place of the bridge."""
    (workspace.spool / "working").rename(workspace.qa / "working")
    put_bridge(endpoints, endpoints.spool, "working")
    _seal(endpoints, *sealed)
    put_final_link(endpoints, endpoints.spool, "working")
    assert os.readlink(workspace.spool / "working") == str(workspace.qa / "working")
    assert os.listdir(workspace.spool / ".conveyor") == ["working.peer"]


def test_a_source_that_could_not_be_taken_away_is_not_copied(endpoints: Endpoints, workspace: Workspace) -> None:
    """It is found out before a byte is copied; the source is as it was, and its project ID was tried first."""
    before = inventory(workspace.spool, inside="working")
    fs = _seal(endpoints, "working")
    with pytest.raises(UnmovableError, match="not even beside itself"):
        move(endpoints, "working", endpoints.spool)
    assert inventory(workspace.spool, inside="working") == before
    assert os.readlink(workspace.qa / "working") == bridge_text("working")
    assert os.listdir(workspace.qa / ".conveyor") == ["working.peer"]
    assert fs.projects == 1


def test_whether_a_directory_can_be_renamed_is_found_out_without_renaming_it(
    workspace: Workspace, memory_folder: Path
) -> None:
    """The answer is that of a rename; the directory stays, and nothing is left of the probe."""
    fs, before = FileSystem(), inventory(workspace.spool, inside="working")
    with fs.open_root(workspace.spool) as spool, fs.open_root(memory_folder) as elsewhere:
        assert fs.can_rename(spool, "working", spool, "working.probe")
        assert not fs.can_rename(spool, "working", elsewhere, "working.probe")
        with pytest.raises(FileNotFoundError):
            fs.can_rename(spool, "missing", spool, "missing.probe")
    assert inventory(workspace.spool, inside="working") == before
    assert not (workspace.spool / "working.probe").exists()
    assert list(memory_folder.iterdir()) == []


def test_a_rename_that_should_have_been_refused_is_undone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that renames onto a directory that is not empty gets the directory back to its place."""
    fs, real = FileSystem(), os.rename

    def careless(name: str, new_name: str, **options: Any) -> None:
        if new_name.endswith(".probe"):
            os.rmdir(f"{new_name}/full", dir_fd=options["dst_dir_fd"])
        real(name, new_name, **options)

    monkeypatch.setattr(os, "rename", careless)
    with fs.open_root(workspace.spool) as spool:
        assert fs.can_rename(spool, "working", spool, "working.probe")
    assert (workspace.spool / "working" / "folder" / "file.txt").is_file()
    assert not (workspace.spool / "working.probe").exists()
