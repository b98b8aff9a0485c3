"""Clone files: a copy that shares the extents of its source, where the file system has such, and is not read.

Only trying tells: btrfs refuses to share between a file with checksums and one without (``nodatacow``), xfs depends on how
it was made, and neither cares by which mounts or subvolumes the two files are reached.
"""

from __future__ import annotations

import errno
import os

from conveyor.filesystem import syscalls
from conveyor.filesystem.treecopy.content import ChangedError

# A shorter file is copied: on btrfs and xfs that takes no longer, and its content is verified.
_LEAST = 4096  # bytes
# The errors of two files that cannot share, or of a kernel, a file system or a sandbox that knows no clones (see
# ioctl_ficlone(2)). Any other one, a full disk say, would end a copy as well.
_REFUSED = frozenset(
    {
        errno.EXDEV,
        errno.EOPNOTSUPP,
        errno.ENOTTY,
        errno.ENOSYS,
        errno.EINVAL,
        errno.ETXTBSY,
        errno.EPERM,
        errno.EACCES,
    }
)
# Of these, those that are of two file systems, or of the kernel, and not of two files.
_OF_ALL_FILES = frozenset({errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EACCES})
_MOST_REFUSALS = 16  # in a row: these two file systems share nothing, and asking costs as much as a stat


class Cloner:
    """Clones files that are worth it, each by trying, until too many were refused one after the other."""

    def __init__(self) -> None:
        self._refusals = 0
        self._succeeded = True

    def expects(self, status: os.stat_result) -> bool:
        """Tell if a file will probably be cloned: it is long enough, and the last one that was tried could be."""
        return self._succeeded and status.st_size >= _LEAST

    def clone(self, source: int, status: os.stat_result, copy: int) -> bool:
        """Clone an open file into an empty one; False, and the copy is empty still, if it has to be copied.

        Raises :class:`ChangedError` if the source has another length by now, and :class:`OSError`.
        """
        if self._refusals >= _MOST_REFUSALS or status.st_size < _LEAST:
            return False
        try:
            syscalls.clone(source, copy)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            if os.fstat(copy).st_size:  # some of it was cloned before one extent was refused
                os.ftruncate(copy, 0)
            self._refusals += error.errno in _OF_ALL_FILES
            self._succeeded = False
            return False
        self._refusals, self._succeeded = 0, True
        if os.fstat(copy).st_size != status.st_size:
            raise ChangedError
        return True


def clone_file(source: int, copy: int) -> bool:
    """Clone an open file into an empty one, as :meth:`Cloner.clone` does, if no other ones are to be cloned."""
    return Cloner().clone(source, os.fstat(source), copy)
