"""The operations on a file system, and the values that pass through them.

Every operation names its object by an open :class:`DirFd` and one name in it, never by a path: a directory that somebody
swaps for a symlink between the look and the act cannot lead an operation elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import posixpath
import resource
import stat
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.filesystem import syscalls
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError, error_context, path_error
from conveyor.filesystem.files import OpenFile
from conveyor.filesystem.mounts import cache_lifetime, is_at_or_below, mount_of, mounts, on_or_below, refuses_this_host
from conveyor.filesystem.project_ids import NO_PROJECT, ProjectCalls
from conveyor.layout import own_temporary_name, temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from conveyor.filesystem.mounts import Mount
    from conveyor.filesystem.project_ids import Project

# Lustre's client answers EINVAL to every renameat2 flag (its ll_rename); old kernels and libraries ENOSYS; others ENOTSUP.
_EXCHANGE_REFUSED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
# Bytes of the file that is cloned to see if any can be: no file system has larger blocks than this.
_CLONED = 1 << 16
# A path walk takes microseconds, but an interrupt or a hypervisor can hold its process up in the middle of it for longer:
# one way home in some 1,500 had a reader who had read a link and found, a millisecond later, where it led gone.
_GRACE = 0.05  # seconds
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_DESCRIPTORS = Path("/proc/self/fd")
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: a FIFO that somebody put there must not block, and is refused when it is open.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Kind(StrEnum):
    """Kind of an entry; links are seen as links, never followed."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One look at one name. ``size`` in bytes, ``modified`` in nanoseconds since the epoch, ``owner`` a user's number."""

    kind: Kind
    device: int
    inode: int
    size: int
    modified: int
    mode: int
    owner: int


@dataclass(frozen=True, slots=True)
class Space:
    """Free space of a file system for this account: bytes, and inodes (None if it does not count them).

    A ``size`` of 0 says that it does not tell its size: then ``free`` says nothing.
    """

    free: int
    size: int
    free_inodes: int | None


@dataclass(slots=True)
class DirFd:
    """An open directory: ``descriptor`` is what operations use, ``path`` is what messages say."""

    path: Path
    descriptor: int
    _close: Callable[[int], None] = field(repr=False)

    def __enter__(self) -> DirFd:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; closing twice is harmless."""
        if self.descriptor >= 0:
            self._close(self.descriptor)
            self.descriptor = -1


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


class Hindrance(StrEnum):
    """What keeps something from being moved or removed; the values are the words that users read."""

    IMMUTABLE = "immutable"
    APPEND_ONLY = "append-only"
    READ_ONLY = "on a file system that is mounted read-only"
    OWNER = "another account's"

    @property
    def remedy(self) -> str:
        """The command, or the person, that removes the hindrance."""
        match self:
            case Hindrance.IMMUTABLE:
                return "chattr -i, as root"
            case Hindrance.APPEND_ONLY:
                return "chattr -a, as root"
            case Hindrance.READ_ONLY:
                return "mount it for writing"
        return "have its owner remove it or give this account leave to (chmod g+w), or run as an account that may"


def flag_of(directory: int, name: str = "") -> Hindrance | None:
    """The flag that keeps an entry, or without a name an open directory, from being moved or removed."""
    return hindrance_of(syscalls.inode_flags(directory, name)[0])


def free_descriptors() -> int:
    """The number of files that this process may open besides those that it has open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        return max(0, limit - len(os.listdir("/proc/self/fd")))
    except OSError:  # no /proc
        return limit // 2


def hindrance_of(flags: int) -> Hindrance | None:
    """The hindrance that the flags of an inode are."""
    if flags & syscalls.IMMUTABLE:
        return Hindrance.IMMUTABLE
    return Hindrance.APPEND_ONLY if flags & syscalls.APPEND_ONLY else None


