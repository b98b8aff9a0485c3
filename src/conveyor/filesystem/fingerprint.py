"""The fingerprint of a tree: what tells whether anybody has written to it."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from conveyor.filesystem.naming import naming

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.filesystem.port import Folder

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fingerprint(folder: Folder, name: str) -> str:
    """What tells whether anything below a directory was changed: a digest of every entry's name, inode, mode, owner, size
    and times.

    Two that are equal are of the same tree with nobody having written to it in between: a change sets a change time, which
    nobody can set back. (One within the same tick of the clock, a few milliseconds, as an earlier one may not show.) The
    directory's own times are left out, since a rename sets them; what is made or removed in it shows all the same.
    Contents are not read.
    """
    digest = hashlib.blake2b(digest_size=16)
    _print_folder(folder.descriptor, name, folder.path / name, digest.update)
    return digest.hexdigest()


def _print_folder(parent: int, name: str, path: Path, take: Callable[[bytes], None]) -> None:
    with naming("look", path):
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        with naming("look", path):
            status = os.fstat(descriptor)
            take(f"{status.st_ino} {status.st_mode} {status.st_uid} {status.st_gid}\n".encode())
            children = sorted(os.listdir(descriptor))
        for child in children:
            with naming("look", path / child):
                status = os.stat(child, dir_fd=descriptor, follow_symlinks=False)
            identity = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_size)
            take(os.fsencode(child) + f"/{identity} {status.st_mtime_ns} {status.st_ctime_ns}\n".encode())
            if stat.S_ISDIR(status.st_mode):
                _print_folder(descriptor, child, path / child, take)
        take(b"/\n")
    finally:
        os.close(descriptor)
