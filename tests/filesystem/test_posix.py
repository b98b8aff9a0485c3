"""What only a real kernel shows: the exchange and its refusals, other file systems, devices, permissions."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem import posix, syscalls
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.posix import FileSystem, Kind, place_of
from support.unprivileged import as_nobody

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Workspace


def failing(code: int) -> FileSystem:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return FileSystem(exchange=refuse)


def test_an_exchange_with_nothing_is_an_error_with_both_paths(tmp_path: Path) -> None:
    """A missing name is no refusal of the exchange as such: it says what is missing."""
    (tmp_path / "one").mkdir()
    fs = FileSystem()
    with fs.open_root(tmp_path) as root, pytest.raises(FileNotFoundError) as caught:
        fs.exchange(root, "one", root, "gone")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "one"), str(tmp_path / "gone"))
    assert "exchange" in str(caught.value)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_the_exchange_says_so(tmp_path: Path, code: int) -> None:
    """Each answer by which Lustre, an old kernel or another file system refuses the flag is told as a refusal."""
    fs = failing(code)
    with fs.open_root(tmp_path) as root, pytest.raises(ExchangeRefusedError) as caught:
        fs.exchange(root, "one", root, "other")
    assert caught.value.errno == code
    assert caught.value.filename == str(tmp_path / "one")


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ENOSPC])
def test_another_error_of_the_exchange_is_no_refusal(tmp_path: Path, code: int) -> None:
    """An error that two renames would not mend is passed on as it is."""
    fs = failing(code)
    with fs.open_root(tmp_path) as root, pytest.raises(OSError, match="exchange") as caught:
        fs.exchange(root, "one", root, "other")
    assert caught.value.errno == code
    assert not isinstance(caught.value, ExchangeRefusedError | CrossDeviceError)


def test_a_c_library_without_renameat2_is_told_as_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the C library has no such call, the exchange is refused and nothing crashes."""
    monkeypatch.setattr(syscalls, "_libc", object)
    fs = FileSystem()
    with fs.open_root(tmp_path) as root, pytest.raises(ExchangeRefusedError):
        fs.exchange(root, "one", root, "other")


@pytest.mark.parametrize("operation", ["rename", "exchange"])
def test_a_real_crossing_of_file_systems_is_told_apart(tmp_path: Path, memory_folder: Path, operation: str) -> None:
    """Between two real file systems a rename and an exchange say that a copy is needed, with both paths."""
    fs = FileSystem()
    for place in (tmp_path, memory_folder):
        (place / "data").mkdir()
    with fs.open_root(tmp_path) as one, fs.open_root(memory_folder) as other, pytest.raises(CrossDeviceError) as caught:
        getattr(fs, operation)(one, "data", other, "data")
    assert caught.value.errno == errno.EXDEV
    assert caught.value.filename == str(tmp_path / "data")
    assert caught.value.filename2 == str(memory_folder / "data")
    assert (tmp_path / "data").is_dir()


def test_a_device_or_fifo_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    """Opening a FIFO that nobody writes to would wait for ever; it is refused at once."""
    os.mkfifo(tmp_path / "fifo")
    fs = FileSystem()
    with fs.open_root(tmp_path) as root:
        entry = fs.lstat(root, "fifo")
        with pytest.raises(OSError, match="not a regular file") as caught:
            fs.open_file(root, "fifo")
    assert entry is not None
    assert entry.kind is Kind.OTHER
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(tmp_path / "fifo"))


def test_an_operation_stays_in_the_directory_that_was_opened(tmp_path: Path) -> None:
    """A directory that is swapped for a link after it was opened leads no operation elsewhere."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("precious")
    fs = FileSystem()
    with fs.open_root(tmp_path) as root, fs.open_directory(root, "folder") as directory:
        (tmp_path / "folder").rename(tmp_path / "moved")
        (tmp_path / "folder").symlink_to("elsewhere")
        fs.write(directory, "file", b"x")
        fs.mkdir(directory, "new")
    assert sorted(os.listdir(tmp_path / "moved")) == ["file", "new"]
    assert (tmp_path / "elsewhere" / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_an_unprivileged_account_is_told_what_it_may_not_write(public_workspace: Workspace) -> None:
    """``writable`` answers for the account that asks, for a directory and for a directory in it."""
    act = as_nobody(public_workspace.root)
    spool = public_workspace.spool
    (spool / "rawdata").chmod(0o555)

    def look() -> list[bool]:
        fs = FileSystem()
        with fs.open_root(spool) as directory, fs.open_directory(directory, "rawdata") as rawdata:
            return [
                fs.can_write(directory),
                fs.can_write(directory, "products"),
                fs.can_write(directory, "rawdata"),
                fs.can_write(rawdata),
            ]

    assert act(look) == [True, True, False, False]


def test_a_file_system_with_one_error_for_all_can_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a taken name is refused with EPERM, as on sshfs, that says nothing of the directory; EXDEV still does."""
    real, refused = os.rename, [errno.EPERM]

    def rename(name: str, new_name: str, **where: int) -> None:
        try:
            real(name, new_name, **where)
        except OSError:
            raise OSError(refused[0], os.strerror(refused[0])) from None

    (tmp_path / "one").mkdir()
    monkeypatch.setattr(os, "rename", rename)
    with FileSystem().open_root(tmp_path) as root:
        assert FileSystem().can_rename(root, "one", root, "probe")
        refused[0] = errno.EXDEV
        assert not FileSystem().can_rename(root, "one", root, "probe")
    assert os.listdir(tmp_path) == ["one"]


def test_without_proc_a_directory_is_reached_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is not mounted, calls that take no descriptor get the path, unless another directory is there by now."""
    monkeypatch.setattr(posix, "_DESCRIPTORS", tmp_path / "nothing")
    (tmp_path / "one").mkdir()
    with FileSystem().open_root(tmp_path / "one") as opened:
        assert place_of(opened) == tmp_path / "one"
        (tmp_path / "one").rename(tmp_path / "aside")
        (tmp_path / "one").mkdir()
        with pytest.raises(OSError, match="/proc"):
            place_of(opened)


def test_two_that_write_a_shared_file_at_once_both_put_it_in_place_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another that writes between the writing and the rename of the first takes nothing from it."""
    fs, rename = FileSystem(), os.rename
    with fs.open_root(tmp_path) as folder:

        def meanwhile(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
            monkeypatch.setattr(os, "rename", rename)
            fs.write(folder, "page", b"second", shared=True)
            assert (tmp_path / "page").read_bytes() == b"second"
            rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

        monkeypatch.setattr(os, "rename", meanwhile)
        fs.write(folder, "page", b"first", shared=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"page": b"first"}
