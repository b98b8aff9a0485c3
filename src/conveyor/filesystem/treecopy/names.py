"""The names in a folder, by part, with what they name; in few bytes where there are a million of them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.records import chunk_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conveyor.filesystem.treecopy.records import Record

# A name has neither "/" nor NUL in it: what follows it tells folders and links (FIFOs, sockets, devices) from files.
IS_DIRECTORY = "/"
IS_SPECIAL = "//"
_CHUNK = 4096


class DirListing:
    """Names in as many parts as are packed, or in one."""

    def __init__(self, names: list[str], packed: list[bytearray], count: int) -> None:
        self.count = count
        self.chunks = len(packed) or 1
        self._names = names
        self._packed = packed

    @classmethod
    def read(cls, directory: int, chunk_size: int, chunks: int | None = None) -> DirListing:
        """The names in an open folder, in as many parts as are given, or so many that each has about ``run`` names."""
        blocks: list[bytes] = []
        names: list[str] = []
        with os.scandir(directory) as entries:
            for entry in entries:
                names.append(_marked(entry))
                if len(names) == _CHUNK:
                    blocks.append(os.fsencode("\0".join(names)))
                    names = []
        count = len(names) + _CHUNK * len(blocks)
        chunks = chunks or -(-count // chunk_size) or 1
        packed = _packed([*blocks, os.fsencode("\0".join(names))], chunks) if blocks or chunks > 1 else []
        return cls(names, packed, count)

    @classmethod
    def recorded(cls, records: Mapping[str, Record]) -> DirListing:
        """The names of a folder that is known to have these, and no others."""
        return cls([name + _mark(record.mode) for name, record in records.items()], [], len(records))

    def chunk(self, number: int) -> list[str]:
        """The names in a part."""
        return os.fsdecode(bytes(self._packed[number])).split("\0")[:-1] if self._packed else self._names


def bare(name: str) -> str:
    """The name alone."""
    return name.rstrip("/")


def _marked(entry: os.DirEntry[str]) -> str:
    if entry.is_file(follow_symlinks=False):
        return entry.name
    return entry.name + (IS_DIRECTORY if entry.is_dir(follow_symlinks=False) else IS_SPECIAL)


def _mark(mode: int) -> str:
    if stat.S_ISREG(mode):
        return ""
    return IS_DIRECTORY if stat.S_ISDIR(mode) else IS_SPECIAL


def _packed(chunks: list[bytes], parts: int) -> list[bytearray]:
    packed = [bytearray() for _ in range(parts)]
    for chunk in chunks:
        for name in chunk.split(b"\0"):
            if name:
                packed[chunk_of(name.rstrip(b"/"), parts)] += name + b"\0"
    return packed
