"""One directory from one end to the other: on the exchange, on two renames, and by a copy, between real file systems."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.engine.endpoints import Endpoint, Endpoints, bridge_text
from conveyor.engine.links import clean_up, put_bridge, put_final_link, remove_peers
from conveyor.engine.move import move
from conveyor.errors import ConflictError, CopyDiffersError, IoFailedError
from conveyor.filesystem import syscalls
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy import remove_tree, transfer
from conveyor.request.places import Places
from support.inventory import Item, inventory
from support.workspace import DIRECTORIES, Workspace, add_awkward_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conveyor.filesystem.treecopy.copy_options import PathAt

WAYS = ("exchange", "renames", "copy", "copy without exchange")


def refuse(*_: object) -> None:
    """The exchange on Lustre."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How the directories are carried: the copy goes between the disk and a tmpfs."""
    return str(request.param)


@pytest.fixture
def endpoints(request: pytest.FixtureRequest, workspace: Workspace, way: str) -> Iterator[Endpoints]:
    """Both ends of a request, open, with their bridges' way prepared, as the step before a conveyance leaves them."""
    qa_root = request.getfixturevalue("memory_folder") if way.startswith("copy") else workspace.root
    (qa_root / "qa2" / workspace.request).mkdir(parents=True)
    places = Places(
        workspace.request, workspace.spool, qa_root / "qa2", workspace.root / "weblog-cache", relative_links=False
    )
    exchange = syscalls.exchange if way in ("exchange", "copy") else refuse
    with Endpoints(FileSystem(exchange, pause=lambda _: None), places) as opened:
        opened.open_qa()
        for end in (opened.spool, opened.qa):
            end.make_meta()
        yield opened


def contents(folder: Path, name: str) -> dict[bytes, Item]:
    """A directory's inventory; blocks are the file system's own business."""
    return {path: replace(item, blocks=0) for path, item in inventory(folder, inside=name).items()}


def remains(endpoints: Endpoints) -> list[str]:
    names = [name for end in (endpoints.spool, endpoints.qa) for name in end.fs.listdir(end.meta)]
    return [name for name in names if not name.endswith(".manifest")]


def seal(endpoints: Endpoints, end: Endpoint) -> None:
    for name in DIRECTORIES:
        put_final_link(endpoints, end, name)
    for one in (endpoints.spool, endpoints.qa):
        for name in DIRECTORIES:
            clean_up(one, name)
    remove_peers(endpoints, DIRECTORIES)


def test_directories_go_out_and_home_as_they_were(workspace: Workspace, endpoints: Endpoints, way: str) -> None:
    """Awkward trees go out and come home twice, every byte, mode, time and link as before, a bridge in their place."""
    add_awkward_files(workspace)
    if os.geteuid() != 0:  # what its owner may not read, only root copies
        (workspace.spool / "rawdata" / "none").chmod(0o400)
    before = {name: contents(workspace.spool, name) for name in DIRECTORIES}
    for _ in range(2):
        for name in DIRECTORIES:
            assert move(endpoints, name, endpoints.spool) == way.split(maxsplit=1)[0]
            assert os.readlink(endpoints.spool.path / name) == bridge_text(name)
            assert contents(endpoints.qa.path, name) == before[name]
            assert os.listdir(endpoints.spool.path / name) == os.listdir(endpoints.qa.path / name)
        seal(endpoints, endpoints.spool)
        assert remains(endpoints) == []
        for name in DIRECTORIES:
            assert move(endpoints, name, endpoints.qa) == way.split(maxsplit=1)[0]
            assert os.readlink(endpoints.qa.path / name) == bridge_text(name)
            assert contents(endpoints.spool.path, name) == before[name]
        assert all(
            os.listdir(endpoints.qa.path / name) == os.listdir(endpoints.spool.path / name) for name in DIRECTORIES
        )
        assert [name for name in remains(endpoints) if not name.endswith((".link", ".peer"))] == []


