"""File systems whose renames do not do what POSIX says, or not what an exchange does: a directory is moved, or stays."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.endpoints import Endpoints, bridge_text
from conveyor.engine.move import move
from conveyor.errors import UnmovableError
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.posix import FileSystem, Kind
from conveyor.request.places import Places
from support.inventory import inventory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.posix import DirFd, Entry
    from support.workspace import Workspace


@contextmanager
def opened(fs: FileSystem, workspace: Workspace) -> Iterator[Endpoints]:
    """Both ends of a request on some file system, ready for a move."""
    workspace.qa.mkdir(parents=True, exist_ok=True)
    cache = workspace.root / "weblog-cache"
    places = Places(workspace.request, workspace.spool, workspace.qa.parent, cache, relative_links=False)
    with Endpoints(fs, places) as endpoints:
        endpoints.open_qa()
        for end in (endpoints.spool, endpoints.qa):
            end.make_meta()
        yield endpoints


class ExchangeCrosses(FileSystem):
    """A link may not come in, a directory may go out: ext4 with a project ID at one end, an encrypted directory, btrfs."""

    def exchange(self, one: DirFd, name: str, other: DirFd, other_name: str) -> None:
        if self.lstat(one, name) and self.lstat(other, other_name):
            raise CrossDeviceError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().exchange(one, name, other, other_name)


class LinksCrossToo(ExchangeCrosses):
    """The request's directory got its project ID later than its ``.conveyor``: no link may be renamed out of that either."""

    def rename(self, source: DirFd, name: str, target: DirFd, new_name: str) -> None:
        if name.endswith(".link"):
            raise CrossDeviceError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename(source, name, target, new_name)


class LeavesAPartBehind(FileSystem):
    """As mergerfs, where a directory has files on two of its branches: a rename answers 0, and moves those of one."""

    def exchange(self, one: DirFd, name: str, other: DirFd, other_name: str) -> None:
        raise ExchangeRefusedError(errno.EINVAL, os.strerror(errno.EINVAL))

    def rename(self, source: DirFd, name: str, target: DirFd, new_name: str) -> None:
        if name == new_name == "working" and self.lstat(target, name) is None:
            os.mkdir(target.path / name)
            os.rename(source.path / name / "cont.dat", target.path / name / "cont.dat")
        elif name == new_name == "working":  # it comes back, and the parts are one again
            os.rename(source.path / name / "cont.dat", target.path / name / "cont.dat")
            os.rmdir(source.path / name)
        else:
            super().rename(source, name, target, new_name)


class Renumbers(FileSystem):
    """As mergerfs with use_ino: the inode number of a directory is a hash of its path."""

    refuses = False

    def exchange(self, one: DirFd, name: str, other: DirFd, other_name: str) -> None:
        if self.refuses:
            raise ExchangeRefusedError(errno.EINVAL, os.strerror(errno.EINVAL))
        super().exchange(one, name, other, other_name)

    def lstat(self, directory: DirFd, name: str) -> Entry | None:
        entry = super().lstat(directory, name)
        if entry is None or entry.kind is not Kind.DIRECTORY:
            return entry
        return replace(entry, inode=hash(directory.path / name))


@pytest.mark.parametrize("kind", [ExchangeCrosses, LinksCrossToo])
def test_what_may_be_renamed_is_not_copied(workspace: Workspace, kind: type[FileSystem]) -> None:
    """Where only links are refused, two renames do, out and home, and nothing is read."""
    (workspace.spool / "working" / "cont.dat").write_text("Field: J1331+3030")
    before = inventory(workspace.spool, inside="working")
    inode = (workspace.spool / "working").stat().st_ino
    with opened(kind(pause=lambda _: None), workspace) as endpoints:
        assert move(endpoints, "working", endpoints.spool) == "renames"
        assert (workspace.qa / "working").stat().st_ino == inode
        assert (workspace.spool / "working" / "cont.dat").exists()
        assert move(endpoints, "working", endpoints.qa) == "renames"
    assert (workspace.spool / "working").stat().st_ino == inode
    assert inventory(workspace.spool, inside="working") == before


def test_a_rename_that_leaves_a_part_behind_is_undone(workspace: Workspace) -> None:
    """The directory is whole in its place again, with all of its files, and the message says what the file system did."""
    (workspace.spool / "working" / "cont.dat").write_text("Field: J1331+3030")
    with opened(LeavesAPartBehind(pause=lambda _: None), workspace) as endpoints:
        with pytest.raises(UnmovableError, match="renamed a part"):
            move(endpoints, "working", endpoints.spool)
        assert os.readlink(workspace.qa / "working") == bridge_text("working")
    assert {"cont.dat", "folder"} <= set(os.listdir(workspace.spool / "working"))


@pytest.mark.parametrize("refuses", [True, False], ids=["renames", "exchange"])
def test_a_directory_that_gets_another_number_is_put_back(workspace: Workspace, refuses: bool) -> None:
    """It is not called somebody else's: the message names what the file system does with inode numbers."""
    fs = Renumbers(pause=lambda _: None)
    fs.refuses = refuses
    before = inventory(workspace.spool, inside="working")
    with opened(fs, workspace) as endpoints, pytest.raises(UnmovableError, match="another inode number"):
        move(endpoints, "working", endpoints.spool)
    assert inventory(workspace.spool, inside="working") == before
