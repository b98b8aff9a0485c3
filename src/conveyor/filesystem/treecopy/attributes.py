"""The attributes of an entry: owner, mode, times, extended attributes and ACLs."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from conveyor.filesystem.syscalls import NO_LINK_TIMES
from conveyor.filesystem.treecopy.content import DiffersError, UncopyableEntryError
from conveyor.filesystem.treecopy.records import keeps_time

if TYPE_CHECKING:
    from collections.abc import Callable

# Attributes in which one file system keeps what is its own, as Lustre a file's striping: the target's layout is the target's
# business. So is a security label, which the host's policy gives and an ordinary account may not set. Sources: the
# XATTR_NAME_ constants of Lustre's lustre_idl.h, of Linux' xattr.h and fs/*/xattr.c, and GlusterFS's "Translator xattrs".
_OF_ONE_FILE_SYSTEM = (
    "afs.",
    "bcachefs.",
    "bcachefs_effective.",
    "beegfs.",
    "btrfs.",
    "ceph.",
    "cifs.",
    "glusterfs.",
    "gpfs.",
    "lustre.",
    "orangefs.",
    "smb3.",
    "security.apparmor",
    "security.evm",
    "security.ima",
    "security.selinux",
    "security.SMACK64",
    "system.cifs_",
    "system.dos_attrib",
    "system.gfs2_",
    "system.nfs4_",
    "system.nfs4acl",
    "system.ntfs_",
    "system.ocfs2_",
    "system.richacl",
    "system.smb3_",
    "trusted.SGI_",
    "trusted.afr.",
    "trusted.bit-rot.",
    "trusted.ec.",
    "trusted.gfid",
    "trusted.glusterfs.",
    "trusted.lfsck_",
    "trusted.lustre",
    "trusted.overlay.",
    "trusted.pgfid.",
    "user.fuseoverlayfs.",
    "user.mergerfs.",
    "user.overlay.",
)
_OF_LUSTRE = (
    *(
        "trusted.dataver",
        "trusted.dmv",
        "trusted.dummy",
        "trusted.fid",
        "trusted.hsm",
        "trusted.inodefl",
        "trusted.link",
    ),
    *("trusted.lma", "trusted.lmv", "trusted.lov", "trusted.pin", "trusted.projid", "trusted.som", "trusted.version"),
)
_DEFAULT_ACL = "system.posix_acl_default"
_NONE = frozenset({errno.ENOTSUP, errno.ENODATA})
# Fields of a stat by their numbers, which takes less time than by their names.
_MODE, _OWNERS_AND_SIZE = stat.ST_MODE, slice(stat.ST_UID, stat.ST_SIZE + 1)


def finish(source: int, status: os.stat_result, copy: int) -> os.stat_result:
    """Give an open copy the attributes of the open source, whose stat is ``status``; the stat of the copy afterwards.

    Raises :class:`UncopyableEntryError` if the file system does not keep what was set.
    """
    attributes = read_attributes(source)
    if attributes or stat.S_ISDIR(status.st_mode):
        _set_attributes(copy, attributes)
    modified = status.st_mtime_ns
    os.utime(copy, ns=(status.st_atime_ns, modified))
    now = os.fstat(copy)
    are_same = now[_OWNERS_AND_SIZE] == status[_OWNERS_AND_SIZE] and now[_MODE] == status[_MODE]
    if are_same and now.st_mtime_ns == modified and not attributes:
        return now
    if not _same_owner_and_mode(now, status):
        set_owner(status, now, lambda uid, gid: os.fchown(copy, uid, gid))
        os.fchmod(copy, stat.S_IMODE(status.st_mode))  # a new owner takes setuid and setgid away
        now = os.fstat(copy)
    confirm(status, now)
    if attributes and read_attributes(copy) != attributes:
        raise UncopyableEntryError("this file system did not keep the extended attributes that were set")
    return now


def finish_link(name: str, directory: int, status: os.stat_result) -> os.stat_result:
    """The same for a link, by its name; a time that cannot be set is let be."""
    now = os.stat(name, dir_fd=directory, follow_symlinks=False)
    set_owner(status, now, lambda uid, gid: os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False))
    try:
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINK_TIMES:
            raise
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


def finish_fifo(name: str, directory: int, status: os.stat_result) -> os.stat_result:
    """The same for a FIFO, by its name."""
    now = os.stat(name, dir_fd=directory, follow_symlinks=False)
    set_owner(status, now, lambda uid, gid: os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False))
    os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=directory)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=directory, follow_symlinks=False)
    now = os.stat(name, dir_fd=directory, follow_symlinks=False)
    confirm(status, now)
    return now


def confirm(source: os.stat_result, copy: os.stat_result) -> None:
    """Raise :class:`DiffersError` unless the copy has the source's length, mode and time."""
    if copy.st_mode != source.st_mode:
        raise UncopyableEntryError(f"this file system keeps the mode {copy.st_mode:o} instead of {source.st_mode:o}")
    if not keeps_time(source, copy):
        raise UncopyableEntryError(
            f"this file system keeps the modification time {copy.st_mtime_ns} ns instead of {source.st_mtime_ns} ns"
        )
    if copy.st_size != source.st_size and not stat.S_ISDIR(source.st_mode):
        raise DiffersError(f"the copy has another length: {copy.st_size} bytes instead of {source.st_size}")


