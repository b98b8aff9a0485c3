"""Clones on the file systems that have them: between subvolumes and mounts, of what cannot be cloned too."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.treecopy.check_manifest import verify
from conveyor.filesystem.treecopy.copy_options import Side, Totals
from support.inventory import inventory
from support.trees import MOMENT, Pair, make_tree
from support.volumes import volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")

LONG = 300_000  # bytes


@pytest.fixture(params=["btrfs", "xfs"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A tree on one file system, to be copied to another subvolume, or by another mount."""
    with volumes() as mounted:
        root = tmp_path / "root"
        mounted.image(root, tmp_path / "image", request.param, mib=320)
        pair = Pair(root / "one", root / "other")
        if request.param == "btrfs":
            for place in (pair.one, pair.other):
                subprocess.run(["btrfs", "-q", "subvolume", "create", str(place)], check=True)
        else:
            pair.one.mkdir()
            (root / "real").mkdir()
            mounted.bind(pair.other, root / "real")
        make_tree(pair.source)
        with closing(pair.stack):
            yield pair


def cloned(pair: Pair) -> Totals:
    """The copy is the source, and holes take no more blocks; what of it is cloned."""
    mine, theirs = inventory(pair.copied), inventory(pair.source)
    assert mine == theirs
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)
    found: list[object] = []
    checked = verify(pair.named(pair.copied), pair.named(pair.manifest), found.append)
    assert checked is not None
    assert not found
    return checked.cloned


def test_a_clone_is_all_that_a_copy_is(pair: Pair) -> None:
    """Holes, links, modes, owners, attributes and times are in a clone; its source is untouched."""
    path = pair.source / "long"
    path.write_bytes(os.urandom(LONG))
    os.setxattr(path, "user.note", b"kept")
    with (pair.source / "sparse").open("wb") as file:
        file.seek(10_000_000)
        file.write(os.urandom(5000))
        file.truncate(30_000_001)
    for one, mode in ((path, 0o4750), (pair.source / "sparse", 0o444)):
        os.chown(one, 12, 34)
        one.chmod(mode)
        os.utime(one, ns=(MOMENT, MOMENT + 1))
    os.link(path, pair.source / "folder 1" / "long too")
    before = path.stat()
    pair.copy(read_back="disk")
    assert cloned(pair) == Totals(3, 2 * LONG + 30_000_001)
    assert (path.stat().st_ctime_ns, path.stat().st_blocks) == (before.st_ctime_ns, before.st_blocks)
    assert path.read_bytes() == (pair.copied / "long").read_bytes()


def test_clones_need_no_room(pair: Pair) -> None:
    """What is larger than the room that is left is cloned all the same."""
    room = os.statvfs(pair.one)
    size = room.f_bavail * room.f_frsize * 2 // 3
    with (pair.source / "long").open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    pair.copy()
    assert cloned(pair) == Totals(1, size >> 20 << 20)


def _without_checksums(path: Path) -> None:
    path.touch()
    subprocess.run(["chattr", "+C", str(path)], check=True)
    path.write_bytes(os.urandom(LONG))


def _in_use_for_swapping(path: Path) -> None:
    path.touch()
    subprocess.run(["chattr", "+C", str(path)], check=False, capture_output=True)
    path.write_bytes(bytes(1 << 20))
    path.chmod(0o600)
    subprocess.run(["mkswap", "-q", str(path)], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["swapon", str(path)], check=True)


@pytest.mark.parametrize("make", [_without_checksums, _in_use_for_swapping])
def test_what_cannot_be_cloned_is_copied(pair: Pair, make: Callable[[Path], None]) -> None:
    """A file without checksums on btrfs, and a swap file, are copied, and the others are cloned."""
    odd = pair.source / "odd"
    try:
        make(odd)
    except subprocess.CalledProcessError:
        pytest.skip("this file system has no such files")
    (pair.source / "even").write_bytes(os.urandom(LONG))
    try:
        pair.copy()
        assert cloned(pair) == Totals(1, LONG)
    finally:
        subprocess.run(["swapoff", str(odd)], check=False, capture_output=True)
