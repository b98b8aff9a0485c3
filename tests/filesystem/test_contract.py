"""The port's contract: every operation, the same tests on pyfakefs, on the disk and in memory."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.error_context import ExchangeRefusedError
from conveyor.filesystem.posix import FileSystem, Kind
from conveyor.layout import temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd

ON_REAL_FILE_SYSTEMS = pytest.mark.parametrize("fs", ["disk", "memory"], indirect=True)
MOMENT = 1_400_000_000_123_456_789


def no_exchange(*_: object) -> None:
    """The exchange of a file system that has none."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


@pytest.fixture(params=["pyfakefs", "disk", "memory"])
def fs(request: pytest.FixtureRequest) -> FileSystem:
    """The port on each file system in turn; ``root`` is a directory on the same one."""
    if request.param == "pyfakefs":
        return FileSystem(exchange=no_exchange, sync=lambda _: None)
    return FileSystem()


@pytest.fixture
def root(request: pytest.FixtureRequest, fs: FileSystem, tmp_path: Path) -> Iterator[DirFd]:
    """An empty directory, held open."""
    kind = request.node.callspec.params["fs"]
    if kind == "pyfakefs":
        request.getfixturevalue("fake_filesystem")
        tmp_path.mkdir(parents=True, exist_ok=True)
    place = request.getfixturevalue("memory_folder") if kind == "memory" else tmp_path
    with fs.open_root(place) as directory:
        yield directory


@pytest.fixture
def fake_filesystem(request: pytest.FixtureRequest) -> Iterator[object]:
    """pyfakefs, in place of every file system."""
    from pyfakefs.fake_filesystem_unittest import Patcher

    with Patcher() as patcher:
        yield patcher.fs


def put(root: DirFd, name: str, content: str = "x") -> None:
    (root.path / name).write_text(content)


def names(root: DirFd) -> list[str]:
    return sorted(os.listdir(root.path))


def test_look_tells_every_kind_and_follows_no_link(fs: FileSystem, root: DirFd) -> None:
    """A look tells file, directory, link and nothing apart, and sees a link as itself wherever it leads."""
    put(root, "file", "four")
    (root.path / "folder").mkdir()
    (root.path / "to-file").symlink_to("file")
    (root.path / "dangling").symlink_to("nothing")
    kinds = {name: fs.lstat(root, name) for name in ("file", "folder", "to-file", "dangling", "nothing")}
    assert {name: entry and entry.kind for name, entry in kinds.items()} == {
        "file": Kind.FILE,
        "folder": Kind.DIRECTORY,
        "to-file": Kind.LINK,
        "dangling": Kind.LINK,
        "nothing": None,
    }
    assert kinds["file"] is not None
    assert kinds["file"].size == 4


@ON_REAL_FILE_SYSTEMS  # pyfakefs does not find "." in an open folder
def test_a_directory_can_be_looked_at_from_inside(fs: FileSystem, root: DirFd) -> None:
    """The open directory itself goes by the name of a dot."""
    entry = fs.lstat(root, ".")
    assert entry is not None
    assert (entry.kind, entry.inode) == (Kind.DIRECTORY, os.stat(root.path).st_ino)


def test_a_look_has_the_identity_that_stays_when_the_name_changes(fs: FileSystem, root: DirFd) -> None:
    """Device and inode say that a renamed file is the one from before."""
    put(root, "before")
    before = fs.lstat(root, "before")
    fs.rename(root, "before", root, "after")
    after = fs.lstat(root, "after")
    assert before is not None
    assert after is not None
    assert (before.device, before.inode) == (after.device, after.inode)


def test_names_are_sorted_and_complete(fs: FileSystem, root: DirFd) -> None:
    """A listing has every name, dotted ones too, in one order on every file system."""
    for name in ("b", ".hidden", "a", "Ä"):
        put(root, name)
    assert fs.listdir(root) == [".hidden", "a", "b", "Ä"]


