"""Whole trees: copies that keep all, comparisons that find every kind of difference, removals that stay inside."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.posix import PosixFileSystem
from conveyor.filesystem.tree import Difference, compare_trees, copy_tree, remove_tree
from support.inventory import Item, inventory
from support.unprivileged import as_nobody
from support.workspace import DIRECTORIES, add_awkward_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conveyor.filesystem.port import Folder
    from support.workspace import Workspace

MOMENT = 1_400_000_000_123_456_789


class Pair:
    """A tree ``one/data`` and the place of its copy ``other/data``, both parents held open."""

    def __init__(self, one: Folder, other: Folder) -> None:
        self.one, self.other = one, other
        self.source, self.copied = one.path / "data", other.path / "data"

    def copy(self) -> None:
        copy_tree(self.one, "data", self.other, "data")

    def compare(self) -> Difference | None:
        return compare_trees(self.one, "data", self.other, "data")

    def remove(self) -> None:
        remove_tree(self.other, "data")


@pytest.fixture(params=["one file system", "to memory", "from memory"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Two folders on one file system or on two; the source has an empty directory ``data``."""
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    places = [tmp_path / "one", tmp_path / "other"]
    if request.param != "one file system":
        places[request.param == "to memory"] = request.getfixturevalue("memory_folder")
    with ExitStack() as stack:
        one, other = (stack.enter_context(PosixFileSystem().open_root(place)) for place in places)
        (one.path / "data").mkdir()
        yield Pair(one, other)


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Pair]:
    """The same on one file system, with a file, a link and a folder in the source."""
    with ExitStack() as stack:
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
        one, other = (stack.enter_context(PosixFileSystem().open_root(tmp_path / name)) for name in ("one", "other"))
        (one.path / "data" / "folder").mkdir(parents=True)
        (one.path / "data" / "file").write_text("content")
        (one.path / "data" / "link").symlink_to("file")
        os.mkfifo(one.path / "data" / "fifo")
        yield Pair(one, other)


def same(tree: Path) -> dict[bytes, Item]:
    """An inventory without the blocks, which the file system decides, and with at least the holes that there were."""
    return {name: replace(item, blocks=0) for name, item in inventory(tree).items()}


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_copy_of_an_awkward_tree_keeps_everything(workspace: Workspace, pair: Pair, name: str) -> None:
    """Holes, hard links, links, modes, nanoseconds, odd names and empty directories are in the copy as in the source."""
    add_awkward_files(workspace)
    if os.geteuid() != 0:  # what its owner may not read, only root copies
        (workspace.spool / "rawdata" / "none").chmod(0o400)
    source = workspace.spool / name
    with PosixFileSystem().open_root(workspace.spool) as spool:
        copy_tree(spool, name, pair.other, "data")
        assert compare_trees(spool, name, pair.other, "data") is None
    assert same(pair.copied) == same(source)


def test_holes_stay_holes(pair: Pair) -> None:
    """A file of a gigabyte with a few bytes in it takes a few blocks in the copy too."""
    with (pair.source / "sparse").open("wb") as file:
        file.seek(500_000_000)
        file.write(b"middle")
        file.truncate(1_000_000_000)
    pair.copy()
    status = (pair.copied / "sparse").stat()
    assert status.st_size == 1_000_000_000
    assert status.st_blocks * 512 < 1_000_000
    with (pair.copied / "sparse").open("rb") as file:
        file.seek(499_999_999)
        assert file.read(8) == b"\0middle\0"


def test_hard_links_stay_hard_links_across_folders(pair: Pair) -> None:
    """Names of one file, wherever they stand in the tree, are names of one file in the copy, links and FIFOs too."""
    (pair.source / "a" / "b").mkdir(parents=True)
    (pair.source / "a" / "b" / "first").write_text("x")
    (pair.source / "link").symlink_to("nothing")
    os.mkfifo(pair.source / "fifo")
    for name in ("first", "link", "fifo"):
        first = pair.source / "a" / "b" / name if name == "first" else pair.source / name
        os.link(first, pair.source / "a" / f"second {name}", follow_symlinks=False)
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert os.lstat(pair.copied / "a" / "second first").st_ino == os.lstat(pair.copied / "a" / "b" / "first").st_ino


