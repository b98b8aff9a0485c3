"""System calls that Python does not offer.

Sources: renameat2(2), syncfs(2), prctl(2), statfs(2), statx(2), capget(2), capabilities(7) and ioctl_ficlone(2) of
the Linux man-pages. glibc has had ``renameat2`` and ``statx`` since 2.28.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import signal
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RENAME_EXCHANGE = 1 << 1
_PR_SET_PDEATHSIG = 1
_FICLONE = 0x40049409
_AT_NOFOLLOW_EMPTY_PATH = 0x100 | 0x1000
# The fields ``stx_attributes``, ``stx_attributes_mask`` and ``stx_mnt_id`` of ``struct statx``, which has 256 bytes.
_STATX_FLAGS = struct.Struct("=8xQ40xQ")
_STATX_BASIC = 0x7FF
# Of the same: ``stx_attributes``, ``stx_nlink``, ``stx_uid``, ``stx_mode``, ``stx_size``, ``stx_blocks``
# and the seconds of ``stx_mtime``. A file system that does not know a flag does not set it.
_STATX_ENTRY = struct.Struct("=8xQII4xH10xQQ56xq136x")
#: What utimensat(2) answers where links have no times, or those of what a link to itself leads to would be set.
NO_LINK_TIMES = frozenset({errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ELOOP})
#: Flags of an inode: nobody changes or removes it; it only grows, and nothing in it is removed.
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
# ``_LINUX_CAPABILITY_VERSION_3``, for the calling process; then effective, permitted and inherited ones in two words each.
_CAPABILITY_HEAD, _CAPABILITIES = struct.pack("=Ii", 0x20080522, 0), struct.Struct("=IIIIII")
_CAP_FOWNER = 3


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def has_exchange() -> bool:
    """Tell if the C library has ``renameat2`` at all; if a file system takes it, only trying tells."""
    return hasattr(_libc(), "renameat2")


def exchange(one: int, name: str, other: int, other_name: str) -> None:
    """``renameat2(RENAME_EXCHANGE)`` between two open directories; ENOSYS if the C library lacks it."""
    function = getattr(_libc(), "renameat2", None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    _check(function(one, os.fsencode(name), other, os.fsencode(other_name), ctypes.c_uint(_RENAME_EXCHANGE)))


def sync_file_system(descriptor: int) -> None:
    """``syncfs``: flush the file system that the open file is on. Since Linux 5.8 it also reports write errors."""
    _check(_libc().syncfs(descriptor))


def clone(source: int, copy: int) -> None:
    """``FICLONE``: let an open file have the content of another one by sharing its extents, holes included.

    Raises :class:`OSError`: EXDEV, EOPNOTSUPP, EINVAL and others where these two files cannot share.
    """
    fcntl.ioctl(copy, _FICLONE, source)


def inode_flags(directory: int, name: str = "") -> tuple[int, int]:
    """``statx``: the flags of an entry that are set, and those that its file system knows; without a name, of the directory.

    Both are 0 if it cannot be told. Links are not followed.
    """
    function, answer = _statx_function(), ctypes.create_string_buffer(256)
    if function is None or function(directory, os.fsencode(name), _AT_NOFOLLOW_EMPTY_PATH, _STATX_BASIC, answer):
        return 0, 0
    attributes, known = _STATX_FLAGS.unpack_from(answer)
    return attributes & known, known


class EntryStatus(NamedTuple):
    """An entry as ``statx`` tells of it: ``flags`` are those of its inode, ``modified`` is in seconds since the epoch.

    ``blocks`` are of 512 bytes. Of one that is not there, ``mode`` is 0.
    """

    flags: int
    links: int
    owner: int
    mode: int
    size: int
    blocks: int
    modified: int


def statuses(directory: int, names: Sequence[str]) -> Sequence[tuple[int, ...]]:
    """``statx`` of entries of an open directory, links not followed: the fields of an :class:`EntryStatus` of each.

    Where the C library lacks the call, ``flags`` is 0.
    """
    if not names:
        return ()
    if _statx_function() is None:
        return [_entry_status(directory, name) for name in names]
    function, fields = _untyped_statx(), _STATX_ENTRY.unpack_from
    answer = ctypes.create_string_buffer(_STATX_ENTRY.size)
    view, place = memoryview(answer), ctypes.byref(answer)
    return [
        _ABSENT if function(directory, name, _AT_NOFOLLOW_EMPTY_PATH, _STATX_BASIC, place) else fields(view)
        for name in os.fsencode("\0".join(names)).split(b"\0")
    ]


_ABSENT = EntryStatus(*[0] * 7)


def _entry_status(directory: int, name: str) -> EntryStatus:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return _ABSENT
    modified = status.st_mtime_ns // 10**9
    return EntryStatus(0, status.st_nlink, status.st_uid, status.st_mode, status.st_size, status.st_blocks, modified)


@functools.cache
def _statx_function() -> Callable[..., int] | None:
    """The function of the C library, with the types of its arguments, which makes it faster to call."""
    function = getattr(_libc(), "statx", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    return function


@functools.cache
def _untyped_statx() -> Callable[..., int]:
    """The same without types, for numbers, bytes and references, which need none: that takes half the time."""
    return _libc()["statx"]


def may_act_as_any_owner() -> bool:
    """``capget``: tell if this process has ``CAP_FOWNER``, and so may remove any file in a directory with the sticky bit."""
    answer = ctypes.create_string_buffer(_CAPABILITIES.size)
    _check(_libc().capget(_CAPABILITY_HEAD, answer))
    return bool(_CAPABILITIES.unpack(answer.raw)[0] >> _CAP_FOWNER & 1)


def die_with_parent() -> None:
    """``prctl(PR_SET_PDEATHSIG, SIGKILL)``: this process ends when the one that forked it does."""
    _check(_libc().prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL)))


def file_system_type(descriptor: int) -> int:
    """The magic number of the file system that an open file is on: the first field of ``struct statfs``, see statfs(2)."""
    answer = ctypes.create_string_buffer(256)  # the structure has 120 bytes on 64-bit Linux
    _check(_libc().fstatfs(descriptor, answer))
    return int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
