"""A verified copy keeps all that the source is, whether one process makes it or several do."""

from __future__ import annotations

import errno
import os
import resource
import stat
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.errors import InterruptedRunError, UncopyableError
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, Side, Totals
from support.inventory import inventory
from support.trees import ALONE, MOMENT, TOGETHER, Pair, make_tree, same
from support.unprivileged import as_nobody
from support.workspace import DIRECTORIES, Workspace, add_awkward_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(params=["one file system", "to memory", "from memory"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """Two directories on one file system or on two."""
    pair = [tmp_path / "one", tmp_path / "other"]
    for place in pair:
        place.mkdir()
    if request.param != "one file system":
        pair[request.param == "to memory"] = request.getfixturevalue("memory_folder")
    return pair[0], pair[1]


@pytest.fixture(params=[ALONE, TOGETHER], ids=["alone", "together"])
def pair(request: pytest.FixtureRequest, places: tuple[Path, Path]) -> Iterator[Pair]:
    """A source with an empty directory, to be copied by one process or by several."""
    pair = Pair(*places, request.param)
    pair.source.mkdir()
    with closing(pair.stack):
        yield pair


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Pair]:
    """A small tree to be copied on one file system, by one process."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    pair = Pair(tmp_path / "one", tmp_path / "other")
    make_tree(pair.source, 2, 3)
    with closing(pair.stack):
        yield pair


def check_whole(pair: Pair) -> None:
    """The copy is the source, and the manifest says so of both."""
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)
    assert pair.verify() == set()


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_copy_of_an_awkward_tree_keeps_everything(workspace: Workspace, pair: Pair, name: str) -> None:
    """Holes, hard links, links, modes, nanoseconds, odd names and empty directories are in the copy as in the source."""
    add_awkward_files(workspace)
    if os.geteuid() != 0:  # what its owner may not read, only root copies
        (workspace.spool / "rawdata" / "none").chmod(0o400)
    pair.source.rmdir()
    pair.one = workspace.spool
    (workspace.spool / name).rename(pair.source)
    pair.copy()
    check_whole(pair)


def test_a_copy_counts_what_there_is(pair: Pair) -> None:
    """What is given back is the number of entries but directories, and of bytes, those of a file with two names once."""
    make_tree(pair.source, 3, 5)
    files = [path for path in pair.source.rglob("*") if not path.is_dir() or path.is_symlink()]
    size = sum(
        path.lstat().st_size / path.lstat().st_nlink for path in files if path.is_file() and not path.is_symlink()
    )
    assert pair.copy() == Totals(len(files), int(size))
    check_whole(pair)


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
    assert pair.verify() == set()


def test_a_hole_at_the_end_of_a_short_file_stays(pair: Pair) -> None:
    """What ends with a hole has its length, and the hole's bytes are zeros."""
    with (pair.source / "short").open("wb") as file:
        file.write(b"begin")
        file.truncate(40_000)
    pair.copy()
    assert (pair.copied / "short").read_bytes() == b"begin" + bytes(39_995)
    check_whole(pair)


def test_hard_links_stay_hard_links_across_directories(pair: Pair) -> None:
    """Names of one file, wherever they stand in the tree, are names of one file in the copy, links and FIFOs too."""
    (pair.source / "a" / "b").mkdir(parents=True)
    (pair.source / "a" / "b" / "first").write_text("x")
    (pair.source / "link").symlink_to("nothing")
    os.mkfifo(pair.source / "fifo")
    for name in ("first", "link", "fifo"):
        first = pair.source / "a" / "b" / name if name == "first" else pair.source / name
        os.link(first, pair.source / "a" / f"second {name}", follow_symlinks=False)
    pair.copy()
    check_whole(pair)
    assert os.lstat(pair.copied / "a" / "second first").st_ino == os.lstat(pair.copied / "a" / "b" / "first").st_ino


def test_modes_and_times_of_every_kind_are_kept(pair: Pair) -> None:
    """Files of mode 0, read-only directories, setuid and sticky bits, times of links and directories, to the nanosecond."""
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
    os.mkfifo(pair.source / "fifo")
    (pair.source / "fifo").chmod(0o666)
    os.utime(pair.source / "fifo", ns=(MOMENT, 7))
    os.utime(pair.source, ns=(MOMENT, 5))
    pair.copy()
    check_whole(pair)


def test_a_directory_with_many_names_is_copied_in_parts(pair: Pair) -> None:
    """A flat directory of more names than one task takes, directories and odd names among them, is whole in the copy."""
    for number in range(1000):
        (pair.source / f"file {number}").write_text(str(number))
        if number % 50 == 0:
            (pair.source / f"folder {number}").mkdir()
    os.close(os.open(os.fsencode(pair.source) + b"/not utf-8 \xff\xfe", os.O_CREAT | os.O_WRONLY))
    pair.copy(chunk_size=16)
    check_whole(pair)


def test_files_of_any_length_are_copied(pair: Pair) -> None:
    """Lengths at, below and above each limit: what is read at once, the buffer, the block that has a hash of its own."""
    for length in (0, 1, 65535, 65536, 65537, 99_999, 100_000, 100_001, 300_000, 300_001, 950_000):
        (pair.source / str(length)).write_bytes(os.urandom(length))
    pair.copy(buffer=100_000, block=300_000)
    check_whole(pair)


def test_extended_attributes_are_kept(near: Pair) -> None:
    """User attributes of files and directories are in the copy, those of read-only files too."""
    file, directory = near.source / "folder 0" / "inner" / "file 1", near.source / "folder 0"
    try:
        os.setxattr(file, "user.note", b"\0binary\xff")
    except OSError as error:
        pytest.skip(f"the test's file system has no user attributes: {error.strerror}")
    os.setxattr(directory, "user.empty", b"")
    file.chmod(0o444)
    near.copy()
    assert os.getxattr(near.copied / "folder 0" / "inner" / "file 1", "user.note") == b"\0binary\xff"
    assert os.getxattr(near.copied / "folder 0", "user.empty") == b""
    os.removexattr(directory, "user.empty")
    near.copy()
    assert os.listxattr(near.copied / "folder 0") == []


def test_a_link_is_copied_and_never_followed(near: Pair) -> None:
    """A link out of the tree comes across as the same text; what it points at is not read."""
    (near.source / "out").symlink_to("/etc")
    near.copy()
    assert os.readlink(near.copied / "out") == "/etc"


def test_a_link_in_the_place_of_the_tree_is_refused(near: Pair) -> None:
    """Neither the source nor what an earlier run left is looked for behind a link."""
    os.rename(near.source, near.one / "elsewhere")
    near.source.symlink_to("elsewhere")
    before = inventory(near.one / "elsewhere")
    with pytest.raises(OSError, match="copy") as caught:
        near.copy()
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    assert caught.value.filename == str(near.source)
    assert inventory(near.one / "elsewhere") == before


def test_a_link_in_the_place_of_a_directory_is_not_followed(near: Pair) -> None:
    """What stands for a directory of the copy and leads elsewhere is removed, and its goal stays as it is."""
    (near.source / "folder 1" / "second name").unlink()
    near.copy()
    outside = near.other / "outside"
    (near.copied / "folder 0").rename(outside)
    (near.copied / "folder 0").symlink_to(outside)
    before = inventory(outside)
    near.copy()
    assert same(near.copied) == same(near.source)
    assert inventory(outside) == before


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFSOCK], ids=["device", "socket"])
def test_what_cannot_be_copied_is_refused_by_its_path(near: Pair, kind: int) -> None:
    """What is neither file, directory, link nor FIFO is named, no retry is advised, and nothing is copied."""
    try:
        os.mknod(near.source / "special", kind | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this account may not make devices")
    with pytest.raises(UncopyableError, match=f"cannot be copied: {near.source / 'special'}") as caught:
        near.copy()
    assert not caught.value.retryable
    assert not near.copied.exists()


@pytest.mark.parametrize(
    "name", ["SGI_ACL_FILE", "lmv", "dmv", "som", "hsm", "fid", "version", "projid", "overlay.opaque", "gfid"]
)
def test_what_one_file_system_keeps_for_itself_is_left_behind(near: Pair, name: str) -> None:
    """An attribute of a file system's own is neither copied nor missed; what another program put beside it is copied."""
    try:
        for attribute in (f"trusted.{name}", "trusted.ours"):
            os.setxattr(near.source / "folder 0" / "inner" / "file 0", attribute, b"value")
    except OSError as error:
        pytest.skip(f"this account may not set such attributes here: {error}")
    near.copy()
    assert os.listxattr(near.copied / "folder 0" / "inner" / "file 0") == ["trusted.ours"]


def test_an_attribute_that_is_listed_and_not_given_is_none(near: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in the list whose value is answered with ENODATA is not there, and stops no copy."""
    listed = os.listxattr
    monkeypatch.setattr(os, "listxattr", lambda *place, **options: [*listed(*place, **options), "user.gone"])
    near.copy()
    assert "user.gone" not in listed(near.copied / "folder 0" / "inner" / "file 0")


@pytest.mark.parametrize("moment", [-1, -(1 << 40), 1 << 31, 1 << 33], ids=["1969", "long ago", "2038", "2242"])
def test_a_time_that_the_target_cannot_hold_is_let_be(near: Pair, moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system takes another time for one before 1980 or after 2038, the copy is made all the same."""
    os.utime(near.source / "folder 0" / "inner" / "file 0", (moment, moment))
    held = os.stat(near.source / "folder 0" / "inner" / "file 0").st_mtime_ns
    real = os.utime

    def utime(place: int, *, ns: tuple[int, int], **options: Any) -> None:
        low, high = 0, ((1 << 31) - 1) * 10**9
        real(place, ns=(ns[0], min(max(ns[1], low), high) if ns[1] == held else ns[1]), **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", utime)
        near.copy()
    assert not near.changes(Side.COPY)
    assert near.verify() == set()


def test_a_mode_that_the_target_does_not_keep_is_no_fault_of_a_disk(
    near: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy whose mode cannot be set is refused, and no retry is advised."""
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    with pytest.raises(UncopyableError, match="keeps the mode") as caught:
        near.copy()
    assert not caught.value.retryable


def test_a_file_system_that_tells_no_size_is_tried(near: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all numbers of statfs are zero, as those of ramfs and of many FUSE file systems, the copy is made."""
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda place: os.statvfs_result([real(place)[0], *[0] * 9]))
    near.copy()
    assert same(near.copied) == same(near.source)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_an_unprivileged_account_copies_read_only_trees(public_workspace: Workspace) -> None:
    """An ordinary account copies its own read-only files and directories, and goes on with such a copy."""
    pair = Pair(public_workspace.spool, public_workspace.root)
    (public_workspace.spool / "rawdata").rename(pair.source)
    locked = pair.source / "locked"
    (locked / "deeper").mkdir(parents=True)
    (locked / "deeper" / "file").write_text("x")
    (locked / "deeper" / "file").chmod(0o444)
    for directory in (locked / "deeper", locked):
        directory.chmod(0o555)
    act = as_nobody(public_workspace.root)

    def carry() -> list[object]:
        with closing(pair.stack):
            pair.copy()
            first = same(pair.copied) == same(pair.source)
            (locked / "deeper").chmod(0o755)
            (locked / "deeper" / "another").write_text("y")
            (locked / "deeper").chmod(0o555)
            pair.copy()
            return [first, same(pair.copied) == same(pair.source)]

    assert act(carry) == [True, True]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_an_unprivileged_account_is_told_what_it_cannot_read(public_workspace: Workspace) -> None:
    """A file of mode 0 cannot be copied by its owner without root's rights; the error has its path."""
    pair = Pair(public_workspace.spool, public_workspace.root)
    (public_workspace.spool / "rawdata").rename(pair.source)
    (pair.source / "none").write_text("x")
    (pair.source / "none").chmod(0)
    act = as_nobody(public_workspace.root)

    def copy() -> str | None:
        with closing(pair.stack):
            try:
                pair.copy()
            except PermissionError as error:
                return str(error.filename)
        return None

    assert act(copy) == str(pair.source / "none")


def test_an_error_of_the_copy_names_both_sides(pair: Pair) -> None:
    """The source alone would send a person to the wrong disk where it is the copy's that is full."""
    (pair.source / "folder").mkdir()
    (pair.source / "folder" / "file").write_bytes(bytes([1]) * (1 << 23))
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 22, usual[1]))  # bytes; the kernel answers with EFBIG
    try:
        with pytest.raises(OSError, match="copy: File too large") as caught:
            pair.copy()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert caught.value.filename == str(pair.source / "folder" / "file")
    assert caught.value.filename2 == str(pair.copied / "folder" / "file")


def test_a_deep_tree_is_copied_compared_and_removed(pair: Pair) -> None:
    """A chain of directories far longer than a path may be is no obstacle, since no path is ever opened."""
    descriptor = os.open(pair.source, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(600):
        os.mkdir("f" * 10, dir_fd=descriptor)
        deeper = os.open("f" * 10, os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    assert pair.copy() == Totals(1, 0)
    assert not pair.changes(Side.COPY)
    assert pair.verify() == set()
    pair.remove(pair.copied)
    pair.remove(pair.source)
    assert not pair.copied.exists()
    assert not pair.source.exists()


def test_a_look_ends_when_it_is_asked_to(pair: Pair) -> None:
    """The last look at a source before it goes may be long as well."""
    (pair.source / "file").write_text("content")
    pair.copy()
    with pytest.raises(InterruptedRunError):
        pair.changes(Side.SOURCE, CopyMonitor(stop=lambda: True))


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EPERM, errno.ELOOP], ids=["ENOTSUP", "EPERM", "ELOOP"])
def test_a_link_whose_time_cannot_be_set_is_copied(near: Pair, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The copy of a link may have another time than the link: it is nobody's data."""
    real = os.utime

    def utime(place: Any, *, follow_symlinks: bool = True, dir_fd: int | None = None, **times: Any) -> None:
        if not follow_symlinks and stat.S_ISLNK(os.stat(place, dir_fd=dir_fd, follow_symlinks=False).st_mode):
            raise OSError(code, os.strerror(code))
        real(place, follow_symlinks=follow_symlinks, dir_fd=dir_fd, **times)

    os.utime(near.source / "link", ns=(MOMENT, MOMENT), follow_symlinks=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", utime)
        near.copy()
    assert (near.copied / "link").readlink() == (near.source / "link").readlink()
    assert not near.changes(Side.COPY)
    assert near.verify() == set()


def following(call: Callable[..., None]) -> Callable[..., None]:
    """The call as a file system has it that follows links although it is told not to."""

    def follow(*arguments: Any, **options: Any) -> None:
        call(*arguments, **{**options, "follow_symlinks": True})

    return follow


def test_where_a_link_is_followed_its_owner_and_time_are_not_set(near: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that would change what a link leads to, nothing is changed through it."""
    outside = near.one / "outside"
    outside.touch()
    (near.source / "away").symlink_to(outside)
    before = outside.stat()
    for call in ("utime", "chown"):
        monkeypatch.setattr(os, call, following(getattr(os, call)))
    with FileSystem().open_root(near.other) as root:
        assert not FileSystem().sets_link_times(root, "probe")
    near.copy(link_attributes=False)
    assert (near.copied / "away").readlink() == outside
    assert outside.stat() == before
