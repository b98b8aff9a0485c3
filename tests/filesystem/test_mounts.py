"""What is mounted, read from tables as the kernel and people write them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from conveyor.errors import ServerGoneError
from conveyor.filesystem import mounts as mounts_module
from conveyor.filesystem.mounts import (
    Mount,
    cache_lifetime,
    lists_links,
    mount_of,
    mounts,
    not_mounted,
    on_or_below,
    refuses_this_host,
    renames_only_what_is_closed,
)
from conveyor.request.metadata import read_metadata

TABLE = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
40 27 0:40 / /lustre/a\040b ro,relatime - lustre 10.0.0.1@o2ib:/aoc rw,localflock,lazystatfs
41 40 0:41 / /lustre/a\040b/c\134d\011e rw - nfs4 server:/x rw,soft
42 27 0:42 / /over rw - tmpfs first rw
43 27 0:43 / /over rw - tmpfs second rw
not a line of the table
"""


@pytest.fixture
def mounted(tmp_path: Path) -> list[Mount]:
    """The table above, read."""
    (tmp_path / "mountinfo").write_text(TABLE)
    return mounts(tmp_path / "mountinfo")


def test_every_mount_has_its_point_type_source_and_options(mounted: list[Mount]) -> None:
    """Both kinds of options count, optional fields are passed over, escapes are undone, and other lines are left out."""
    assert [str(mount.point) for mount in mounted] == [
        "/proc",
        "/",
        "/lustre/a b",
        "/lustre/a b/c\\d\te",
        "/over",
        "/over",
    ]
    assert mounted[2].type == "lustre"
    assert mounted[2].source == "10.0.0.1@o2ib:/aoc"
    assert {"ro", "localflock", "lazystatfs"} <= mounted[2].options


def test_bytes_that_are_no_utf_8_come_through(tmp_path: Path) -> None:
    """A mount point may have any name."""
    (tmp_path / "mountinfo").write_bytes(b"1 1 0:1 / /a\xff\\040\xc3\xa4 rw - ext4 x rw\n")
    assert mounts(tmp_path / "mountinfo")[0].point == Path("/a\udcff ä")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/lustre/a b/spool", "10.0.0.1@o2ib:/aoc"),
        ("/lustre/a bc", "/dev/vda"),
        ("/over/x", "second"),
        ("/", "/dev/vda"),
    ],
)
def test_a_path_is_on_the_deepest_and_latest_mount_above_it(mounted: list[Mount], path: str, source: str) -> None:
    """The deepest mount point wins, by whole names; of two at one point the one that was mounted over the other."""
    mount = mount_of(Path(path), mounted)
    assert mount is not None
    assert mount.source == source


def test_links_are_followed_to_the_mount(tmp_path: Path, mounted: list[Mount]) -> None:
    """A link in the path leads to where the data is."""
    (tmp_path / "link").symlink_to("/over/x")
    mount = mount_of(tmp_path / "link", mounted)
    assert mount is not None
    assert mount.source == "second"


def test_this_hosts_own_table_can_be_read() -> None:
    """Every process has a mount that the root is on; a table that is not there has none."""
    assert mount_of(Path("/")) is not None
    assert mounts(Path("/nowhere/mountinfo")) == []


def test_what_fstab_names_and_nothing_is_mounted_at_is_found(tmp_path: Path, mounted: list[Mount]) -> None:
    """The deepest missing mount point above a path; one that is mounted, one beside the path, swap and comments are not."""
    fstab = tmp_path / "fstab"
    fstab.write_text(
        "# /lustre/x is a comment\n\nserver:/x /data nfs defaults 0 0\nserver:/y /data/q\\040a nfs defaults 0 0\n"
        "/dev/vda / ext4 defaults 0 1\nswap none swap sw 0 0\nbroken\n"
    )
    assert not_mounted(Path("/data/q a/qa2"), mounted, fstab) == Path("/data/q a")
    assert not_mounted(Path("/data/spool"), mounted, fstab) == Path("/data")
    assert not_mounted(Path("/database"), mounted, fstab) is None
    assert not_mounted(Path("/data"), mounted, tmp_path / "no fstab") is None


@pytest.mark.parametrize(
    ("directory", "points"),
    [
        ("/lustre/a b", ["/lustre/a b", "/lustre/a b/c\\d\te"]),
        ("/lustre/a b/c\\d", []),
        ("/lustre/a", []),
        ("/over", ["/over"]),
        ("/ove", []),
        ("/qa2", []),
    ],
)
def test_mount_points_are_found_by_whole_names(mounted: list[Mount], directory: str, points: list[str]) -> None:
    """A mount on the directory or below it is found, once; one beside it with a longer name is not."""
    assert on_or_below(Path(directory), mounted) == [Path(point) for point in points]


def test_a_server_that_gives_nothing_is_no_lack_of_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that was taken away answers as if a permission was missing; what is mounted there tells nothing at all."""
    (tmp_path / "file").touch()
    there = Mount(tmp_path, "nfs4", "server:/x", frozenset())
    assert not refuses_this_host(tmp_path / "file", [there])
    monkeypatch.setattr(os, "statvfs", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    assert refuses_this_host(tmp_path / "file", [there])
    assert not refuses_this_host(tmp_path / "file", [replace(there, type="ext4")])
    monkeypatch.setattr(mounts_module, "mounts", lambda: [there])
    monkeypatch.setattr(os, "open", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(ServerGoneError, match="gives nothing to this host"):
        read_metadata(tmp_path / "file")


@pytest.mark.parametrize(
    ("type_", "options", "seconds", "lists"),
    [
        ("ext4", "rw", 0, True),
        ("nfs4", "rw,acregmax=3,acdirmax=30", 30, True),
        ("nfs", "rw,lookupcache=none", 0, True),
        ("cifs", "rw,actimeo=5", 5, False),
        ("smb3", "rw", 1, False),
    ],
)
def test_a_mount_tells_what_clients_cache_and_list(type_: str, options: str, seconds: float, lists: bool) -> None:
    """By its type and options: nfs(5), mount.cifs(8)."""
    mount = Mount(Path("/data"), type_, "server:/data", frozenset(options.split(",")))
    assert (cache_lifetime(mount), lists_links(mount), renames_only_what_is_closed(mount)) == (
        seconds,
        lists,
        not lists,
    )
