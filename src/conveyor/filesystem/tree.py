"""Whole trees: copy one to another file system with all that it is, compare the two, remove one.

The copy path of a conveyance stands on these three. Nothing here follows a link or leaves the tree it was given.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.filesystem.naming import naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conveyor.filesystem.port import Folder

_BLOCK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# How finely file systems keep times, in nanoseconds.
_GRAINS = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000)

# Lustre keeps a file's striping in extended attributes of its own; the target's layout is the target's business, and so
# is a security label, which the host's policy gives and an ordinary account may not set.
_ATTRIBUTES_LEFT_BEHIND = (
    *("lustre.", "trusted.lov", "trusted.lma", "trusted.link", "system.nfs4_acl"),
    *("security.selinux", "security.ima", "security.evm"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two trees differ, and in what."""

    path: Path
    what: str


def copy_tree(
    source: Folder, name: str, target: Folder, new_name: str, may_go_on: Callable[[], None] = lambda: None
) -> None:
    """Copy the directory ``name`` to ``new_name``: content, holes, hard links, links as they are, modes, owners where
    permitted, times to the nanosecond, extended attributes and ACLs, empty directories; directory times last.

    Raises :class:`OSError` with the path, and what ``may_go_on`` raises, which is asked before each entry; what was
    copied so far stays for the caller to remove.
    """
    _Copy(may_go_on).directory(source.descriptor, name, target.descriptor, new_name, source.path / name)


class _Copy:
    """One copy run: remembers where files with several names went."""

    def __init__(self, may_go_on: Callable[[], None]) -> None:
        self._may_go_on = may_go_on
        self._linked: dict[tuple[int, int], tuple[str, ...]] = {}
        self._names: list[str] = []
        self._root = -1

    def directory(self, source: int, name: str, target: int, new_name: str, path: Path) -> None:
        with naming("copy", path):
            reading = os.open(name, _DIRECTORY, dir_fd=source)
        try:
            with naming("copy", path):
                # Ours alone until its content is whole: the mode comes last.
                os.mkdir(new_name, 0o700, dir_fd=target)
                writing = os.open(new_name, _DIRECTORY, dir_fd=target)
            try:
                if self._root < 0:
                    self._root = writing
                with naming("copy", path):
                    children = sorted(os.listdir(reading))
                for child in children:
                    self._may_go_on()
                    self._names.append(child)
                    self._child(reading, child, writing, path / child)
                    self._names.pop()
                with naming("copy", path):
                    _copy_attributes(reading, writing, os.fstat(reading))
                    os.fsync(writing)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def _child(self, source: int, name: str, target: int, path: Path) -> None:
        with naming("copy", path):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self.directory(source, name, target, name, path)
            return
        with naming("copy", path):
            if status.st_nlink > 1:
                identity = (status.st_dev, status.st_ino)
                if identity in self._linked:
                    first = os.path.join(*self._linked[identity])
                    os.link(first, name, src_dir_fd=self._root, dst_dir_fd=target, follow_symlinks=False)
                    return
                self._linked[identity] = tuple(self._names)
            if stat.S_ISREG(status.st_mode):
                _copy_file(source, name, target)
            else:
                _copy_special(source, name, target, status)


