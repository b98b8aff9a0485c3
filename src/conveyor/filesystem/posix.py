"""The port on a real operating system, relative to open directory descriptors throughout."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.filesystem import syscalls
from conveyor.filesystem.files import OpenFile
from conveyor.filesystem.mounts import mounts, on_or_below
from conveyor.filesystem.naming import name as name_error
from conveyor.filesystem.naming import naming
from conveyor.filesystem.port import CrossDeviceError, Entry, ExchangeRefusedError, Folder, Kind, Space, temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Lustre's client answers EINVAL to every renameat2 flag (its ll_rename); old kernels and libraries ENOSYS; others ENOTSUP.
_EXCHANGE_REFUSED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
# A path walk takes microseconds, but an interrupt or a hypervisor can hold its process up in the middle of it for longer:
# one way home in some 1,500 had a reader who had read a link and found, a millisecond later, where it led gone.
_GRACE = 0.05  # seconds
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.LINK}


def entry_of(status: os.stat_result) -> Entry:
    """The part of a stat result that the layers above decide by."""
    return Entry(
        kind=_KINDS.get(stat.S_IFMT(status.st_mode), Kind.OTHER),
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        modified=status.st_mtime_ns,
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
    )


def read_named(path: Path, *, limit: int) -> bytes:
    """Read the first ``limit`` bytes of a regular file that a person named; links are followed.

    Raises :class:`OSError`: IsADirectoryError for a folder, EINVAL for a device, a socket or a FIFO, of which none is
    opened, waited for or read, even if it takes the file's place at this moment.
    """
    with naming("open", path):
        _make_sure_of_a_file(os.stat(path))
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb") as file:
            _make_sure_of_a_file(os.fstat(file.fileno()))
            return file.read(limit)


def _make_sure_of_a_file(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


class PosixFileSystem:
    """The operating system's calls behind the port.

    ``exchange`` and ``sync`` are the two calls that come from the C library, ``pause`` waits; tests and file systems
    without them pass others.
    """

    def __init__(
        self,
        exchange: Callable[[int, str, int, str], None] = syscalls.exchange,
        sync: Callable[[int], None] = syscalls.sync_file_system,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._exchange = exchange
        self._sync = sync
        self._pause = pause

    # --- look

    def open_root(self, path: Path) -> Folder:
        with naming("open", path):
            return Folder(path, os.open(path, _OPEN_FOLDER), os.close)

    def open_folder(self, parent: Folder, name: str) -> Folder:
        path = parent.path / name
        with naming("open", path):
            descriptor = os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=parent.descriptor)
            return Folder(path, descriptor, os.close)

    def open_below(self, folder: Folder, names: Sequence[str]) -> Folder:
        path = folder.path
        with naming("open", path):
            descriptor = os.dup(folder.descriptor)
        for name in names:
            path = path / name
            with naming("open", path):
                try:
                    below = os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
                finally:
                    os.close(descriptor)
            descriptor = below
        return Folder(path, descriptor, os.close)

    def look(self, folder: Folder, name: str) -> Entry | None:
        with naming("stat", folder.path / name):
            try:
                return entry_of(os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False))
            except FileNotFoundError:
                return None

    def names(self, folder: Folder) -> list[str]:
        with naming("list", folder.path):
            return sorted(os.listdir(folder.descriptor))

    def read_link(self, folder: Folder, name: str) -> str:
        with naming("readlink", folder.path / name):
            return os.readlink(name, dir_fd=folder.descriptor)

    def read(self, folder: Folder, name: str, *, limit: int) -> bytes:
        with self.open_file(folder, name) as file, naming("read", folder.path / name):
            return file.read(limit)

    def open_file(self, folder: Folder, name: str) -> io.BufferedReader:
        # O_NONBLOCK: a FIFO that somebody put there must not block, and is refused below.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with naming("open", folder.path / name):
            file = OpenFile(os.open(name, flags, dir_fd=folder.descriptor), folder.path / name)
            try:
                _make_sure_of_a_file(os.fstat(file.fileno()))
            except OSError:
                file.close()
                raise
            return io.BufferedReader(file)

    def writable(self, folder: Folder, name: str = ".") -> bool:
        return os.access(name, os.W_OK | os.X_OK, dir_fd=folder.descriptor, effective_ids=True)

    def mounted(self, folder: Folder, names: Sequence[str]) -> list[Path]:
        try:
            with naming("look for mounts", folder.path):
                # The real path of what is held open: the one it was opened by may be another one's by now.
                place = os.readlink(f"/proc/self/fd/{folder.descriptor}")
                table = mounts()
                return [point for name in names for point in on_or_below(Path(place, name), table)]
        except FileNotFoundError:  # no /proc
            return []

    def space(self, folder: Folder) -> Space:
        with naming("statvfs", folder.path):
            found = os.statvfs(folder.descriptor)
            inodes = found.f_favail if found.f_files else None
            return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, inodes)

    def flock_excludes(self, folder: Folder, name: str) -> bool:
        import fcntl

        # NFS makes it a lock for writing, which wants a file that is open for writing.
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        with naming("flock", folder.path / name), contextlib.ExitStack() as closing:
            one = os.open(name, flags, dir_fd=folder.descriptor)
            closing.callback(os.close, one)
            two = os.open(name, flags, dir_fd=folder.descriptor)
            closing.callback(os.close, two)
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    # --- act

    def make_folder(self, folder: Folder, name: str) -> None:
        with naming("mkdir", folder.path / name):
            os.mkdir(name, 0o777, dir_fd=folder.descriptor)

    def make_link(self, folder: Folder, name: str, text: str) -> None:
        with naming("symlink", folder.path / name):
            os.symlink(text, name, dir_fd=folder.descriptor)

    def rename(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        with naming("rename", source.path / name, target.path / new_name):
            try:
                os.rename(name, new_name, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise CrossDeviceError(error.errno, error.strerror) from error
                raise

    def exchange(self, one: Folder, name: str, other: Folder, other_name: str) -> None:
        with naming("exchange", one.path / name, other.path / other_name):
            before = self.look(one, name), self.look(other, other_name)
            try:
                self._exchange(one.descriptor, name, other.descriptor, other_name)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise CrossDeviceError(error.errno, error.strerror) from error
                if error.errno in _EXCHANGE_REFUSED:
                    raise ExchangeRefusedError(error.errno, error.strerror) from error
                raise
            self._set_back(before[0], other, other_name)
            self._set_back(before[1], one, name)

    def _set_back(self, before: Entry | None, folder: Folder, name: str) -> None:
        """Set back the time of a directory that was exchanged: xfs takes its new parent for a change of its content."""
        if before is not None and before.kind is Kind.DIRECTORY:
            now = self.look(folder, name)
            if now is not None and now.inode == before.inode and now.modified != before.modified:
                with contextlib.suppress(PermissionError):  # it is not ours
                    self.set_modified(folder, name, before.modified)

    def remove(self, folder: Folder, name: str) -> None:
        with naming("unlink", folder.path / name):
            os.unlink(name, dir_fd=folder.descriptor)

    def remove_folder(self, folder: Folder, name: str) -> None:
        with naming("rmdir", folder.path / name):
            os.rmdir(name, dir_fd=folder.descriptor)

    def write(self, folder: Folder, name: str, content: bytes, *, durable: bool = True) -> None:
        temporary = temporary_name(name)
        with naming("write", folder.path / name):
            with contextlib.suppress(FileNotFoundError):  # a crash may have left one
                os.unlink(temporary, dir_fd=folder.descriptor)
            try:
                self._write(folder, temporary, content, os.O_EXCL, durable=durable)
                os.rename(temporary, name, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder.descriptor)
                raise
            if durable:
                os.fsync(folder.descriptor)

    def append(self, folder: Folder, name: str, content: bytes, *, durable: bool = False) -> None:
        with naming("append", folder.path / name):
            self._write(folder, name, content, os.O_APPEND, durable=durable)

    def create_file(self, folder: Folder, name: str, *, executable: bool = False) -> OpenFile:
        mode = 0o777 if executable else 0o666
        with naming("create", folder.path / name):
            return OpenFile(os.open(name, _CREATE | os.O_EXCL, mode, dir_fd=folder.descriptor), folder.path / name)

    def make_file(
        self, folder: Folder, name: str, pieces: Iterable[memoryview], *, executable: bool = False, modified: int
    ) -> None:
        operation, mode = "create", 0o777 if executable else 0o666
        try:
            descriptor = os.open(name, _CREATE | os.O_EXCL, mode, dir_fd=folder.descriptor)
            operation = "write"
            try:
                for piece in pieces:
                    rest = piece
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                os.utime(descriptor, ns=(modified, modified))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise name_error(error, operation, folder.path / name) from error

    def set_modified(self, folder: Folder, name: str, moment: int) -> None:
        with naming("utime", folder.path / name):
            os.utime(name, ns=(moment, moment), dir_fd=folder.descriptor, follow_symlinks=False)

    def hard_link(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        with naming("link", source.path / name, target.path / new_name):
            os.link(
                name,
                new_name,
                src_dir_fd=source.descriptor,
                dst_dir_fd=target.descriptor,
                follow_symlinks=False,
            )

    def _write(self, folder: Folder, name: str, content: bytes, how: int, *, durable: bool = True) -> None:
        descriptor = os.open(name, _CREATE | how, 0o666, dir_fd=folder.descriptor)
        with OpenFile(descriptor, folder.path / name) as file:
            file.write(content)
            if durable:
                os.fsync(descriptor)

    def flush(self, folder: Folder) -> None:
        with naming("fsync", folder.path):
            os.fsync(folder.descriptor)

    def flush_all(self, folder: Folder) -> None:
        with naming("syncfs", folder.path):
            self._sync(folder.descriptor)

    def let_readers_pass(self) -> None:
        self._pause(_GRACE)