def place_of(directory: DirFd) -> Path:
    """A path of an open directory, for calls that take no descriptor.

    It leads to this directory whatever is put in its place. Without ``/proc`` it is the path that the directory was opened
    by; raises :class:`OSError` if that leads elsewhere by now.
    """
    place = Path(_DESCRIPTORS, str(directory.descriptor))
    if place.exists():
        return place
    if not os.path.samestat(os.stat(directory.path), os.fstat(directory.descriptor)):
        raise OSError(errno.ENOENT, "it was moved, and /proc, by which it could still be reached, is not mounted")
    return directory.path


def _may_be_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # the listing does not tell its kind, and a look at it fails: whoever opens it is told why
        return True


@contextlib.contextmanager
def _opened_by_path(path: Path) -> Iterator[None]:
    """Name the path in errors; a lack of permission that is the server's, which gives nothing to this host, is ESTALE."""
    with error_context("open", path):
        try:
            yield
        except PermissionError as error:
            if not refuses_this_host(path):
                raise
            raise OSError(errno.ESTALE, "the server gives nothing to this host") from error


def read_named(path: Path, *, limit: int) -> bytes:
    """Read the first ``limit`` bytes of a regular file that a person named; links are followed.

    Raises :class:`OSError`: IsADirectoryError for a directory, EINVAL for a device, a socket or a FIFO, of which none is
    opened, waited for or read, even if it takes the file's place at this moment.
    """
    with _opened_by_path(path):
        _make_sure_of_a_file(os.stat(path))
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb") as file:
            _make_sure_of_a_file(os.fstat(file.fileno()))
            return file.read(limit)