def test_modes_and_times_of_every_kind_are_kept(pair: Pair) -> None:
    """Files of mode 0, read-only folders, setuid and sticky bits, and times of links and folders, to the nanosecond."""
    unreadable = (0o000,) if os.geteuid() == 0 else ()  # what its owner may not read, only root copies
    for number, mode in enumerate((*unreadable, 0o444, 0o600, 0o777, 0o4755, 0o2755)):
        path = pair.source / f"file {mode:o}"
        path.write_text("x")
        path.chmod(mode)
        os.utime(path, ns=(MOMENT, MOMENT + number))
    for mode in (0o555, 0o700, 0o2775, 0o1777):
        path = pair.source / f"folder {mode:o}"
        (path / "inside").mkdir(parents=True)
        path.chmod(mode)
        os.utime(path, ns=(MOMENT, MOMENT + mode))
    (pair.source / "link").symlink_to("file 600")
    os.utime(pair.source / "link", ns=(MOMENT, MOMENT), follow_symlinks=False)
    os.utime(pair.source, ns=(MOMENT, 5))
    pair.copy()
    assert pair.compare() is None
    assert same(pair.copied) == same(pair.source)


def test_a_fifo_keeps_its_mode_and_time_whatever_the_umask(near: Pair) -> None:
    """A FIFO is copied as what it is, and not opened."""
    (near.source / "fifo").chmod(0o666)
    os.utime(near.source / "fifo", ns=(MOMENT, MOMENT))
    near.copy()
    status = os.lstat(near.copied / "fifo")
    assert (stat.S_ISFIFO(status.st_mode), stat.S_IMODE(status.st_mode)) == (True, 0o666)
    assert status.st_mtime_ns == MOMENT


def test_extended_attributes_are_kept(near: Pair) -> None:
    """User attributes of files and folders are in the copy; a difference in them is found."""
    try:
        os.setxattr(near.source / "file", "user.note", b"\0binary\xff")
    except OSError as error:
        pytest.skip(f"the test's file system has no user attributes: {error.strerror}")
    os.setxattr(near.source / "folder", "user.empty", b"")
    (near.source / "file").chmod(0o444)
    near.copy()
    assert os.getxattr(near.copied / "file", "user.note") == b"\0binary\xff"
    assert os.getxattr(near.copied / "folder", "user.empty") == b""
    os.setxattr(near.copied / "folder", "user.empty", b"changed")
    difference = near.compare()
    assert difference is not None
    assert (difference.path, difference.what) == (near.source / "folder", "extended attributes")


def test_a_link_is_copied_and_never_followed(near: Pair) -> None:
    """A link out of the tree comes across as the same text; what it points at is not read."""
    (near.source / "out").symlink_to("/etc")
    near.copy()
    assert os.readlink(near.copied / "out") == "/etc"
    assert (near.copied / "out").is_symlink()


def test_a_link_in_the_place_of_the_tree_is_refused(near: Pair) -> None:
    """None of the three follows a link that stands where the directory should be."""
    os.rename(near.source, near.one.path / "elsewhere")
    near.source.symlink_to("elsewhere")
    before = inventory(near.one.path)
    for act in (near.copy, near.compare, lambda: remove_tree(near.one, "data")):
        with pytest.raises(OSError, match=r"copy|compare|remove") as caught:
            act()
        assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
        assert caught.value.filename == str(near.source)
    assert inventory(near.one.path) == before


def test_a_copy_over_something_is_refused(near: Pair) -> None:
    """A copy never mixes with what stands there already."""
    near.copied.mkdir()
    (near.copied / "file").write_text("theirs")
    with pytest.raises(FileExistsError):
        near.copy()
    assert sorted(os.listdir(near.copied)) == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a device")
