"""Open files whose errors say which operation failed, on which path, and whose ``write`` writes all it is given."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from conveyor.filesystem.error_context import error_context

if TYPE_CHECKING:
    from pathlib import Path


class OpenFile(io.RawIOBase):
    """A file that is open for reading or for writing, without a buffer of its own; closing it closes the descriptor."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._position = 0

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with error_context("seek", self._path):
            size = os.fstat(self._descriptor).st_size if whence == os.SEEK_END else 0
            start = self._position if whence == os.SEEK_CUR else size
            self._position = start + offset
            os.lseek(self._descriptor, self._position, os.SEEK_SET)
        return self._position

    def readinto(self, buffer: Any) -> int:
        with error_context("read", self._path):
            data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def write(self, content: Any) -> int:
        """Write all of the content; its length in bytes."""
        rest = memoryview(content)
        with error_context("write", self._path):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._position += len(content)
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        """Give the file this size in bytes, by default that of where it stands; what is added is a hole."""
        length = self._position if size is None else size
        with error_context("truncate", self._path):
            os.ftruncate(self._descriptor, length)
        return length

    def begin_flush(self) -> None:
        """Have the kernel bring to the disk what was written, and wait for nothing."""
        with error_context("flush", self._path):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        if not self.closed:
            super().close()
            with error_context("close", self._path):
                os.close(self._descriptor)