def test_a_directory_is_opened_but_never_through_a_link(fs: FileSystem, root: DirFd) -> None:
    """A directory is opened by its name; a link to one, a file, or nothing in its place is refused."""
    (root.path / "folder").mkdir()
    (root.path / "link").symlink_to("folder")
    put(root, "file")
    with fs.open_directory(root, "folder") as directory:
        put(directory, "inside")
        assert fs.listdir(directory) == ["inside"]
    for name, codes in (("link", {errno.ELOOP, errno.ENOTDIR}), ("file", {errno.ENOTDIR}), ("gone", {errno.ENOENT})):
        with pytest.raises(OSError, match="open") as caught:
            fs.open_directory(root, name)
        assert caught.value.errno in codes
        assert caught.value.filename == str(root.path / name)


def test_a_directory_at_any_depth_is_opened_but_never_through_a_link(fs: FileSystem, root: DirFd) -> None:
    """Each name on the way is a directory's own; no name at all is the directory itself. An error names the way's end."""
    (root.path / "a" / "b" / "c").mkdir(parents=True)
    (root.path / "a" / "link").symlink_to("b")
    with fs.open_below(root, ["a", "b", "c"]) as directory:
        put(directory, "inside")
        assert fs.listdir(directory) == ["inside"]
    with fs.open_below(root, []) as itself:
        assert fs.listdir(itself) == ["a"]
    for names, codes in ((["a", "link", "c"], {errno.ELOOP, errno.ENOTDIR}), (["a", "gone", "c"], {errno.ENOENT})):
        with pytest.raises(OSError, match="open") as caught:
            fs.open_below(root, names)
        assert caught.value.errno in codes
        assert caught.value.filename == str(root.path.joinpath(*names[:2]))


def test_a_root_is_opened_through_links(fs: FileSystem, root: DirFd) -> None:
    """The path that an operator named may have links in it."""
    (root.path / "folder").mkdir()
    (root.path / "alias").symlink_to("folder")
    with fs.open_root(root.path / "alias") as directory:
        fs.mkdir(directory, "inside")
    assert (root.path / "folder" / "inside").is_dir()


def test_a_closed_directory_may_be_closed_again(fs: FileSystem, root: DirFd) -> None:
    """Closing gives the descriptor back once, so that nobody else's is closed by mistake."""
    with fs.open_root(root.path) as directory:
        directory.close()
        assert directory.descriptor == -1


def test_links_are_made_and_read_as_they_are(fs: FileSystem, root: DirFd) -> None:
    """A link keeps its text, whether or not it leads anywhere; a taken name is refused."""
    fs.symlink(root, "link", "../somewhere/else")
    assert fs.readlink(root, "link") == "../somewhere/else"
    with pytest.raises(FileExistsError):
        fs.symlink(root, "link", "elsewhere")
    assert fs.readlink(root, "link") == "../somewhere/else"


def test_a_link_is_made_over_no_dangling_link_either(fs: FileSystem, root: DirFd) -> None:
    """Even a link to nothing takes its name: a file is not made where it leads."""
    fs.symlink(root, "dangling", "nothing")
    for make in (
        lambda: fs.mkdir(root, "dangling"),
        lambda: fs.create_file(root, "dangling"),
        lambda: fs.symlink(root, "dangling", "x"),
    ):
        with pytest.raises(OSError, match="dangling") as caught:
            make()
        assert caught.value.errno in (errno.EEXIST, errno.ELOOP)
    assert names(root) == ["dangling"]


def test_reading_takes_the_first_bytes_of_a_regular_file(fs: FileSystem, root: DirFd) -> None:
    """A read ends at its limit or at the end of the file, and follows no link."""
    put(root, "file", "0123456789")
    (root.path / "link").symlink_to("file")
    assert fs.read(root, "file", limit=4) == b"0123"
    assert fs.read(root, "file", limit=99) == b"0123456789"
    with fs.open_file(root, "file") as file:
        assert file.read() == b"0123456789"
    with pytest.raises(OSError, match="open"):
        fs.read(root, "link", limit=4)