def test_a_device_in_the_tree_is_refused_by_its_path(near: Pair) -> None:
    """What is neither file, directory, link nor FIFO cannot be copied, and is named."""
    try:
        os.mknod(near.source / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this container may not make devices")
    with pytest.raises(OSError, match="cannot be copied") as caught:
        near.copy()
    assert caught.value.filename == str(near.source / "device")


def _set_time(path: Path) -> None:
    os.utime(path, ns=(MOMENT, MOMENT), follow_symlinks=False)


def _replace_link(path: Path, text: str) -> None:
    """Another text, and the time of before: only the text differs."""
    status = path.lstat()
    path.unlink()
    path.symlink_to(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _quietly(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """A change of a file that leaves its time as it was, so that only a thorough look finds it."""

    def act(copied: Path) -> None:
        path = copied / "file"
        status = path.stat()
        change(path)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return act


def _kind(copied: Path) -> None:
    (copied / "folder").rmdir()
    (copied / "folder").write_text("x")


def _link_broken(copied: Path) -> None:
    """The second name becomes a file of its own with the same content."""
    status = (copied / "file").stat()
    (copied / "second").unlink()
    (copied / "second").write_text("content")
    os.utime(copied / "second", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(copied, ns=(0, MOMENT))


CHANGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a name more": (lambda copied: (copied / "more").touch(), ".", "names"),
    "a name less": (lambda copied: (copied / "link").unlink(), ".", "names"),
    "another kind": (_kind, "folder", "kind"),
    "another content": (_quietly(lambda path: path.write_text("CONTENT")), "file", "content"),
    "another size": (_quietly(lambda path: path.write_text("content and more")), "file", "size"),
    "another mode": (lambda copied: (copied / "file").chmod(0o640), "file", "mode"),
    "another folder mode": (lambda copied: (copied / "folder").chmod(0o750), "folder", "mode"),
    "another time": (lambda copied: _set_time(copied / "file"), "file", "modification time"),
    "another folder time": (lambda copied: _set_time(copied / "folder"), "folder", "modification time"),
    "another root time": (_set_time, ".", "modification time"),
    "another link": (lambda copied: _replace_link(copied / "link", "folder"), "link", "link"),
    "another link time": (lambda copied: _set_time(copied / "link"), "link", "modification time"),
    "another FIFO mode": (lambda copied: (copied / "fifo").chmod(0o640), "fifo", "mode"),
    "a hard link less": (_link_broken, "second", "hard links"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_comparison_finds_every_kind_of_difference(near: Pair, change: str) -> None:
    """Whatever differs is found, and told by the path in the source and in what."""
    os.link(near.source / "file", near.source / "second")
    os.utime(near.source, ns=(0, MOMENT))
    near.copy()
    assert near.compare() is None
    act, place, what = CHANGES[change]
    act(near.copied)
    if place != ".":
        os.utime(near.copied, ns=(0, MOMENT))
    else:
        os.utime(near.copied, ns=(0, MOMENT + 1))
    difference = near.compare()
    assert difference is not None
    assert (difference.path, difference.what) == (near.source / place, what)


def test_a_removal_leaves_what_links_point_at(near: Pair) -> None:
    """Links inside the tree go, links to folders too; their targets stay."""
    outside = near.other.path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    near.copy()
    (near.copied / "to-folder").symlink_to(outside)
    (near.copied / "to-file").symlink_to(outside / "precious")
    near.remove()
    assert sorted(os.listdir(near.other.path)) == ["outside"]
    assert (outside / "precious").read_text() == "x"


def test_a_removal_of_nothing_names_it(near: Pair) -> None:
    """A tree that is not there is an error with its path."""
    with pytest.raises(FileNotFoundError) as caught:
        near.remove()
    assert caught.value.filename == str(near.copied)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_an_unprivileged_account_copies_compares_and_removes_read_only_trees(public_workspace: Workspace) -> None:
    """An ordinary account carries its own read-only files and folders across, and removes the copy again."""
    spool = public_workspace.spool
    locked = spool / "rawdata" / "locked"
    (locked / "deeper").mkdir(parents=True)
    (locked / "deeper" / "file").write_text("x")
    (locked / "deeper" / "file").chmod(0o444)
    (locked / "deeper").chmod(0o555)
    locked.chmod(0o500)
    act = as_nobody(public_workspace.root)

    def carry() -> list[object]:
        with PosixFileSystem().open_root(spool) as folder:
            copy_tree(folder, "rawdata", folder, "copy")
            difference = compare_trees(folder, "rawdata", folder, "copy")
            remove_tree(folder, "copy")
            return [difference, (spool / "copy").exists(), (locked / "deeper" / "file").read_text()]

    assert act(carry) == [None, False, "x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_an_unprivileged_account_is_told_what_it_cannot_read(public_workspace: Workspace) -> None:
    """A file of mode 0 cannot be copied by its owner without root's rights; the error has its path."""
    spool = public_workspace.spool
    (spool / "rawdata" / "none").write_text("x")
    (spool / "rawdata" / "none").chmod(0)
    act = as_nobody(public_workspace.root)

    def copy() -> str | None:
        with PosixFileSystem().open_root(spool) as folder:
            try:
                copy_tree(folder, "rawdata", folder, "copy")
            except PermissionError as error:
                return str(error.filename)
        return None

    assert act(copy) == str(spool / "rawdata" / "none")


def test_a_deep_tree_is_copied_compared_and_removed(near: Pair) -> None:
    """A chain of folders longer than a path may be is no obstacle, since no path is ever opened."""
    descriptor = os.open(near.source, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(150):
        os.mkdir("f" * 100, dir_fd=descriptor)
        deeper = os.open("f" * 100, os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    near.copy()
    assert near.compare() is None
    near.remove()
    remove_tree(near.one, "data")
    assert os.listdir(near.other.path) == os.listdir(near.one.path) == []
