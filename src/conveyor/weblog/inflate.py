"""Read a file's blocks ahead in a thread, inflated where it is gzipped, while whoever takes them makes files of them.

A thread does: isal gives the interpreter's lock back while it inflates. Source: RFC 1952 for what a gzip file is; as
``gzip`` does, zeros after a member are passed over, and anything else there is an error.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP = b"\x1f\x8b"
# Bytes. With smaller blocks the threads wait for each other more often, with larger ones more memory is used.
_BLOCK = 1 << 19
_WAITING = 4  # blocks that wait to be taken, at most


class DamagedError(Exception):
    """What is gzipped is not whole, or not gzipped as it should be."""


class Readable(Protocol):
    """What has bytes."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; nothing at the end."""


class Ahead:
    """The blocks of a file, each when it is asked for; :meth:`close` ends the thread, whatever it is at."""

    def __init__(self, file: Readable) -> None:
        self._blocks = _blocks(iter(lambda: file.read(_BLOCK), b""))
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(_WAITING)
        self._over = self._stop = False
        self._thread = threading.Thread(target=self._fill, name="inflate", daemon=True)
        self._thread.start()

    def take(self) -> bytes:
        """The next block; nothing at the end. Raises :class:`DamagedError`, or what reading the file raised."""
        if self._over:
            return b""
        block = self._queue.get()
        if isinstance(block, BaseException):
            self._over = True
            raise block
        self._over = not block
        return block

    def close(self) -> None:
        """End the thread, and wait for it. The file is not read any more."""
        self._stop = True
        while not self._over:
            block = self._queue.get()
            self._over = isinstance(block, BaseException) or not block
        self._thread.join()

    def _fill(self) -> None:
        try:
            for block in self._blocks:
                self._queue.put(block)
                if self._stop:
                    break
            self._queue.put(b"")
        except BaseException as error:  # noqa: BLE001 - it is raised where the block is taken
            self._queue.put(error)


def _blocks(parts: Iterator[bytes]) -> Iterator[bytes]:
    first = next(parts, b"")
    if first.startswith(_GZIP):
        yield from _inflated(first, parts)
    elif first:
        yield first
        yield from parts


def _inflated(part: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The content of all gzip members, one after the other, in blocks of a bounded size."""
    from isal import igzip_lib

    while part:
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not member.eof:
            try:
                block = member.decompress(part, _BLOCK)
            except igzip_lib.error as error:  # type: ignore[misc]  # the stub calls the class an instance
                raise DamagedError(str(error)) from error
            if block:
                yield block
            part = next(parts, b"") if member.needs_input else b""
            if member.needs_input and not part:
                raise DamagedError("the gzip stream ends before its end mark")
        part = member.unused_data.lstrip(b"\0")
        while not part and (more := next(parts, b"")):
            part = more.lstrip(b"\0")