def _copy_special(source: int, name: str, target: int, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    elif stat.S_ISFIFO(status.st_mode):
        os.mkfifo(name, 0o600, dir_fd=target)
    else:
        raise OSError(errno.EINVAL, "neither file, directory, link nor FIFO: cannot be copied")
    _copy_owner(status, lambda uid, gid: os.chown(name, uid, gid, dir_fd=target, follow_symlinks=False))
    if stat.S_ISFIFO(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, name: str, target: int) -> None:
    reading = os.open(name, _READ, dir_fd=source)
    try:
        writing = os.open(name, _CREATE, 0o600, dir_fd=target)
        try:
            status = os.fstat(reading)
            for start, end in _data(reading, status.st_size):
                os.lseek(reading, start, os.SEEK_SET)
                os.lseek(writing, start, os.SEEK_SET)
                left = end - start
                while left and (block := os.read(reading, min(_BLOCK, left))):
                    left -= len(block)
                    rest = memoryview(block)
                    while rest:
                        rest = rest[os.write(writing, rest) :]
            os.ftruncate(writing, status.st_size)
            _copy_attributes(reading, writing, status)
            os.fsync(writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """The stretches of a file that hold data, in bytes; what lies between them is a hole and stays one."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole to the end
                return
            if error.errno == errno.EINVAL:  # no holes on this file system
                yield position, size
                return
            raise
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, position


def _copy_owner(status: os.stat_result, change: Callable[[int, int], None]) -> None:
    """Owner and group where permitted, each by itself: an account may give a file to a group, not to a person."""
    for uid, gid in ((status.st_uid, -1), (-1, status.st_gid)):
        try:
            change(uid, gid)
        except OSError as error:
            if error.errno not in (
                errno.EPERM,
                errno.EINVAL,
            ):  # EINVAL: an owner that a user namespace does not know
                raise


def _copy_attributes(source: int, target: int, status: os.stat_result) -> None:
    _copy_owner(status, lambda uid, gid: os.fchown(target, uid, gid))
    for name, value in _attributes(source):
        os.setxattr(target, name, value)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _attributes(descriptor: int) -> list[tuple[str, bytes]]:
    try:
        names = sorted(os.listxattr(descriptor))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise
    kept = [name for name in names if not name.startswith(_ATTRIBUTES_LEFT_BEHIND)]
    return [(name, os.getxattr(descriptor, name)) for name in kept]


def compare_trees(one: Folder, name: str, other: Folder, other_name: str) -> Difference | None:
    """The first difference between two trees in names, kinds, content, modes, hard links, links, times or attributes;
    None if none.

    Owners are left out, since an unprivileged copy cannot keep them.
    """
    return _Comparison().directories(one.descriptor, name, other.descriptor, other_name, one.path / name)


class _Comparison:
    """One comparison: remembers which file with several names is which on the other side."""

    def __init__(self) -> None:
        self._right_of: dict[tuple[int, int], tuple[int, int]] = {}
        self._left_of: dict[tuple[int, int], tuple[int, int]] = {}

    def directories(self, one: int, name: str, other: int, other_name: str, path: Path) -> Difference | None:
        with naming("compare", path):
            left, right = os.open(name, _DIRECTORY, dir_fd=one), -1
            try:
                right = os.open(other_name, _DIRECTORY, dir_fd=other)
                names = sorted(os.listdir(left))
                if names != sorted(os.listdir(right)):
                    return Difference(path, "names")
                for child in names:
                    if difference := self._children(left, right, child, path / child):
                        return difference
                return _compare_open(left, right, path)
            finally:
                os.close(left)
                if right >= 0:
                    os.close(right)

    def _children(self, left: int, right: int, name: str, path: Path) -> Difference | None:
        with naming("compare", path):
            a = os.stat(name, dir_fd=left, follow_symlinks=False)
            b = os.stat(name, dir_fd=right, follow_symlinks=False)
            if stat.S_IFMT(a.st_mode) != stat.S_IFMT(b.st_mode):
                return Difference(path, "kind")
            if stat.S_ISDIR(a.st_mode):
                return self.directories(left, name, right, name, path)
            if a.st_nlink > 1 or b.st_nlink > 1:
                known = (a.st_dev, a.st_ino) in self._right_of
                if not self._one_file(a, b):
                    return Difference(path, "hard links")
                if known:  # compared under its first name
                    return None
            if stat.S_ISREG(a.st_mode):
                return _compare_files(left, right, name, path)
            if stat.S_ISLNK(a.st_mode) and os.readlink(name, dir_fd=left) != os.readlink(name, dir_fd=right):
                return Difference(path, "link")
            return _compare_status(a, b, path)

    def _one_file(self, a: os.stat_result, b: os.stat_result) -> bool:
        """Whether two names are of one file on the left where they are on the right."""
        left, right = (a.st_dev, a.st_ino), (b.st_dev, b.st_ino)
        return self._right_of.setdefault(left, right) == right and self._left_of.setdefault(right, left) == left


def _compare_files(left: int, right: int, name: str, path: Path) -> Difference | None:
    with (
        open(os.open(name, _READ, dir_fd=left), "rb") as a,
        open(os.open(name, _READ, dir_fd=right), "rb") as b,
    ):
        if difference := _compare_open(a.fileno(), b.fileno(), path):
            return difference
        same = hashlib.file_digest(a, "blake2b").digest() == hashlib.file_digest(b, "blake2b").digest()
        return None if same else Difference(path, "content")


def _compare_open(left: int, right: int, path: Path) -> Difference | None:
    if difference := _compare_status(os.fstat(left), os.fstat(right), path):
        return difference
    return None if _attributes(left) == _attributes(right) else Difference(path, "extended attributes")


def _compare_status(a: os.stat_result, b: os.stat_result, path: Path) -> Difference | None:
    if stat.S_ISREG(a.st_mode) and a.st_size != b.st_size:
        return Difference(path, "size")
    if stat.S_IMODE(a.st_mode) != stat.S_IMODE(b.st_mode):
        return Difference(path, "mode")
    return None if _is_kept(a.st_mtime_ns, b.st_mtime_ns) else Difference(path, "modification time")


def _is_kept(time: int, copied: int) -> bool:
    """Whether a time, in nanoseconds, was kept as finely as a file system can: Lustre keeps seconds, others less."""
    return any(copied == time - time % grain for grain in _GRAINS)


def remove_tree(folder: Folder, name: str) -> None:
    """Remove a directory and all below it. Links go, what they point at stays; read-only folders of ours are opened."""
    from conveyor.filesystem.copying.removing import remove
    from conveyor.filesystem.copying.values import Named

    remove(Named(folder, name))