def test_a_file_is_written_whole_and_replaces_what_was_there(fs: FileSystem, root: DirFd) -> None:
    """Writing puts the new content in place of the old one, and leaves no temporary name, not even a crashed run's."""
    put(root, "file", "old")
    put(root, temporary_name("file"), "left by a crash")
    fs.write(root, "file", b"new")
    assert (root.path / "file").read_bytes() == b"new"
    assert names(root) == ["file"]


def test_a_write_replaces_a_link_and_not_what_it_points_at(fs: FileSystem, root: DirFd) -> None:
    """A link in the place of the file, or of its temporary name, is replaced; its target is not touched."""
    put(root, "precious", "precious")
    (root.path / "file").symlink_to("precious")
    (root.path / temporary_name("file")).symlink_to("precious")
    fs.write(root, "file", b"new")
    assert (root.path / "precious").read_text() == "precious"
    assert not (root.path / "file").is_symlink()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(fs: FileSystem, root: DirFd) -> None:
    """Where the last rename is refused, the temporary name goes again."""
    (root.path / "taken").mkdir()
    with pytest.raises(OSError, match="write"):
        fs.write(root, "taken", b"new")
    assert names(root) == ["taken"]


def test_appending_adds_to_the_end_and_makes_the_file(fs: FileSystem, root: DirFd) -> None:
    """Lines are added one after the other, with and without a flush; a link is not followed."""
    fs.append(root, "history", b"one\n")
    fs.append(root, "history", b"two\n", durable=True)
    assert (root.path / "history").read_bytes() == b"one\ntwo\n"
    put(root, "precious", "precious")
    (root.path / "link").symlink_to("precious")
    with pytest.raises(OSError, match="append"):
        fs.append(root, "link", b"x")
    assert (root.path / "precious").read_text() == "precious"


@ON_REAL_FILE_SYSTEMS  # pyfakefs does not take the umask from a file that is opened by number
@pytest.mark.parametrize(
    ("umask", "file", "program", "directory"), [(0o022, 0o644, 0o755, 0o755), (0o027, 0o640, 0o750, 0o750)]
)
def test_what_is_made_has_the_mode_that_the_umask_leaves(
    fs: FileSystem, root: DirFd, umask: int, file: int, program: int, directory: int
) -> None:
    """Files, programs and directories are never 0600 by accident."""
    before = os.umask(umask)
    try:
        fs.create_file(root, "file").close()
        fs.create_file(root, "program", executable=True).close()
        fs.make_file(root, "made", [], modified=0)
        fs.make_file(root, "made program", [], executable=True, modified=0)
        fs.mkdir(root, "folder")
        fs.write(root, "written", b"x")
        fs.append(root, "appended", b"x")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE(os.stat(root.path / name).st_mode) for name in names(root)}
    assert modes == {
        "file": file,
        "program": program,
        "made": file,
        "made program": program,
        "folder": directory,
        "written": file,
        "appended": file,
    }


def test_a_new_file_takes_what_is_written_to_it(fs: FileSystem, root: DirFd) -> None:
    """A file is made for writing once; a second one of that name is refused and the first stays."""
    with fs.create_file(root, "file") as file:
        file.write(b"content")
    with pytest.raises(FileExistsError):
        fs.create_file(root, "file")
    assert (root.path / "file").read_bytes() == b"content"


def test_a_file_is_made_of_pieces(fs: FileSystem, root: DirFd) -> None:
    """A new file has all the pieces and the time that was asked for; a second one is refused before a piece is taken."""
    fs.make_file(root, "file", iter([memoryview(b"con"), memoryview(b""), memoryview(b"tent")]), modified=MOMENT)
    left = iter([memoryview(b"other")])
    with pytest.raises(FileExistsError):
        fs.make_file(root, "file", left, modified=0)
    assert (root.path / "file").read_bytes() == b"content"
    assert (root.path / "file").stat().st_mtime_ns == MOMENT
    assert bytes(next(left)) == b"other"


