"""Copies that a file server makes by itself, so that their content need not go over the network to be written.

``copy_file_range`` answers the same where no server copies and the kernel does so in a loop of its own, which gains nothing
and tells nothing. So it is called only between files of one network file system whose protocol has such copies: NFS 4.2
(COPY), SMB (``FSCTL_SRV_COPYCHUNK``) and CephFS (``copy-from``). On a mount that was not made for them the client may copy,
which is slower and as right: both sides are read afterwards in either case.
"""

from __future__ import annotations

import errno
import os

from conveyor.filesystem import syscalls

# By the magic numbers of statfs(2): NFS, CIFS, SMB 2 and later, CephFS.
_SERVED = frozenset({0x6969, 0xFF534D42, 0xFE534D42, 0x00C36400})
# The errors of a server that does not copy, or not between these two; see copy_file_range(2).
_REFUSED = frozenset(
    {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.ETXTBSY, errno.EPERM}
)


def is_served(source: int, copy: int) -> bool:
    """Tell if two open files are on file systems of one protocol whose servers may copy. Raises :class:`OSError`."""
    kind = syscalls.file_system_type(source)
    return kind in _SERVED and kind == syscalls.file_system_type(copy)


def copy_by_server(source: int, copy: int, start: int, end: int) -> bool:
    """Have the bytes between two positions copied; False if that is refused, and the copy has some of them at most.

    It ends early, and is true, if the source is shorter. Raises :class:`OSError`.
    """
    position = start
    try:
        while position < end and (length := os.copy_file_range(source, copy, end - position, position, position)):
            position += length
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        return False
    return True
