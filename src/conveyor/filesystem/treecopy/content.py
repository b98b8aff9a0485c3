"""Copy the content of files: hashed on the way, read back; holes stay holes.

A file's digest is the hash of its content, holes read as zeros; of a file that is longer than a block, it is the hash of its
blocks' digests, one after the other, so that its copy can be resumed in the middle.
"""

from __future__ import annotations

import errno
import functools
import os
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.digest import SIZE, Hasher, digest_of
from conveyor.filesystem.treecopy.server_copy import copy_by_server, is_served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.filesystem.treecopy.worker_context import WorkerContext

# What is shorter is read at once; a longer file goes through a buffer that is used again, since new memory is slow.
_SHORT = 1 << 16
_ZEROS = bytes(1 << 20)
_STRETCH = 8 << 20  # bytes that the kernel is asked to read ahead, and to write behind


class ChangedError(Exception):
    """The source changed while it was read: it is looked at again."""


class DiffersError(Exception):
    """The copy is not what was written, or not what the source is. The path is added further up."""


class UncopyableEntryError(DiffersError):
    """The copy cannot be what the source is: another try ends in the same way."""


class Content:
    """Copies and hashes the content of files, with two buffers of its own."""

    def __init__(self, buffer: int, block: int, *, read_back: bool) -> None:
        self.block = block
        self._read_back = read_back
        self._length = buffer
        self._buffers: tuple[memoryview, memoryview] | None = None

    def copy(self, source: int, status: os.stat_result, copy: int, context: WorkerContext) -> bytes:
        """Copy a file that is no longer than a block into an empty one; its digest.

        Raises :class:`ChangedError`, or :class:`DiffersError` if something else is read back.
        """
        size = status.st_size
        if size > _SHORT or status.st_blocks * 512 < size:
            return self._copy_block(source, copy, 0, size, context)
        content = os.read(source, size)
        if len(content) != size:
            raise ChangedError
        if os.write(copy, content) != size:
            _write(copy, content[os.lseek(copy, 0, os.SEEK_CUR) :])
        if self._read_back and os.pread(copy, size + 1, 0) != content:
            raise _differs_error(0, size)
        if context.is_throttled:
            context.throttle(size)
        context.bytes += size  # told when the file is counted
        return digest_of(content)

    def copy_large(
        self,
        source: int,
        status: os.stat_result,
        copy: int,
        recorded: bytes,
        context: WorkerContext,
        done: Callable[[int, bytes], None],
    ) -> bytes:
        """Copy a file by blocks; its digest. ``recorded`` are digests of the first blocks that an earlier run copied.

        Those of them that are there stay, whatever is behind goes. ``done`` is called with the number of a new block and
        its digest, or those of a hole's blocks from there on.
        """
        size, digests = status.st_size, []
        for number in range(len(recorded) // SIZE):
            start, digest = number * self.block, recorded[SIZE * number : SIZE * (number + 1)]
            end = min(start + self.block, size)
            if os.fstat(copy).st_size < end or self._hash(copy, start, end, context) != digest:
                break
            digests.append(digest)
        os.ftruncate(copy, min(len(digests) * self.block, size))
        context.count(0, min(len(digests) * self.block, size))
        for start, end, is_data in self._parts(source, len(digests) * self.block, size):
            if is_data:
                new = [self._copy_block(source, copy, start, end, context)]
            else:
                os.ftruncate(copy, end)
                new = self._hole(start, end, context)
            now = os.fstat(source)
            if (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (size, status.st_mtime_ns, status.st_ctime_ns):
                raise ChangedError
            done(len(digests), b"".join(new))
            digests += new
        return digests[0] if len(digests) == 1 else digest_of(b"".join(digests))

    def digest(self, file: int, size: int, context: WorkerContext) -> bytes:
        """The digest of a file's first ``size`` bytes."""
        digests: list[bytes] = []
        for start, end, is_data in self._parts(file, 0, size):
            if is_data:
                digests.append(self._hash(file, start, end, context))
                context.count(0, end - start)
            else:
                digests += self._hole(start, end, context)
        if not digests:
            return digest_of(b"")
        return digests[0] if len(digests) == 1 else digest_of(b"".join(digests))

    def _parts(self, file: int, start: int, size: int) -> Iterator[tuple[int, int, bool]]:
        """The parts of a file from a block's start on: from, until, and True for a block, False for blocks that are a hole.

        A hole of terabytes costs no more than its blocks' digests, which are all the same.
        """
        while start < size:
            data = _next_data(file, start, size)
            end = size if data == size else data - data % self.block
            is_data = end <= start
            end = min(start + self.block, size) if is_data else end
            yield start, end, is_data
            start = end

    def _hole(self, start: int, end: int, context: WorkerContext) -> list[bytes]:
        """The digests of blocks that are a hole; the last one of a file may be shorter."""
        context.count(0, end - start)
        blocks, rest = divmod(end - start, self.block)
        return [_zeros_digest(self.block)] * blocks + ([_zeros_digest(rest)] if rest else [])

    def _copy_block(self, source: int, copy: int, start: int, end: int, context: WorkerContext) -> bytes:
        if is_served(source, copy) and (digest := self._serve_block(source, copy, start, end, context)) is not None:
            return digest
        return self._carry_block(source, copy, start, end, context)

    def _serve_block(self, source: int, copy: int, start: int, end: int, context: WorkerContext) -> bytes | None:
        """Have the server copy a block, and read both sides of it; its digest, None if the server does not copy."""
        before = os.fstat(source)
        for first, until, is_data in _stretches(source, start, end):
            if is_data and not copy_by_server(source, copy, first, until):
                return None
            context.throttle(until - first if is_data else 0)
        if os.fstat(copy).st_size < end:  # it ends with a hole, or the source does
            os.ftruncate(copy, end)
        os.posix_fadvise(copy, start, end - start, os.POSIX_FADV_DONTNEED)
        digests = [self._hash(file, start, end, context) for file in (source, copy)]
        now = os.fstat(source)
        if (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (before.st_size, before.st_mtime_ns, before.st_ctime_ns):
            raise ChangedError
        if digests[0] != digests[1]:
            raise _differs_error(start, end)
        context.count(0, end - start)
        return digests[0]

    def _carry_block(self, source: int, copy: int, start: int, end: int, context: WorkerContext) -> bytes:
        read, read_back = Hasher(), Hasher()
        ours, theirs = self._both()
        for first, until, is_data in _stretches(source, start, end):
            if not is_data:
                add_zeros(read, until - first)
                add_zeros(read_back, until - first)
                context.count(0, until - first)
                continue
            position = advised = os.lseek(copy, first, os.SEEK_SET)
            while position < until:
                if position >= advised:
                    advised += _STRETCH
                    _advise(source, copy, start, position)
                length = os.preadv(source, [ours[: until - position]], position)
                if not length:
                    raise ChangedError
                part = ours[:length]
                read.update(part)
                _write(copy, part)
                if self._read_back:
                    read_back.update(theirs[: os.preadv(copy, [theirs[:length]], position)])
                position += length
                context.throttle(length)
                context.count(0, length)
        if os.fstat(copy).st_size < end:  # it ends with a hole
            os.ftruncate(copy, end)
        if self._read_back and read_back.digest() != read.digest():
            raise _differs_error(start, end)
        return read.digest()

    def _hash(self, file: int, start: int, end: int, context: WorkerContext) -> bytes:
        stretches = list(_stretches(file, start, end))
        if not any(is_data for _, _, is_data in stretches):
            return _zeros_digest(end - start)
        state = Hasher()
        ours, _ = self._both()
        for first, until, is_data in stretches:
            if not is_data:
                add_zeros(state, until - first)
                continue
            position = first
            while position < until and (length := os.preadv(file, [ours[: until - position]], position)):
                state.update(ours[:length])
                position += length
                context.checkpoint()
        return state.digest()

    def _both(self) -> tuple[memoryview, memoryview]:
        if self._buffers is None:
            self._buffers = memoryview(bytearray(self._length)), memoryview(bytearray(self._length))
        return self._buffers


def _advise(source: int, copy: int, start: int, position: int) -> None:
    """Have the kernel read ahead, and write what was read back to the disk meanwhile and drop it from its cache."""
    os.posix_fadvise(source, position, 2 * _STRETCH, os.POSIX_FADV_WILLNEED)
    if position > start:
        os.posix_fadvise(copy, start, position - start, os.POSIX_FADV_DONTNEED)


def _differs_error(start: int, end: int) -> DiffersError:
    return DiffersError(f"what was read back is not what was written, between the bytes {start} and {end}")


def _write(descriptor: int, content: bytes | memoryview) -> None:
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, memoryview(content)[written:])


def _stretches(file: int, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """The stretches between two positions: from, until, and True for data, False for a hole."""
    position = start
    while position < end:
        data = _next_data(file, position, end)
        if data > position:
            yield position, data, False
        if data < end:
            position = _next_hole(file, data, end)
            yield data, position, True
        else:
            position = end


def _next_data(file: int, position: int, end: int) -> int:
    """The position, up to an end, from which a file has data."""
    try:
        return min(os.lseek(file, position, os.SEEK_DATA), end)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole to the end
            return end
        if error.errno == errno.EINVAL:  # no holes on this file system
            return position
        raise


def _next_hole(file: int, position: int, end: int) -> int:
    try:
        return min(os.lseek(file, position, os.SEEK_HOLE), end)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return end
        raise


def add_zeros(state: Hasher, length: int) -> None:
    """Hash so many zeros."""
    while length > 0:
        state.update(_ZEROS[:length] if length < len(_ZEROS) else _ZEROS)
        length -= len(_ZEROS)


@functools.lru_cache(maxsize=4)
def _zeros_digest(length: int) -> bytes:
    state = Hasher()
    add_zeros(state, length)
    return state.digest()
