"""One directory from one end to the other: on the exchange, on two renames, and by a copy, between real file systems."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.engine.carry import carry
from conveyor.engine.ends import End, Ends, bridge_text
from conveyor.engine.links import put_bridge, put_plain_link, tidy
from conveyor.errors import ConflictError, CopyDiffersError, IoFailedError
from conveyor.filesystem import syscalls
from conveyor.filesystem.copying import removing, transfer
from conveyor.filesystem.posix import PosixFileSystem
from conveyor.request.places import Places
from support.inventory import Item, inventory
from support.workspace import DIRECTORIES, Workspace, add_awkward_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conveyor.filesystem.copying.values import Named

WAYS = ("exchange", "renames", "copy", "copy without exchange")


def refuse(*_: object) -> None:
    """The exchange on Lustre."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How the directories are carried: the copy goes between the disk and a tmpfs."""
    return str(request.param)


@pytest.fixture
def ends(request: pytest.FixtureRequest, workspace: Workspace, way: str) -> Iterator[Ends]:
    """Both ends of a request, open, with their bridges' way prepared, as the step before a conveyance leaves them."""
    qa_root = request.getfixturevalue("memory_folder") if way.startswith("copy") else workspace.root
    (qa_root / "qa2" / workspace.request).mkdir(parents=True)
    places = Places(
        workspace.request, workspace.spool, qa_root / "qa2", workspace.root / "weblog-cache", relative_links=False
    )
    exchange = syscalls.exchange if way in ("exchange", "copy") else refuse
    with Ends(PosixFileSystem(exchange, pause=lambda _: None), places) as opened:
        opened.open_qa()
        for end in (opened.spool, opened.qa):
            end.make_inner()
            end.fs.make_link(end.own, "peer", opened.peer_text(end))
        yield opened


def contents(folder: Path, name: str) -> dict[bytes, Item]:
    """A directory's inventory; blocks are the file system's own business."""
    return {path: replace(item, blocks=0) for path, item in inventory(folder, inside=name).items()}


def remains(ends: Ends) -> list[str]:
    names = [name for end in (ends.spool, ends.qa) for name in end.fs.names(end.own)]
    return [name for name in names if name != "peer" and not name.endswith(".manifest")]


def seal(ends: Ends, end: End) -> None:
    for name in DIRECTORIES:
        put_plain_link(ends, end, name)
    for one in (ends.spool, ends.qa):
        for name in DIRECTORIES:
            tidy(one, name)


def test_directories_go_out_and_home_as_they_were(workspace: Workspace, ends: Ends, way: str) -> None:
    """Awkward trees go out and come home twice, every byte, mode, time and link as before, a bridge in their place."""
    add_awkward_files(workspace)
    if os.geteuid() != 0:  # what its owner may not read, only root copies
        (workspace.spool / "rawdata" / "none").chmod(0o400)
    before = {name: contents(workspace.spool, name) for name in DIRECTORIES}
    for _ in range(2):
        for name in DIRECTORIES:
            assert carry(ends, name, ends.spool) == way.split(maxsplit=1)[0]
            assert os.readlink(ends.spool.path / name) == bridge_text(name)
            assert contents(ends.qa.path, name) == before[name]
            assert os.listdir(ends.spool.path / name) == os.listdir(ends.qa.path / name)
        seal(ends, ends.spool)
        assert remains(ends) == []
        for name in DIRECTORIES:
            assert carry(ends, name, ends.qa) == way.split(maxsplit=1)[0]
            assert os.readlink(ends.qa.path / name) == bridge_text(name)
            assert contents(ends.spool.path, name) == before[name]
        assert all(os.listdir(ends.qa.path / name) == os.listdir(ends.spool.path / name) for name in DIRECTORIES)
        assert [name for name in remains(ends) if not name.endswith(".link")] == []