def test_times_are_kept_to_the_nanosecond(fs: FileSystem, root: DirFd) -> None:
    """The time of a file or an open directory is set as it was asked for; a link's target keeps its own."""
    put(root, "file")
    (root.path / "link").symlink_to("file")
    fs.utime(root, "file", MOMENT)
    fs.utime(root, "link", 0)
    fs.set_directory_time(root, MOMENT)
    entry = fs.lstat(root, "file")
    assert entry is not None
    assert entry.modified == root.path.stat().st_mtime_ns == MOMENT


def test_a_hard_link_is_a_second_name(fs: FileSystem, root: DirFd) -> None:
    """Both names have one inode."""
    put(root, "one")
    fs.mkdir(root, "folder")
    with fs.open_directory(root, "folder") as directory:
        fs.link(root, "one", directory, "two")
        first, second = fs.lstat(root, "one"), fs.lstat(directory, "two")
    assert first is not None
    assert second is not None
    assert first.inode == second.inode


def test_renames_move_a_whole_directory_between_directories(fs: FileSystem, root: DirFd) -> None:
    """A directory changes its parent with everything below it."""
    (root.path / "from" / "data").mkdir(parents=True)
    (root.path / "from" / "data" / "file").write_text("x")
    (root.path / "to").mkdir()
    with fs.open_directory(root, "from") as source, fs.open_directory(root, "to") as target:
        fs.rename(source, "data", target, "data")
    assert (root.path / "to" / "data" / "file").read_text() == "x"
    assert not (root.path / "from" / "data").exists()


def test_a_rename_replaces_a_link_in_one_step(fs: FileSystem, root: DirFd) -> None:
    """A prepared link goes over an old one; neither's target is touched."""
    put(root, "precious", "precious")
    fs.symlink(root, "link", "precious")
    fs.symlink(root, "prepared", "elsewhere")
    fs.rename(root, "prepared", root, "link")
    assert fs.readlink(root, "link") == "elsewhere"
    assert names(root) == ["link", "precious"]


def test_a_directory_is_not_renamed_over_one_that_has_something_in_it(fs: FileSystem, root: DirFd) -> None:
    """Nothing is ever lost by a rename of a directory."""
    for name in ("one", "other"):
        (root.path / name).mkdir()
        (root.path / name / "file").write_text(name)
    with pytest.raises(OSError, match="rename") as caught:
        fs.rename(root, "one", root, "other")
    assert caught.value.errno in (errno.ENOTEMPTY, errno.EEXIST)
    assert (root.path / "other" / "file").read_text() == "other"


def test_removing_takes_the_link_and_leaves_its_target(fs: FileSystem, root: DirFd) -> None:
    """Files and links go by their name; directories do not go that way."""
    put(root, "file")
    (root.path / "folder").mkdir()
    (root.path / "link").symlink_to("folder")
    fs.unlink(root, "link")
    fs.unlink(root, "file")
    with pytest.raises(OSError, match="unlink"):
        fs.unlink(root, "folder")
    assert names(root) == ["folder"]


def test_only_an_empty_directory_is_removed(fs: FileSystem, root: DirFd) -> None:
    """A directory with something in it stays, and so does a link to a directory."""
    (root.path / "empty").mkdir()
    (root.path / "full" / "inside").mkdir(parents=True)
    (root.path / "link").symlink_to("empty")
    with pytest.raises(OSError, match="rmdir"):
        fs.rmdir(root, "full")
    with pytest.raises(OSError, match="rmdir"):
        fs.rmdir(root, "link")
    fs.rmdir(root, "empty")
    assert names(root) == ["full", "link"]


def test_flushing_is_possible_on_an_open_directory(fs: FileSystem, root: DirFd) -> None:
    """Both flushes take a directory that is open, and leave it as it was."""
    put(root, "file")
    fs.fsync(root)
    fs.syncfs(root)
    assert names(root) == ["file"]


@pytest.mark.parametrize("fs", ["pyfakefs"], indirect=True)
def test_a_refused_exchange_changes_nothing(fs: FileSystem, root: DirFd) -> None:
    """Where the file system has no exchange, it says so and both names are as before."""
    (root.path / "data").mkdir()
    fs.symlink(root, "link", "data")
    with pytest.raises(ExchangeRefusedError) as caught:
        fs.exchange(root, "data", root, "link")
    assert caught.value.filename == str(root.path / "data")
    assert fs.readlink(root, "link") == "data"
    assert names(root) == ["data", "link"]


