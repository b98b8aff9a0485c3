"""The bytes of a weblog tar: read once from front to back, counted and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.errors import WeblogDamagedError
from conveyor.weblog.inflate import InflateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.errors import WeblogTooLargeError
    from conveyor.weblog.inflate import InflatedTar

BLOCK = 512  # bytes; everything in a tar stands in blocks of this size


class Stream:
    """Reader of a tar's content, which may have at most ``most`` bytes in all; else ``too_large`` is raised."""

    def __init__(self, source: InflatedTar, label: str, most: int, too_large: WeblogTooLargeError) -> None:
        self._too_large = too_large
        self._source = source
        self._label = label
        self._most = self._left = most
        self._block = memoryview(b"")  # what was taken from the source, and from where on it is still to be read
        self._at = 0

    @property
    def position(self) -> int:
        """The number of bytes that were read."""
        return self._most - self._left

    def damaged_error(self, why: str) -> WeblogDamagedError:
        """Return the error that says why the tar is damaged."""
        return WeblogDamagedError(f"the weblog {self._label} is damaged: {why}")

    def cut_short_error(self, why: str) -> WeblogDamagedError:
        """Return the error that says where the tar ends too early."""
        return WeblogDamagedError(f"the weblog {self._label} is damaged: {why}", cut_short=True)

    def ahead(self) -> memoryview:
        """Return what can be read without waiting for more; it is still to be read."""
        return self._block[self._at : self._at + self._left]

    def piece(self, size: int) -> memoryview:
        """Return the next bytes, at least one and at most ``size``; empty at the end, or if ``size`` is 0.

        Raises :class:`~conveyor.errors.WeblogDamagedError` if they cannot be read, and
        :class:`~conveyor.errors.WeblogTooLargeError` if they exceed the limit.
        """
        at = self._at
        if at == len(self._block):
            try:
                self._block, at = self._source.take(), 0
            except InflateError as error:
                make = self.cut_short_error if error.cut_short else self.damaged_error
                raise make(str(error)) from error
        data = self._block[at : at + size]
        self._at = at + len(data)
        self._left -= len(data)
        if self._left < 0:
            raise self._too_large
        return data

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer at the end."""
        end = self._at + size
        if end <= len(self._block) and size <= self._left:  # what follows does the same, taking four times as long
            self._left -= size
            self._at, data = end, bytes(self._block[self._at : end])
            return data
        data = bytes(self.piece(size))
        while len(data) < size and (more := self.piece(size - len(data))):
            data += more
        return data

    def exactly(self, size: int, what: str) -> bytes:
        """Return the next ``size`` bytes. Raises WeblogDamagedError, which names ``what``, if the tar ends before."""
        data = self.read(size)
        if len(data) < size:
            raise self.cut_short_error(f"it ends inside {what}")
        return data

    def skip(self, size: int) -> None:
        """Skip ``size`` bytes of a file."""
        while size > 0:
            size -= len(self._some(size))

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield the next ``size`` bytes of a file, piece by piece."""
        while size > 0:
            piece = self._some(size)
            size -= len(piece)
            yield piece

    def _some(self, size: int) -> memoryview:
        piece = self.piece(size)
        if not piece:
            raise self.cut_short_error("it ends inside a file")
        return piece

    def drain(self) -> None:
        """Read to the end: gzip's checksum stands there."""
        while self.piece(1 << 20):
            pass