@pytest.mark.parametrize("way", ["copy", "copy without exchange"], indirect=True)
def test_a_copy_that_fails_leaves_the_source_where_it_is(
    workspace: Workspace, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the copy cannot be verified, nothing is swapped: the source stays, and the bridge leads to it."""
    before = contents(workspace.spool, "rawdata")

    def failing(*_: object, **__: object) -> None:
        raise CopyDiffersError("it differs")

    monkeypatch.setattr(transfer, "transfer", failing)
    with pytest.raises(CopyDiffersError):
        move(endpoints, "rawdata", endpoints.spool)
    assert contents(workspace.spool, "rawdata") == before
    assert (endpoints.qa.path / "rawdata" / "folder" / "file.txt").is_file()


@pytest.mark.parametrize("way", ["copy", "copy without exchange"], indirect=True)
def test_a_copy_is_durable_before_the_source_goes(
    workspace: Workspace, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy's file system is flushed, and then the folders that got its name, before the source is removed."""
    flushed: list[str] = []
    real, real_sync = os.fsync, syscalls.sync_file_system

    def fsync(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    def sync(descriptor: int) -> None:
        flushed.append(f"all of {os.readlink(f'/proc/self/fd/{descriptor}')}")
        real_sync(descriptor)

    at_removal: list[list[str]] = []

    real_remove = remove_tree.remove_what_can_be_removed

    def remove(tree: PathAt, *how: Any) -> remove_tree.Remains:
        at_removal.append(list(flushed))
        return real_remove(tree, *how)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(syscalls, "sync_file_system", sync)
    monkeypatch.setattr(remove_tree, "remove_what_can_be_removed", remove)
    move(endpoints, "rawdata", endpoints.spool)
    own, here = endpoints.qa.path / ".conveyor", endpoints.qa.path
    assert len(at_removal) == 1
    wanted = [f"all of {own}", str(own), str(here), str(workspace.spool), str(own)]
    moments = iter(at_removal[0])
    assert all(any(moment == one for moment in moments) for one in wanted), "flushed in another order"


@pytest.mark.parametrize("way", ["renames"], indirect=True)
def test_a_rename_that_fails_puts_the_bridge_back(
    workspace: Workspace, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first of the two renames is refused, the directory is at home and the bridge leads to it."""
    before = contents(workspace.spool, "rawdata")

    def busy(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(os, "rename", busy)
    with pytest.raises(OSError, match="rename") as caught:
        move(endpoints, "rawdata", endpoints.spool)
    assert caught.value.errno == errno.EBUSY
    assert contents(workspace.spool, "rawdata") == before
    assert os.readlink(endpoints.qa.path / "rawdata") == bridge_text("rawdata")


PUTS: list[Callable[[Endpoints], object]] = [
    lambda endpoints: put_bridge(endpoints, endpoints.spool, "rawdata"),
    lambda endpoints: put_final_link(endpoints, endpoints.spool, "rawdata"),
]


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize("put", PUTS, ids=["bridge", "final link"])
def test_a_link_never_takes_the_place_of_a_directory(
    workspace: Workspace, endpoints: Endpoints, put: Callable[[Endpoints], object]
) -> None:
    """Where a directory came back in the meantime, no link is put over it."""
    before = inventory(workspace.spool)
    with pytest.raises(IoFailedError, match="is no link any more"):
        put(endpoints)
    assert inventory(workspace.spool) == before


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize("put", PUTS, ids=["bridge", "final link"])
def test_a_link_never_takes_the_place_of_somebody_elses(
    workspace: Workspace, endpoints: Endpoints, put: Callable[[Endpoints], object]
) -> None:
    """Where the directory was taken away for a link that is not Conveyor's, that link stays."""
    (workspace.spool / "rawdata").rename(workspace.root / "aside")
    (workspace.spool / "rawdata").symlink_to(workspace.root / "aside")
    before = inventory(workspace.spool)
    with pytest.raises(ConflictError, match="rawdata became something else"):
        put(endpoints)
    assert inventory(workspace.spool) == before


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_putting_the_same_link_again_changes_nothing(workspace: Workspace, endpoints: Endpoints) -> None:
    """A link that stands already is told as such and is not made anew."""
    move(endpoints, "rawdata", endpoints.spool)
    assert put_final_link(endpoints, endpoints.spool, "rawdata")
    before = inventory(workspace.root)
    assert not put_final_link(endpoints, endpoints.spool, "rawdata")
    assert inventory(workspace.root) == before
