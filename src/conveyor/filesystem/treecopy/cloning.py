"""Clone files: a copy that shares the extents of its source, where the file system has such, and is not read.

Only trying tells: btrfs refuses to share between a file with checksums and one without (``nodatacow``), xfs depends on how
it was made, and neither cares by which mounts or subvolumes the two files are reached.
"""

from __future__ import annotations

import errno
import math
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
    """Clones files that are worth it, each by trying, until too many were refused one after the other.

    ``least``: the length, in bytes, from which it is worth it to try; ``expected``: that from which a file is probably
    cloned. Both are infinite if it is no use, or if the last file that was tried was refused.
    """

    def __init__(self) -> None:
        self.least: float = _LEAST
        self.expected: float = _LEAST
        self._refusals = 0

    def clone(self, source: int, size: int, copy: int) -> bool:
        """Clone an open file of this length into an empty one; False, and that is empty still, if it has to be copied.

        Raises :class:`ChangedError` if the source has another length by now, and :class:`OSError`.
        """
        try:
            syscalls.clone(source, copy)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            if os.fstat(copy).st_size:  # some of it was cloned before one extent was refused
                os.ftruncate(copy, 0)
            self._refusals += error.errno in _OF_ALL_FILES
            self.expected = math.inf
            if self._refusals >= _MOST_REFUSALS:
                self.least = math.inf
            return False
        self._refusals, self.expected = 0, _LEAST
        if os.fstat(copy).st_size != size:
            raise ChangedError
        return True


def clone_file(source: int, copy: int) -> bool:
    """Clone an open file into an empty one, as :meth:`Cloner.clone` does, if no other ones are to be cloned."""
    size, cloner = os.fstat(source).st_size, Cloner()
    return size >= cloner.least and cloner.clone(source, size, copy)