def _make_sure_of_a_file(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def _read_to(descriptor: int, limit: int, size: int) -> bytes:
    """Read ``limit`` bytes where ``size`` should be; a read that gets less than it asked for has found the end."""
    content = b""
    while missing := limit - len(content):
        asked = min(missing, max(size - len(content), 0) + 1)
        block = os.read(descriptor, asked)
        content += block
        if len(block) < asked and (not block or len(content) >= size):
            break
    return content


def _refusal(directory: DirFd, name: str, full: str) -> int | None:
    """The error of a rename onto a directory that is not empty; None if there is none."""
    try:
        os.rename(name, full, src_dir_fd=directory.descriptor, dst_dir_fd=directory.descriptor)
    except OSError as error:
        return error.errno
    return None


class FileSystem:
    """The operations, first those that look, then those that act.

    Each raises :class:`OSError` with the operation and the whole path in it. None follows a link in the place of the
    named object. The names that they make, move or remove change in one step.

    ``exchange``, ``sync`` and ``projects`` are the calls that come from the C library, ``pause`` waits; tests pass others,
    to stand for file systems that lack them. ``mount_table`` says what is mounted; one that only looks at many requests
    passes a table that is read once.
    """

    def __init__(
        self,
        exchange: Callable[[int, str, int, str], None] = syscalls.exchange,
        sync: Callable[[int], None] = syscalls.sync_file_system,
        pause: Callable[[float], None] = time.sleep,
        mount_table: Callable[[], Sequence[Mount]] = mounts,
        projects: ProjectCalls | None = None,
    ) -> None:
        self._exchange = exchange
        self._sync = sync
        self._pause = pause
        self._mount_table = mount_table
        self.project_calls = projects or ProjectCalls()

    # --- look

    def open_root(self, path: Path) -> DirFd:
        """Open a directory by its path; links on the way are followed, since an operator named this path."""
        with _opened_by_path(path):
            return DirFd(path, os.open(path, _OPEN_DIRECTORY), os.close)

    def open_directory(self, parent: DirFd, name: str) -> DirFd:
        """Open a directory in a directory; a link in its place is refused (ELOOP or ENOTDIR)."""
        path = parent.path / name
        with error_context("open", path):
            descriptor = os.open(name, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent.descriptor)
            return DirFd(path, descriptor, os.close)

    def open_below(self, directory: DirFd, names: Sequence[str]) -> DirFd:
        """Open a directory at any depth below another; a link in the place of any of the names is refused."""
        path = directory.path
        with error_context("open", path):
            descriptor = os.dup(directory.descriptor)
        for name in names:
            path = path / name
            with error_context("open", path):
                try:
                    below = os.open(name, _OPEN_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                finally:
                    os.close(descriptor)
            descriptor = below
        return DirFd(path, descriptor, os.close)

    def make_below(self, directory: DirFd, names: Sequence[str]) -> DirFd:
        """Open a directory at any depth below another, as :meth:`open_below` does, making what is missing of the way."""
        way = [*names]
        for depth, name in enumerate(way):
            with self.open_below(directory, way[:depth]) as above, contextlib.suppress(FileExistsError):
                self.mkdir(above, name)
        return self.open_below(directory, way)

    def lstat(self, directory: DirFd, name: str) -> Entry | None:
        """The entry of this name; None if there is none."""
        try:
            return entry_of(os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise path_error(error, "stat", directory.path / name) from error

    def kind(self, directory: DirFd, name: str) -> Kind | None:
        """The kind of what has this name; None if nothing does."""
        entry = self.lstat(directory, name)
        return entry.kind if entry else None

    def real(self, path: Path) -> Path:
        """The path with all its links resolved; a loop of links stays in it as it is, without an error."""
        return Path(posixpath.realpath(path))

    def listdir(self, directory: DirFd) -> list[str]:
        """All names in the directory, sorted."""
        with error_context("list", directory.path):
            return sorted(os.listdir(directory.descriptor))

    def list_directories(self, directory: DirFd) -> list[str]:
        """The names of the directories in the directory, sorted, and of what does not say what it is."""
        with error_context("list", directory.path), os.scandir(directory.descriptor) as found:
            return sorted(entry.name for entry in found if _may_be_directory(entry))

    def listed_inodes(self, directory: DirFd) -> dict[str, int]:
        """The inode number of each name, as the listing tells it; a file system may tell another one by a stat."""
        with error_context("list", directory.path), os.scandir(directory.descriptor) as found:
            return {entry.name: entry.inode() for entry in found}

    def readlink(self, directory: DirFd, name: str) -> str:
        """The text of a link."""
        try:
            return os.readlink(name, dir_fd=directory.descriptor)
        except OSError as error:
            raise path_error(error, "readlink", directory.path / name) from error

    def read(self, directory: DirFd, name: str, *, limit: int) -> bytes:
        """Read a regular file's first ``limit`` bytes, as :meth:`open_file` opens it, in as few calls as there can be."""
        return self._read(directory, name, limit, at_end=False)

    def read_end(self, directory: DirFd, name: str, *, limit: int) -> bytes:
        """Read a regular file's last ``limit`` bytes, as :meth:`read` does its first."""
        return self._read(directory, name, limit, at_end=True)

    def _read(self, directory: DirFd, name: str, limit: int, *, at_end: bool) -> bytes:
        operation = "open"
        try:
            descriptor = os.open(name, _OPEN_FILE, dir_fd=directory.descriptor)
            try:
                status = os.fstat(descriptor)
                _make_sure_of_a_file(status)
                operation = "read"
                start = max(0, status.st_size - limit) if at_end else 0
                if start:
                    os.lseek(descriptor, start, os.SEEK_SET)
                return _read_to(descriptor, limit, status.st_size - start)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise path_error(error, operation, directory.path / name) from error

    def read_line(self, directory: DirFd, name: str, *, limit: int) -> str:
        """Read a file of one line, of ``limit`` bytes at most, as :meth:`write_line` wrote it."""
        return os.fsdecode(self.read(directory, name, limit=limit)).removesuffix("\n")

    def follow(self, directory: DirFd, name: str) -> Entry:
        """The entry that a link of this name leads to. Raises :class:`OSError` if it cannot be followed."""
        with error_context("follow", directory.path / name):
            return entry_of(os.stat(name, dir_fd=directory.descriptor))

    def open_file(self, directory: DirFd, name: str) -> io.BufferedReader:
        """Open a regular file for reading; EINVAL for a device or a FIFO, which is neither read nor waited for."""
        with error_context("open", directory.path / name):
            file = OpenFile(os.open(name, _OPEN_FILE, dir_fd=directory.descriptor), directory.path / name)
            try:
                _make_sure_of_a_file(os.fstat(file.fileno()))
            except OSError:
                file.close()
                raise
            return io.BufferedReader(file)

    def can_write(self, directory: DirFd, name: str = ".") -> bool:
        """Tell if this account may make and remove names in the directory, or move the directory ``name`` in it."""
        return os.access(name, os.W_OK | os.X_OK, dir_fd=directory.descriptor, effective_ids=True)

    def hindrance(self, directory: DirFd, name: str = "") -> Hindrance | None:
        """What keeps everybody from moving anything out of a directory, or its directory ``name``."""
        with error_context("statvfs", directory.path):
            if os.statvfs(directory.descriptor).f_flag & os.ST_RDONLY:
                return Hindrance.READ_ONLY
        return flag_of(directory.descriptor, name)

    def mounted(self, directory: DirFd, names: Sequence[str]) -> list[Path]:
        """Mount points at directories of these names or below them, as this process sees them.

        None of them if the kernel does not tell.
        """
        try:
            with error_context("look for mounts", directory.path):
                # The real path of what is held open: the one it was opened by may be another one's by now.
                place = Path(os.readlink(f"/proc/self/fd/{directory.descriptor}"))
                near = [mount for mount in self._mount_table() if is_at_or_below(mount.point, place)]
                return [point for name in names for point in on_or_below(place / name, near)]
        except FileNotFoundError:  # no /proc
            return []

    def mount_of(self, directory: DirFd) -> Mount | None:
        """The mount that a directory is on; None if the kernel does not tell."""
        try:
            place = Path(os.readlink(f"/proc/self/fd/{directory.descriptor}"))
        except FileNotFoundError:  # no /proc
            return None
        return mount_of(place, self._mount_table())

    def cache_lifetime(self, directory: DirFd) -> float:
        """Seconds for which other hosts may go on with what they know of the names in a directory's file system."""
        mount = self.mount_of(directory)
        return cache_lifetime(mount) if mount is not None else 0.0

    def space(self, directory: DirFd) -> Space:
        """The free space of the directory's file system, or of its project; quotas of users and groups do not show in it."""
        with error_context("statvfs", directory.path):
            found = os.statvfs(directory.descriptor)
            inodes = max(found.f_favail, 0) if found.f_files else None  # erofs, which is read-only, has -52
            return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, inodes)

    # --- act

    def mkdir(self, directory: DirFd, name: str) -> None:
        """Make a directory with the mode that the umask leaves."""
        with error_context("mkdir", directory.path / name):
            os.mkdir(name, 0o777, dir_fd=directory.descriptor)

    def symlink(self, directory: DirFd, name: str, text: str) -> None:
        """Make a symbolic link; EEXIST if the name is taken."""
        with error_context("symlink", directory.path / name):
            os.symlink(text, name, dir_fd=directory.descriptor)

    def rename(self, source: DirFd, name: str, target: DirFd, new_name: str) -> None:
        """Rename; raises :class:`CrossDeviceError` if only a copy would do."""
        with error_context("rename", source.path / name, target.path / new_name):
            try:
                os.rename(name, new_name, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise CrossDeviceError(error.errno, error.strerror) from error
                raise

    @contextlib.contextmanager
    def full_directory(self, folder: DirFd, name: str) -> Iterator[None]:
        """A directory that is not empty, while the block runs: what may be left of an earlier one that died is reused."""
        made = [name, f"{name}/full", f"{name}/full/in", f"{name}/other"]
        try:
            for one in made:
                with contextlib.suppress(FileExistsError), error_context("mkdir", folder.path / one):
                    os.mkdir(one, dir_fd=folder.descriptor)
            yield
        finally:
            self.remove_full_directory(folder, name)

    def remove_full_directory(self, folder: DirFd, name: str) -> None:
        """Remove what :meth:`full_directory` made, as far as it is there."""
        for one in (f"{name}/other", f"{name}/full/in", f"{name}/full", name):
            with contextlib.suppress(FileNotFoundError), error_context("rmdir", folder.path / one):
                os.rmdir(one, dir_fd=folder.descriptor)

    def can_rename(self, source: DirFd, name: str, target: DirFd, probe: str) -> bool:
        """Find out whether a directory may be renamed into another directory; ``probe`` is made there and removed again."""
        with self.full_directory(target, probe):
            return self.can_rename_onto(source, name, target, probe)

    def can_rename_onto(self, source: DirFd, name: str, target: DirFd, full: str) -> bool:
        """Find out whether a directory may be renamed into another directory, by a rename that cannot succeed.

        The kernel looks for other devices, layers and project IDs first (EXDEV), and then refuses the name of a directory
        that is not empty (ENOTEMPTY, EEXIST; rename(2); some have one error for all, as sshfs EPERM). ``full`` is the name
        of that, which :meth:`full_directory` made.
        """
        with error_context("rename", source.path / name, target.path / full):
            try:
                os.rename(name, full, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    return False
                is_usual = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
                if not is_usual and error.errno != _refusal(target, f"{full}/other", f"{full}/full"):
                    raise
            else:  # a file system that does not know its own rules: undo it
                os.rename(full, name, src_dir_fd=target.descriptor, dst_dir_fd=source.descriptor)
            return True

    def sets_link_times(self, directory: DirFd, probe: str) -> bool:
        """Tell whether the times of a link can be set, and not those of what it leads to instead, as on sshfs.

        ``probe`` is the name of a link to itself, which is made and removed again. Raises :class:`OSError` of other kinds.
        """
        with error_context("symlink", directory.path / probe):
            os.symlink(probe, probe, dir_fd=directory.descriptor)
            try:
                os.utime(probe, ns=(0, 0), dir_fd=directory.descriptor, follow_symlinks=False)
            except OSError as error:
                if error.errno in syscalls.NO_LINK_TIMES or error.errno == errno.ENOENT:  # so OpenSSH answers to a loop
                    return False
                raise
            finally:
                os.unlink(probe, dir_fd=directory.descriptor)
            return True

    def project(self, directory: DirFd, name: str = ".") -> Project | None:
        """The project of an entry of a directory, or of that itself; None on a file system without project IDs."""
        try:
            return self.project_calls.read(directory.descriptor, name)
        except OSError as error:
            if error.errno in NO_PROJECT:
                return None
            raise path_error(error, "look for the project ID", directory.path / name) from error

    def give_project(self, directory: DirFd, name: str, wanted: Project) -> bool:
        """Give an entry a project, and what is in it none; False if this account may not, or the file system will not."""
        try:
            self.project_calls.set(directory.descriptor, name, wanted.number, handed_on=wanted.handed_on)
        except OSError as error:
            if error.errno in NO_PROJECT or isinstance(error, PermissionError):
                return False
            raise path_error(error, "set the project ID", directory.path / name) from error
        return True

    def take_project(self, directory: DirFd, name: str, like: DirFd) -> None:
        """Give a directory the project ID of another one, if there are such IDs and this account may."""
        own, wanted = self.project(directory, name), self.project(like)
        if own is not None and wanted is not None:
            self.give_project(directory, name, own._replace(number=wanted.number))

    def can_clone(self, source: DirFd, target: DirFd, name: str) -> bool:
        """Make a file in one directory, and find out whether it can be cloned into another one; both files stay."""
        with (
            error_context("clone", source.path / name, target.path / name),
            self.create_file(source, name) as file,
            self.create_file(target, name) as copy,
        ):
            file.write(bytes(_CLONED))
            with self.open_file(source, name) as readable:
                try:
                    syscalls.clone(readable.fileno(), copy.fileno())
                except OSError:
                    return False
            return True

    def exchange(self, one: DirFd, name: str, other: DirFd, other_name: str) -> None:
        """Let two names trade places in one step; the modification times of what stands under them stay.

        Raises :class:`ExchangeRefusedError` if the file system has no such step, :class:`CrossDeviceError` if
        the two are not in one file system.
        """
        with error_context("exchange", one.path / name, other.path / other_name):
            before = self.lstat(one, name), self.lstat(other, other_name)
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

    def _set_back(self, before: Entry | None, directory: DirFd, name: str) -> None:
        """Set back the time of a directory that was exchanged: xfs takes its new parent for a change of its content."""
        if before is not None and before.kind is Kind.DIRECTORY:
            now = self.lstat(directory, name)
            if now is not None and now.inode == before.inode and now.modified != before.modified:
                with contextlib.suppress(PermissionError):  # it is not ours
                    self.utime(directory, name, before.modified)

    def unlink(self, directory: DirFd, name: str) -> None:
        """Remove a file or a link."""
        with error_context("unlink", directory.path / name):
            os.unlink(name, dir_fd=directory.descriptor)

    def rmdir(self, directory: DirFd, name: str) -> None:
        """Remove an empty directory."""
        with error_context("rmdir", directory.path / name):
            os.rmdir(name, dir_fd=directory.descriptor)

    def write(self, directory: DirFd, name: str, content: bytes, *, durable: bool = True, shared: bool = False) -> None:
        """Put a file in place whole and flushed, or not at all: a temporary name, fsync, rename, fsync of the directory.

        Unless it is to be ``durable``, it is not flushed: whole for those that read it now, but not after a power cut. If it
        is ``shared``, several may write it at once, under temporary names of their own; the last is there in the end.
        """
        temporary = own_temporary_name(name, os.urandom(8).hex()) if shared else temporary_name(name)
        with error_context("write", directory.path / name):
            with contextlib.suppress(FileNotFoundError):  # a crash may have left one
                os.unlink(temporary, dir_fd=directory.descriptor)
            try:
                self._write(directory, temporary, content, os.O_EXCL, durable=durable)
                os.rename(temporary, name, src_dir_fd=directory.descriptor, dst_dir_fd=directory.descriptor)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=directory.descriptor)
                raise
            if durable:
                os.fsync(directory.descriptor)

    def write_line(self, directory: DirFd, name: str, text: str) -> None:
        """Put a file of one line in place, as :meth:`write` does. Names in it have the bytes that the kernel gave."""
        self.write(directory, name, os.fsencode(text + "\n"))

    def append(self, directory: DirFd, name: str, content: bytes, *, durable: bool = False) -> None:
        """Add to a file's end in one write, making the file if need be; ``durable`` flushes the file."""
        with error_context("append", directory.path / name):
            self._write(directory, name, content, os.O_APPEND, durable=durable)

    def create_file(self, directory: DirFd, name: str, *, executable: bool = False) -> OpenFile:
        """Make a new file for writing, with the mode that the umask leaves; EEXIST if the name is taken.

        Its ``write`` writes all that it is given.
        """
        mode = 0o777 if executable else 0o666
        with error_context("create", directory.path / name):
            return OpenFile(
                os.open(name, _CREATE | os.O_EXCL, mode, dir_fd=directory.descriptor), directory.path / name
            )

    def make_file(
        self, directory: DirFd, name: str, pieces: Iterable[memoryview], *, executable: bool = False, modified: int
    ) -> None:
        """Make a new file of these pieces, as :meth:`create_file` does, with its times; for many files that are small.

        What ``pieces`` raises goes through, with what was written left there.
        """
        operation, mode = "create", 0o777 if executable else 0o666
        try:
            descriptor = os.open(name, _CREATE | os.O_EXCL, mode, dir_fd=directory.descriptor)
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
            raise path_error(error, operation, directory.path / name) from error

    def utime(self, directory: DirFd, name: str, moment: int) -> None:
        """Set a file's times, in nanoseconds since the epoch."""
        with error_context("utime", directory.path / name):
            os.utime(name, ns=(moment, moment), dir_fd=directory.descriptor, follow_symlinks=False)

    def set_directory_time(self, directory: DirFd, moment: int) -> None:
        """Set the times of an open directory, in nanoseconds since the epoch."""
        with error_context("utime", directory.path):
            os.utime(directory.descriptor, ns=(moment, moment))

    def set_attribute(self, directory: DirFd, name: str, attribute: str, value: bytes) -> None:
        """Set an extended attribute of a file. Raises :class:`OSError`: ENOTSUP if the file system has none of its kind."""
        with error_context(f"set {attribute}", directory.path / name), self.open_file(directory, name) as file:
            os.setxattr(file.fileno(), attribute, value)

    def keeps_mode(self, directory: DirFd, name: str, mode: int) -> bool:
        """Give a file a mode, and tell whether it has it then. Raises :class:`OSError` if it is not there."""
        with error_context("chmod", directory.path / name), self.open_file(directory, name) as file:
            with contextlib.suppress(OSError):
                os.fchmod(file.fileno(), mode)
            return stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode

    def let_read(self, directory: DirFd, name: str, like: int) -> None:
        """Let the owner read a file or a directory, and group and others as the mode ``like`` lets them; never less."""
        with error_context("chmod", directory.path / name):
            # O_PATH, since the owner may have to be let first; such a descriptor is changed by its place in /proc (open(2)).
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.descriptor)
            try:
                status = os.fstat(descriptor)
                mode = stat.S_IMODE(status.st_mode)
                is_searched = stat.S_ISDIR(status.st_mode) or mode & stat.S_IXUSR
                wanted = stat.S_IRUSR | like & 0o044 | (stat.S_IXUSR | like & 0o011 if is_searched else 0)
                if wanted & ~mode:
                    with contextlib.suppress(FileNotFoundError):  # no /proc: it stays as the umask left it
                        os.chmod(f"/proc/self/fd/{descriptor}", mode | wanted)
            finally:
                os.close(descriptor)

    def link(self, source: DirFd, name: str, target: DirFd, new_name: str) -> None:
        """Give a file a second name."""
        with error_context("link", source.path / name, target.path / new_name):
            os.link(
                name,
                new_name,
                src_dir_fd=source.descriptor,
                dst_dir_fd=target.descriptor,
                follow_symlinks=False,
            )

    def _write(self, directory: DirFd, name: str, content: bytes, how: int, *, durable: bool = True) -> None:
        descriptor = os.open(name, _CREATE | how, 0o666, dir_fd=directory.descriptor)
        with OpenFile(descriptor, directory.path / name) as file:
            file.write(content)
            if durable:
                os.fsync(descriptor)

    def fsync(self, directory: DirFd) -> None:
        """Make the names in this directory durable (fsync)."""
        with error_context("fsync", directory.path):
            os.fsync(directory.descriptor)

    def syncfs(self, directory: DirFd) -> None:
        """Make everything written to the directory's file system durable (syncfs)."""
        with error_context("syncfs", directory.path):
            self._sync(directory.descriptor)

    def wait_grace_period(self) -> None:
        """Wait until path walks that have begun are at their end, so that a name can go for good (RCU's grace period)."""
        self._pause(_GRACE)