@pytest.mark.parametrize("way", ["copy", "copy without exchange"], indirect=True)
def test_a_copy_that_fails_leaves_the_source_where_it_is(
    workspace: Workspace, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the copy cannot be verified, nothing is swapped: the source stays, and the bridge leads to it."""
    before = contents(workspace.spool, "rawdata")

    def failing(*_: object, **__: object) -> None:
        raise CopyDiffersError("it differs")

    monkeypatch.setattr(transfer, "transfer", failing)
    with pytest.raises(CopyDiffersError):
        carry(ends, "rawdata", ends.spool)
    assert contents(workspace.spool, "rawdata") == before
    assert (ends.qa.path / "rawdata" / "folder" / "file.txt").is_file()


@pytest.mark.parametrize("way", ["copy", "copy without exchange"], indirect=True)
def test_a_copy_is_durable_before_the_source_goes(
    workspace: Workspace, ends: Ends, monkeypatch: pytest.MonkeyPatch
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

    real_remove = removing.remove

    def remove(tree: Named, *how: Any) -> None:
        at_removal.append(list(flushed))
        real_remove(tree, *how)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(syscalls, "sync_file_system", sync)
    monkeypatch.setattr(removing, "remove", remove)
    carry(ends, "rawdata", ends.spool)
    own, here = ends.qa.path / ".conveyor", ends.qa.path
    assert len(at_removal) == 1
    wanted = [f"all of {own}", str(own), str(here), str(workspace.spool), str(own)]
    moments = iter(at_removal[0])
    assert all(any(moment == one for moment in moments) for one in wanted), "flushed in another order"


@pytest.mark.parametrize("way", ["renames"], indirect=True)
def test_a_rename_that_fails_puts_the_bridge_back(
    workspace: Workspace, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first of the two renames is refused, the directory is at home and the bridge leads to it."""
    before = contents(workspace.spool, "rawdata")

    def busy(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(os, "rename", busy)
    with pytest.raises(OSError, match="rename") as caught:
        carry(ends, "rawdata", ends.spool)
    assert caught.value.errno == errno.EBUSY
    assert contents(workspace.spool, "rawdata") == before
    assert os.readlink(ends.qa.path / "rawdata") == bridge_text("rawdata")


PUTS: list[Callable[[Ends], object]] = [
    lambda ends: put_bridge(ends, ends.spool, "rawdata"),
    lambda ends: put_plain_link(ends, ends.spool, "rawdata"),
]


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize("put", PUTS, ids=["bridge", "plain link"])
def test_a_link_never_takes_the_place_of_a_directory(
    workspace: Workspace, ends: Ends, put: Callable[[Ends], object]
) -> None:
    """Where a directory came back in the meantime, no link is put over it."""
    before = inventory(workspace.spool)
    with pytest.raises(IoFailedError, match="is no link any more"):
        put(ends)
    assert inventory(workspace.spool) == before


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
@pytest.mark.parametrize("put", PUTS, ids=["bridge", "plain link"])
def test_a_link_never_takes_the_place_of_somebody_elses(
    workspace: Workspace, ends: Ends, put: Callable[[Ends], object]
) -> None:
    """Where the directory was taken away for a link that is not Conveyor's, that link stays."""
    (workspace.spool / "rawdata").rename(workspace.root / "aside")
    (workspace.spool / "rawdata").symlink_to(workspace.root / "aside")
    before = inventory(workspace.spool)
    with pytest.raises(ConflictError, match="rawdata became something else"):
        put(ends)
    assert inventory(workspace.spool) == before


@pytest.mark.parametrize("way", ["exchange"], indirect=True)
def test_putting_the_same_link_again_changes_nothing(workspace: Workspace, ends: Ends) -> None:
    """A link that stands already is told as such and is not made anew."""
    carry(ends, "rawdata", ends.spool)
    assert put_plain_link(ends, ends.spool, "rawdata")
    before = inventory(workspace.root)
    assert not put_plain_link(ends, ends.spool, "rawdata")
    assert inventory(workspace.root) == before
