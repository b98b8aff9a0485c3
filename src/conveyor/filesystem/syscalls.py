"""The two system calls that Python does not offer: ``renameat2`` with its flags, and ``syncfs``.

Sources: renameat2(2) and syncfs(2) of the Linux man-pages. glibc has had ``renameat2`` since 2.28.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os

_RENAME_EXCHANGE = 1 << 1


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def has_exchange() -> bool:
    """Whether the C library has ``renameat2`` at all; whether a file system takes it, only trying tells."""
    return hasattr(_libc(), "renameat2")


def exchange(one: int, name: str, other: int, other_name: str) -> None:
    """``renameat2(RENAME_EXCHANGE)`` between two open directories; ENOSYS where the C library lacks it."""
    function = getattr(_libc(), "renameat2", None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    _check(function(one, os.fsencode(name), other, os.fsencode(other_name), ctypes.c_uint(_RENAME_EXCHANGE)))


def sync_file_system(descriptor: int) -> None:
    """``syncfs``: flush the file system that the open file is on. Since Linux 5.8 it also reports write errors."""
    _check(_libc().syncfs(descriptor))
