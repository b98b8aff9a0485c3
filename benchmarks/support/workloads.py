"""Trees like those that requests hold, with content that nothing can compress or leave out."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 4 << 20  # bytes; every file's content is taken from a block of noise
_PAGE = 4096  # bytes; a small file takes whole ones


@dataclass(frozen=True)
class Workload:
    """Some big files, and many small ones spread evenly over folders; sizes are in bytes."""

    name: str
    files: int
    folders: int
    smallest: int
    largest: int
    big_files: int = 0
    big_size: int = 0

    def scaled(self, scale: float) -> Workload:
        """The same kind of tree at a fraction of the size: fewer small files and folders, smaller big files."""
        return replace(
            self,
            files=max(1, round(self.files * scale)),
            folders=max(1, round(self.folders * scale)),
            big_size=round(self.big_size * scale),
        )

    @property
    def count(self) -> int:
        """How many files the tree has."""
        return self.files + self.big_files

    @property
    def space(self) -> int:
        """The bytes that the tree takes at most on a file system, without inodes and folders."""
        return self.big_files * self.big_size + self.files * (self.largest // _PAGE + 1) * _PAGE

    def fill(self, folder: Path) -> None:
        """Make the tree in a folder, which is made too; the same tree each time."""
        chance = random.Random(self.name)
        noise = chance.randbytes(_BLOCK)
        folder.mkdir(parents=True)
        for number in range(self.big_files):
            with (folder / f"table.f{number}").open("wb") as file:
                for start in range(0, self.big_size, _BLOCK):
                    file.write(noise[: min(_BLOCK, self.big_size - start)])
        for number in range(self.folders):
            (folder / f"SUBTABLE{number:05}").mkdir()
        for number in range(self.files):
            size = chance.randint(self.smallest, self.largest)
            start = chance.randrange(_BLOCK - size)
            parent = folder / f"SUBTABLE{number % self.folders:05}"
            with open(parent / f"table.f{number:07}", "wb", buffering=0) as file:
                file.write(noise[start : start + size])


WORKLOADS = {
    "A": Workload("MeasurementSet", 2_000, 200, 16 << 10, 16 << 10, big_files=4, big_size=512 << 20),
    "B": Workload("Small files", 50_000, 2_000, 2 << 10, 20 << 10),
}


def inventory(folder: Path) -> tuple[int, int]:
    """How many files there are below a folder, and their bytes together."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)
