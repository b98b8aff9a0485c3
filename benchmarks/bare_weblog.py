"""A bare unpacking of a weblog: some lines of Python that inflate, digest, copy and write in one process, and check nothing.

Nobody should unpack a tar with it. It says how fast Python lets a weblog be made, and what Conveyor's rules and limits
cost beyond that::

    python -m benchmarks.bare_weblog TAR FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from isal import igzip_lib
from xxhash import xxh3_128

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_PIECE, _INFLATED, _BLOCK = 1 << 17, 1 << 18, 512  # bytes
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def inflated(source: BinaryIO, copy: BinaryIO) -> Iterator[memoryview]:
    """Yield the content of a gzipped tar of one gzip member, which is digested and copied as it is read."""
    digest, member = xxh3_128(), igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    while not member.eof:
        part = source.read(_PIECE) if member.needs_input else b""
        digest.update(part)
        copy.write(part)
        yield memoryview(member.decompress(part, _INFLATED))


def unpack(tar: Path, target: Path) -> None:
    """Make the files of a tar that has nothing but files, with short names; the copy of the tar stands beside them."""
    folders: dict[bytes, int] = {}
    with tar.open("rb", 0) as source, (target / tar.name).open("xb", 0) as copy:
        blocks = inflated(source, copy)
        block, at = next(blocks), 0
        while True:
            while len(block) < at + _BLOCK:
                block, at = memoryview(bytes(block[at:]) + bytes(next(blocks))), max(at - len(block), 0)
            folder, _, name = bytes(block[at : at + 100]).rstrip(b"\0").rpartition(b"/")
            if not name:
                break
            left, modified = int(bytes(block[at + 124 : at + 135]), 8), int(bytes(block[at + 136 : at + 147]), 8)
            if folder not in folders:
                path = os.path.join(os.fsencode(target), folder)
                os.makedirs(path, exist_ok=True)
                folders[folder] = os.open(path, os.O_RDONLY)
            file = os.open(name, _NEW, 0o666, dir_fd=folders[folder])
            at, fill = at + _BLOCK, -left % _BLOCK
            while left > len(block) - at:
                left -= os.write(file, block[at:])
                block, at = next(blocks), 0
            os.write(file, block[at : at + left])
            os.utime(file, ns=(modified * 1_000_000_000, modified * 1_000_000_000))
            os.close(file)
            at += left + fill
        for _ in blocks:
            pass


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