def make_private(directory: int) -> None:
    """Let nobody else into a directory of the copy while it is worked on, and let nothing in it inherit an ACL."""
    os.fchmod(directory, 0o700)
    try:
        os.removexattr(directory, _DEFAULT_ACL)
    except OSError as error:
        if error.errno not in _NONE:
            raise


def _same_owner_and_mode(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)


def set_owner(wanted: os.stat_result, now: os.stat_result, change: Callable[[int, int], None]) -> None:
    """Set owner and group if permitted, each by itself: an account may give a file to a group, not to a person."""
    for uid, gid in ((wanted.st_uid, -1), (-1, wanted.st_gid)):
        if uid in (now.st_uid, -1) and gid in (now.st_gid, -1):
            continue
        try:
            change(uid, gid)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):  # EINVAL: one that a user namespace does not know
                raise


def named_in(directory: int, name: str) -> str:
    """The path of a name in an open directory, for the calls about extended attributes, which take no such pair."""
    return f"/proc/self/fd/{directory}/{name}"


def read_attributes(place: int | str) -> dict[str, bytes]:
    """The extended attributes that are copied of an open file or directory, or by its path; ACLs are among them."""
    follow = isinstance(place, int)
    try:
        if not (names := os.listxattr(place, follow_symlinks=follow)):
            return {}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    found = {}
    for name in filter(is_copied, names):
        try:
            found[name] = os.getxattr(place, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno != errno.ENODATA:  # removed since, or one that a file system lists and does not give
                raise
    return found


def has_attributes(path: str) -> bool:
    """Tell if an entry, links not followed, has extended attributes. False if it is gone, or there is no ``/proc``."""
    try:
        return bool(os.listxattr(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return False
        raise


def is_copied(name: str) -> bool:
    """Tell if an extended attribute is data, and not what one file system keeps for itself."""
    return not name.startswith(_OF_ONE_FILE_SYSTEM) and name not in _OF_LUSTRE


class LargestAttributes:
    """The sizes of the largest attributes of each kind, in bytes: a target takes a kind up to some size, or not at all.

    A kind is a namespace, such as ``user``; each attribute of ``system`` and ``security`` is a kind of its own.
    """

    def __init__(self) -> None:
        self._seen: dict[frozenset[str], tuple[int, int]] = {}

    def add(self, attributes: dict[str, bytes]) -> bool:
        """Take those of one entry into account; True if they are of other kinds, or larger, than what was seen before."""
        kinds = frozenset(_kind(name) for name in attributes)
        sizes = [len(name) + len(value) for name, value in attributes.items()]
        most, longest = self._seen.get(kinds, (0, 0))
        self._seen[kinds] = max(most, sum(sizes)), max(longest, *sizes)
        return (most, longest) != self._seen[kinds]


def _kind(name: str) -> str:
    namespace = name.partition(".")[0]
    return name if namespace in ("system", "security") else namespace


def _set_attributes(descriptor: int, wanted: dict[str, bytes]) -> None:
    there = read_attributes(descriptor)
    for name in there.keys() - wanted.keys():
        os.removexattr(descriptor, name)
    for name, value in wanted.items():
        if there.get(name) != value:
            os.setxattr(descriptor, name, value)
