"""Project IDs, by which ext4, f2fs, xfs and Lustre count what belongs to a directory quota.

Each file, directory and link has one. A directory may hand its own on to what is made in it; then it takes in, by a rename,
nothing that has another one (EXDEV). Only what is renamed is asked, not what is in it.

Sources: ioctl_xfs_fsgetxattr(2) of the Linux man-pages; for ``file_getattr`` and ``file_setattr`` (Linux 6.17), which need
no open file and so reach links and special files too, linux/fs.h and the kernel's ``fs/file_attr.c``.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# ``struct fsxattr`` of linux/fs.h: flags, extent size, extents, project ID, CoW extent size, and 8 bytes of padding.
_FSXATTR = struct.Struct("=IIIII8x")
_FSGETXATTR, _FSSETXATTR = 0x801C581F, 0x401C5820
_FILE_GETATTR, _FILE_SETATTR = 468, 469  # of every architecture but alpha
_AT_SYMLINK_NOFOLLOW = 0x100
_PROJINHERIT = 0x200
# No terminal becomes ours, no lease is waited for.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class _FileAttributes(ctypes.Structure):
    """``struct file_attr`` of linux/fs.h."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("extent_size", ctypes.c_uint32),
        ("extents", ctypes.c_uint32),
        ("project", ctypes.c_uint32),
        ("cow_extent_size", ctypes.c_uint32),
    )


#: The errors of what has no project: of the kernel, of a file system, or of an entry that it has none for.
NO_PROJECT = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class Project(NamedTuple):
    """The project ID of an entry, and whether, as a directory, it hands it on to what is made in it."""

    number: int
    handed_on: bool = False

    def __str__(self) -> str:
        return f"project {self.number}" if self.number else "no project"


@functools.cache
def _system_call() -> Callable[..., int] | None:
    """``syscall`` of the C library, if the kernel has ``file_getattr``; None if it has not, or a sandbox hides it."""
    call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).syscall
    # Said once, the types make each call faster.
    types = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)
    call.argtypes = types  # type: ignore[attr-defined]
    call(_FILE_GETATTR, -1, b"", None, 0, 0)
    return call if ctypes.get_errno() == errno.EINVAL else None  # it takes no answer of 0 bytes


class ProjectCalls:
    """The calls that read and set projects; made once for many of them, since a tree may have millions.

    Each raises :class:`OSError`, with an error of :data:`NO_PROJECT` for what has no project that can be told. Links and
    special files (``special``) mostly have none: they cannot be opened for it, and only Linux 6.17 can ask xfs by name.
    """

    def __init__(self) -> None:
        self._call = _system_call()
        self._attributes = _FileAttributes()
        self._place, self._size = ctypes.byref(self._attributes), ctypes.sizeof(self._attributes)

    def read(self, directory: int, name: str = ".", *, special: bool = False) -> Project:
        """The project of an entry of an open directory."""
        if self._found(directory, name.encode(_ENCODING, _ERRORS), special=special):
            return Project(self._attributes.project, bool(self._attributes.flags & _PROJINHERIT))
        return _by_descriptor(directory, name, None)

    def set(self, directory: int, name: str, number: int, *, handed_on: bool, special: bool = False) -> None:
        """Set the project of an entry, which its owner may do, unless it has it.

        What stands below a directory keeps its own; only directories hand theirs on.
        """
        path, attributes = name.encode(_ENCODING, _ERRORS), self._attributes
        if not self._found(directory, path, special=special):
            _by_descriptor(directory, name, Project(number, handed_on))
            return
        flags = attributes.flags & ~_PROJINHERIT | _PROJINHERIT * handed_on
        if attributes.project != number or attributes.flags != flags:
            attributes.project, attributes.flags = number, flags
            self._ask(_FILE_SETATTR, directory, path)

    def others(self, directory: int, files: Sequence[str], usual: Project) -> list[str]:
        """The names of files, of an open directory, that have another project than most, or that have to be asked singly."""
        if self._call is None:
            return [*files]
        call, attributes, place, size, number = self._call, self._attributes, self._place, self._size, usual.number
        return [
            name
            for name in files
            if call(_FILE_GETATTR, directory, name.encode(_ENCODING, _ERRORS), place, size, _AT_SYMLINK_NOFOLLOW)
            or attributes.project != number
            or attributes.flags & _PROJINHERIT
        ]

    def give(self, directory: int, files: Sequence[str], wanted: Project) -> list[str]:
        """Set the project of files of an open directory; return the names of those that have to be dealt with singly."""
        if self._call is None:
            return [*files]
        call, attributes, place, size, number = self._call, self._attributes, self._place, self._size, wanted.number
        left = []
        for name in files:
            path = name.encode(_ENCODING, _ERRORS)
            if call(_FILE_GETATTR, directory, path, place, size, _AT_SYMLINK_NOFOLLOW):
                left.append(name)
            elif attributes.project != number:
                attributes.project = number
                if call(_FILE_SETATTR, directory, path, place, size, _AT_SYMLINK_NOFOLLOW):
                    left.append(name)
        return left

    def _found(self, directory: int, path: bytes, *, special: bool) -> bool:
        """Ask by name; False if the entry has to be opened: the kernel has no such call, or the file system none for it."""
        try:
            self._ask(_FILE_GETATTR, directory, path)
        except OSError as error:
            if special or error.errno not in NO_PROJECT:
                raise
            return False
        return True

    def _ask(self, number: int, directory: int, path: bytes) -> None:
        if self._call is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if self._call(number, directory, path, self._place, self._size, _AT_SYMLINK_NOFOLLOW):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def _by_descriptor(directory: int, name: str, wanted: Project | None) -> Project:
    """Read, and set, the project of an entry that is opened for it: a file or a directory."""
    descriptor = os.open(name, _OPEN, dir_fd=directory)
    try:
        flags, extent_size, extents, number, cow = _FSXATTR.unpack(
            fcntl.ioctl(descriptor, _FSGETXATTR, bytes(_FSXATTR.size))
        )
        before = Project(number, bool(flags & _PROJINHERIT))
        if wanted is not None and before != wanted:
            flags = flags & ~_PROJINHERIT | _PROJINHERIT * wanted.handed_on
            fields = _FSXATTR.pack(flags, extent_size, extents, wanted.number, cow)
            fcntl.ioctl(descriptor, _FSSETXATTR, fields)
        return before
    finally:
        os.close(descriptor)