@ON_REAL_FILE_SYSTEMS
def test_the_exchange_swaps_a_full_directory_and_a_link_between_directories(fs: FileSystem, root: DirFd) -> None:
    """ext4 and tmpfs let a directory with content and a link trade places across parents, in one step."""
    (root.path / "here" / "data").mkdir(parents=True)
    (root.path / "here" / "data" / "file").write_text("x")
    (root.path / "there").mkdir()
    (root.path / "there" / "data").symlink_to("the link")
    with fs.open_directory(root, "here") as here, fs.open_directory(root, "there") as there:
        fs.exchange(here, "data", there, "data")
    assert (root.path / "there" / "data" / "file").read_text() == "x"
    assert os.readlink(root.path / "here" / "data") == "the link"


@ON_REAL_FILE_SYSTEMS
def test_the_exchange_takes_names_that_are_not_utf8(fs: FileSystem, root: DirFd) -> None:
    """Names go to the kernel as the bytes that they are."""
    name = os.fsdecode(b"\xff\n")
    (root.path / name).write_text("one")
    (root.path / "other").write_text("other")
    fs.exchange(root, name, root, "other")
    assert (root.path / name).read_text() == "other"


def test_writable_says_whether_names_may_be_made(fs: FileSystem, root: DirFd) -> None:
    """A directory of one's own is writable, by itself and by its name in its parent."""
    fs.mkdir(root, "folder")
    assert fs.can_write(root)
    assert fs.can_write(root, "folder")


ACTS: dict[str, Callable[[FileSystem, DirFd], object]] = {
    "open": lambda fs, root: fs.open_directory(root, "a/b"),
    "readlink": lambda fs, root: fs.readlink(root, "a/b"),
    "mkdir": lambda fs, root: fs.mkdir(root, "a/b"),
    "symlink": lambda fs, root: fs.symlink(root, "a/b", "x"),
    "rename": lambda fs, root: fs.rename(root, "a/b", root, "c"),
    "unlink": lambda fs, root: fs.unlink(root, "a/b"),
    "rmdir": lambda fs, root: fs.rmdir(root, "a/b"),
    "append": lambda fs, root: fs.append(root, "a/b", b"x"),
    "create": lambda fs, root: fs.create_file(root, "a/b"),
    "utime": lambda fs, root: fs.utime(root, "a/b", 0),
    "link": lambda fs, root: fs.link(root, "a/b", root, "c"),
}


def test_an_error_in_making_a_file_names_it_too(fs: FileSystem, root: DirFd) -> None:
    """A file that cannot be made is named whole; an error that its pieces raised, and which was named, stays as it is."""

    def pieces() -> Iterator[memoryview]:
        fs.read(root, "missing", limit=1)
        yield memoryview(b"x")

    with pytest.raises(FileNotFoundError, match=r"create: .*a/b"):
        fs.make_file(root, "a/b", [], modified=0)
    with pytest.raises(FileNotFoundError, match=r"open: .*missing"):
        fs.make_file(root, "file", pieces(), modified=0)


@pytest.mark.parametrize("operation", ACTS)
def test_an_error_names_the_operation_and_the_whole_path(fs: FileSystem, root: DirFd, operation: str) -> None:
    """The kernel knows a descriptor and a name; the error has the operation and the path from the root."""
    with pytest.raises(OSError, match=f"{operation}: ") as caught:
        ACTS[operation](fs, root)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(root.path / "a" / "b")


@ON_REAL_FILE_SYSTEMS
def test_the_room_that_is_left_is_told(fs: FileSystem, root: DirFd) -> None:
    """Free and whole size in bytes, as df says them."""
    left, told = fs.space(root), os.statvfs(root.path)
    assert left.size == told.f_blocks * told.f_frsize
    assert 0 < left.free <= left.size
    assert left.free_inodes is None or left.free_inodes > 0
