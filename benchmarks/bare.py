"""A floor to compare with: as little as a verified copy by forked processes can do, and no more.

    python bare.py FROM TO [PROCESSES]

The calls are those of Conveyor's copy: files are opened ahead, hashed while they are read, written, read back and compared,
one ``syncfs`` makes all durable, and then the source is removed by the same number of processes. It remembers nothing, looks
at nothing twice, keeps no owner, attribute, hole or link, and cannot be resumed: nobody should carry data with it.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import TYPE_CHECKING

from conveyor.filesystem.syscalls import sync_file_system
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from conveyor.filesystem.treecopy.digest import Hasher, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Unit = tuple[str, list[str]]

_AHEAD = 32
_BUFFER, _STRETCH = 1 << 20, 8 << 20  # bytes


def units(root: str) -> list[Unit]:
    """Folders with their files, relative to the root; its own files one by one, since those may be big."""
    found = [(os.path.relpath(folder, root), files) for folder, _, files in os.walk(root)]
    return [(".", [name]) for name in found[0][1]] + found[1:]


def copy_unit(source: str, target: str, unit: Unit, buffer: memoryview) -> None:
    folder, names = unit
    origin = os.open(f"{source}/{folder}", os.O_RDONLY)
    goal = os.open(f"{target}/{folder}", os.O_RDONLY)
    waiting: deque[tuple[str, int]] = deque()
    for name in [*names, *[""] * _AHEAD]:
        if name:
            file = os.open(name, os.O_RDONLY, dir_fd=origin)
            os.posix_fadvise(file, 0, _STRETCH, os.POSIX_FADV_WILLNEED)
            waiting.append((name, file))
        if waiting and (not name or len(waiting) > _AHEAD):
            copy_file(*waiting.popleft(), goal, buffer)
    os.close(origin)
    os.close(goal)


def copy_file(name: str, file: int, goal: int, buffer: memoryview) -> None:
    status = os.fstat(file)
    copy = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, status.st_mode & 0o7777, dir_fd=goal)
    if status.st_size <= len(buffer):
        length = os.readv(file, [buffer])
        digest = digest_of(buffer[:length])
        os.write(copy, buffer[:length])
        again = digest_of(buffer[: os.preadv(copy, [buffer], 0)])
    else:
        digest, again = copy_long(file, copy, buffer)
    if digest != again:
        sys.exit(f"{name} was read back as another")
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.close(copy)
    os.close(file)


def copy_long(file: int, copy: int, buffer: memoryview) -> tuple[bytes, bytes]:
    read, again = Hasher(), Hasher()
    position = 0
    while length := os.readv(file, [buffer]):
        read.update(buffer[:length])
        os.write(copy, buffer[:length])
        again.update(buffer[: os.preadv(copy, [buffer[:length]], position)])
        position += length
        if position % _STRETCH == 0:
            os.posix_fadvise(file, position, 2 * _STRETCH, os.POSIX_FADV_WILLNEED)
            os.posix_fadvise(copy, 0, position, os.POSIX_FADV_DONTNEED)
    return read.digest(), again.digest()


def remove_unit(source: str, unit: Unit) -> None:
    folder, names = unit
    origin = os.open(f"{source}/{folder}", os.O_RDONLY)
    for name in names:
        os.unlink(name, dir_fd=origin)
    os.close(origin)


def together(processes: int, all_units: list[Unit], work: Callable[[Unit], None]) -> None:
    """Have so many processes do their share."""
    pids = []
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for unit in all_units[number::processes]:
                    work(unit)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    if sum(os.waitpid(pid, 0)[1] for pid in pids):
        sys.exit("a process failed")


def main() -> None:
    source, target, *more = sys.argv[1:]
    processes = int(more[0]) if more else CopyOptions().workers  # as many as Conveyor has by default
    os.umask(0)
    everything = units(source)
    buffer = memoryview(bytearray(_BUFFER))
    os.mkdir(target)
    for folder in {folder for folder, _ in everything} - {"."}:
        os.makedirs(f"{target}/{folder}", exist_ok=True)
    together(processes, everything, lambda unit: copy_unit(source, target, unit, buffer))
    descriptor = os.open(target, os.O_RDONLY)
    sync_file_system(descriptor)
    together(processes, everything, lambda unit: remove_unit(source, unit))
    for folder, _, _ in os.walk(source, topdown=False):
        os.rmdir(folder)


if __name__ == "__main__":
    main()
