"""Open files below a directory that other people fill, so that no path leads out of it.

Each name is opened in the open directory before it, and links are followed by hand: what somebody puts in the place of a
directory or of a link meanwhile is refused like what stood there before. ``openat2`` with ``RESOLVE_BENEATH`` does the same,
but Linux has it since 5.6 only, and clusters have older kernels.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.filesystem.error_context import error_context

if TYPE_CHECKING:
    from conveyor.filesystem.posix import DirFd

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Not waiting for a FIFO that takes the place of the file at this moment.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MOST_LINKS = 40  # as the kernel follows (path_resolution(7))


@dataclass(slots=True)
class FileBeneath:
    """A regular file that is open for reading: ``size`` in bytes, ``modified`` in seconds since the epoch.

    ``tag`` is another one if the file may have another content.
    """

    descriptor: int
    size: int
    modified: float
    tag: str

    def read_at(self, offset: int, count: int) -> bytes:
        """Read ``count`` bytes at most from a place on. Raises :class:`OSError`."""
        return os.pread(self.descriptor, count, offset)

    def close(self) -> None:
        """Give the descriptor back; closing twice is harmless."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def open_beneath(directory: DirFd, path: str, *, hidden: frozenset[str] = frozenset()) -> FileBeneath:
    """Open a regular file by its path from an open directory; links are followed as long as they stay in the directory.

    ``hidden`` are names in the directory itself that nothing leads to. Raises :class:`OSError`: EXDEV if the path, or a link
    on its way, leads out of the directory; EISDIR for a directory; EINVAL for what is no file; ENOENT.
    """
    walk = _Walk(directory.descriptor, hidden)
    with error_context("open", directory.path / path):
        try:
            return walk.open(path)
        finally:
            walk.close()


class _Walk:
    """The directories that a walk has open, from the one where it began on, which it never leaves."""

    def __init__(self, descriptor: int, hidden: frozenset[str]) -> None:
        self._opened = [os.dup(descriptor)]
        self._hidden = hidden
        self._links = 0

    def open(self, path: str) -> FileBeneath:
        ahead = _names(path)
        while ahead:
            name = ahead.pop()
            if name == "..":
                self._go_up()
                continue
            found = self._look(name)
            if isinstance(found, str):
                ahead += _names(found)
            elif found:
                if ahead:
                    raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                return _opened(os.open(name, _READ, dir_fd=self._opened[-1]))
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))

    def _go_up(self) -> None:
        if len(self._opened) == 1:
            raise OSError(errno.EXDEV, "it leads out of its directory")
        os.close(self._opened.pop())

    def _look(self, name: str) -> str | bool:
        """The text of a link; True for a file; False for a directory, which the walk has gone into then."""
        if len(self._opened) == 1 and name in self._hidden:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        descriptor = os.open(name, _LOOK, dir_fd=self._opened[-1])
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            self._opened.append(descriptor)
            return False
        try:
            return self._link(descriptor) if stat.S_ISLNK(mode) else True
        finally:
            os.close(descriptor)

    def _link(self, descriptor: int) -> str:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        text = os.readlink("", dir_fd=descriptor)  # of the descriptor itself, see readlinkat(2)
        if text.startswith("/"):
            raise OSError(errno.EXDEV, "it leads out of its directory")
        return text

    def close(self) -> None:
        for descriptor in self._opened:
            os.close(descriptor)


def _names(path: str) -> list[str]:
    """The names of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _opened(descriptor: int) -> FileBeneath:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    # A page keeps the time that it had in its tar, so that only its inode, with the time of its own, tells it from the last.
    tag = f"{status.st_ino:x}-{status.st_ctime_ns:x}-{status.st_size:x}"
    return FileBeneath(descriptor, status.st_size, status.st_mtime, tag)
