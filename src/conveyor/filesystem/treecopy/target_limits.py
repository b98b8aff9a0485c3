"""Limits of a target: what it would not take of a tree, asked of a scratch file there before anything is copied."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from conveyor.filesystem.error_context import error_context
from conveyor.layout import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.messages import AttributesSeen, Extreme, UnusualTime


class Limit(StrEnum):
    """The kinds of what file systems limit; the values are the words that users read."""

    NAME = "a name of {} bytes"
    NAMES = "{} names of one file"
    LINK = "a link with a text of {} bytes"
    FILE = "a file of {} bytes"

    @property
    def harmless(self) -> int:
        """The amount that every file system takes, in bytes or names."""
        match self:
            case Limit.NAME:
                return 128
            case Limit.NAMES | Limit.LINK:
                return 1000
        return 1 << 40


_DEFAULT_ACL, _ACL = "system.posix_acl_default", "system.posix_acl_access"


class RefusedAttribute(NamedTuple):
    """An extended attribute, of ``size`` bytes, that a file system does not take, and the reason in words."""

    path: str
    name: str
    size: int
    reason: str


def refused_attributes(target: DirFd, seen: Iterable[AttributesSeen]) -> list[RefusedAttribute]:
    """Set each group of attributes on a scratch file in ``target``; those that it does not take. Raises :class:`OSError`."""
    refused = []
    for path, attributes in seen:
        with scratch_file(target) as file:
            for name, value in attributes.items():
                # Only a directory has a default ACL; it is of the same form as an ACL, and taken by the same file systems.
                probe = _ACL if name == _DEFAULT_ACL else name
                try:
                    os.setxattr(file, probe, value)
                    reason = "" if os.getxattr(file, probe) == value or probe == _ACL else "it does not keep it"
                except OSError as error:
                    reason = error.strerror or str(error)
                if reason:
                    refused.append(RefusedAttribute(path, name, len(value), reason))
    return refused


def exceeded(target: DirFd, seen: Iterable[Extreme]) -> Extreme | None:
    """The first extreme that is beyond what the file system of ``target`` takes; None if it takes all. Raises OSError."""
    return next((one for one in seen if not _takes(target, Limit(one.what), one.amount)), None)


def _takes(target: DirFd, limit: Limit, amount: int) -> bool:
    with error_context("create", target.path):
        match limit:
            case Limit.NAME:
                most = os.fstatvfs(target.descriptor).f_namemax
                return most == 0 or amount <= most
            case Limit.NAMES:
                # The C library knows it of some file systems, and says 127 (LINUX_LINK_MAX) of others.
                most = os.fpathconf(target.descriptor, "PC_LINK_MAX")
                return most <= 127 or amount <= most
            case Limit.LINK:
                return _takes_link(target.descriptor, amount)
            case Limit.FILE:
                with scratch_file(target) as file:
                    return _succeeds(os.ftruncate, file, amount)


def _takes_link(directory: int, length: int) -> bool:
    name = SCRATCH + secrets.token_hex(8)
    taken = _succeeds(partial(os.symlink, dir_fd=directory), "x/" * (length // 2) + "x" * (length % 2), name)
    if taken:
        os.unlink(name, dir_fd=directory)
    return taken


def _succeeds(call: Callable[..., None], *arguments: object) -> bool:
    try:
        call(*arguments)
    except OSError as error:
        if error.errno not in (errno.EFBIG, errno.ENAMETOOLONG, errno.EINVAL):
            raise
        return False
    return True


def lost_times(target: DirFd, seen: Iterable[UnusualTime]) -> list[str]:
    """Set each time on a scratch file in ``target``; the paths of those that come out as another second."""
    lost = []
    for path, modified in seen:
        with scratch_file(target) as file:
            try:
                os.utime(file, ns=(modified, modified))
                kept = os.fstat(file).st_mtime_ns // 10**9 == modified // 10**9
            except OSError:
                kept = False
        if not kept:
            lost.append(path)
    return lost


@contextlib.contextmanager
def scratch_file(directory: DirFd) -> Iterator[int]:
    """An open file of no name: without a trace even in the directory's times, where the file system has such files."""
    with error_context("create", directory.path):
        file = _open_scratch_file(directory.descriptor)
    try:
        yield file
    finally:
        os.close(file)


def _open_scratch_file(directory: int) -> int:
    with contextlib.suppress(OSError):
        return os.open(".", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=directory)
    name = SCRATCH + secrets.token_hex(8)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(name, flags, 0o600, dir_fd=directory)
    os.unlink(name, dir_fd=directory)
    return file
