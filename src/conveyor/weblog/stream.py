"""The bytes of a weblog tar: inflated where it is gzipped, read once from front to back, counted and bounded."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from conveyor.errors import WeblogDamagedError, WeblogTooLargeError

if TYPE_CHECKING:
    from typing import BinaryIO

BLOCK = 512  # bytes; everything in a tar stands in blocks of this size
_GZIP = b"\x1f\x8b"
_PIECE = 1 << 18  # bytes that are passed over at once
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)


class Stream:
    """Reads the tar; more than ``most`` bytes in all are too many, whatever they are."""

    def __init__(self, tar: BinaryIO, label: str, most: int) -> None:
        start = tar.read(len(_GZIP))
        tar.seek(0)
        self._source: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=tar) if start == _GZIP else tar
        self._label = label
        self._most = self._left = most

    def damaged(self, why: str) -> WeblogDamagedError:
        """The error that says so; it is returned, not raised."""
        return WeblogDamagedError(f"the weblog {self._label} is damaged: {why}")

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end. Raises a weblog error where they cannot be had, or are too many."""
        try:
            data = self._source.read(size)
        except _DAMAGE as error:
            raise self.damaged(str(error)) from error
        self._left -= len(data)
        if self._left < 0:
            raise WeblogTooLargeError(f"the weblog {self._label} unpacks to more than {self._most} bytes")
        return data

    def exactly(self, size: int, what: str) -> bytes:
        """The next so many bytes; ``what`` says in the message where the tar ends too early."""
        data = self.read(size)
        if len(data) < size:  # a plain file, and gzip's, give all that there is
            raise self.damaged(f"it ends inside {what}")
        return data

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        while size > 0:
            size -= len(self.exactly(min(_PIECE, size), "a file"))

    def drain(self) -> None:
        """Read to the end: gzip's checksum stands there."""
        while self.read(_PIECE):
            pass


class Content:
    """The content of one file in the tar. Whoever takes it may leave any of it: ``finish`` passes over the rest."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self._left = size
        self._padding = -size % BLOCK

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size`` of them; nothing at the content's end."""
        data = self._stream.exactly(min(size, self._left), "a file")
        self._left -= len(data)
        return data

    def finish(self) -> None:
        """Go on to the next header."""
        self._stream.skip(self._left + self._padding)
        self._left = self._padding = 0
