"""Trees to copy, and the three places that a copy is between: the source, the target and the manifest."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.check_manifest import Differences, changes, verify
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt, Side, Totals
from conveyor.filesystem.treecopy.remove_tree import remove_tree
from conveyor.filesystem.treecopy.transfer import transfer
from support.inventory import Item, inventory

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MOMENT = 1_400_000_000_123_456_789
#: Everything in the calling process; and everything in forked ones, from the first entry on, in parts of few names.
ALONE = CopyOptions(workers=1)
TOGETHER = CopyOptions(workers=3, fork_after=0, chunk_size=4, readahead=2)


@dataclass
class Pair:
    """A tree ``one/data`` and the place of its copy ``other/copy``, with the manifest ``one/manifest``."""

    one: Path
    other: Path
    options: CopyOptions = ALONE
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def source(self) -> Path:
        return self.one / "data"

    @property
    def copied(self) -> Path:
        return self.other / "copy"

    @property
    def manifest(self) -> Path:
        return self.one / "manifest"

    def named(self, path: Path) -> PathAt:
        return PathAt(self.stack.enter_context(FileSystem().open_root(path.parent)), path.name)

    def copy(self, monitor: CopyMonitor | None = None, **options: object) -> Totals:
        options_ = replace(self.options, **options)  # type: ignore[arg-type]  # what a test wants to be otherwise
        return transfer(
            self.named(self.source),
            self.named(self.copied),
            self.named(self.manifest),
            options_,
            monitor or CopyMonitor(),
        ).total

    def changes(self, side: Side, monitor: CopyMonitor | None = None) -> Differences:
        place = self.source if side is Side.SOURCE else self.copied
        return changes(self.named(place), self.named(self.manifest), side, self.options, monitor)

    def verify(self, side: Side = Side.COPY) -> set[tuple[str, str]]:
        """What a full reading of the copy, or of its source, finds, by path."""
        found: set[tuple[str, str]] = set()
        read = verify(
            self.named(self.source if side is Side.SOURCE else self.copied),
            self.named(self.manifest),
            lambda one: found.add((one.path, one.change)),
            self.options,
        )
        assert read is not None
        return found

    def remove(self, path: Path) -> None:
        remove_tree(self.named(path), self.options)


def same(tree: Path) -> dict[bytes, Item]:
    """An inventory without the blocks, which the file system decides."""
    return {name: replace(item, blocks=0) for name, item in inventory(tree).items()}


def made(tree: Path) -> dict[str, tuple[int, int]]:
    """Inode and ctime of each entry that is no directory, by its path: they tell it from one that was made later."""
    found = {}
    for path in tree.rglob("*"):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            found[str(path.relative_to(tree))] = status.st_ino, status.st_ctime_ns
    return found


def make_tree(root: Path, directories: int = 6, files: int = 8) -> None:
    """A tree of small files, with a link, a FIFO, a hard link and an empty directory in it."""
    for number in range(directories):
        directory = root / f"folder {number}" / "inner"
        directory.mkdir(parents=True)
        for count in range(files):
            (directory / f"file {count}").write_bytes(f"{number} {count}\n".encode() * (count * 50))
    (root / "empty").mkdir()
    (root / "link").symlink_to("folder 0/inner")
    os.mkfifo(root / "fifo")
    os.link(root / "folder 0" / "inner" / "file 1", root / "folder 1" / "second name")


def rot(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is read of a file from now on differ in one bit from what was written, as a bad disk does."""
    inode, read = path.stat().st_ino, os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], position: int) -> int:
        length = read(descriptor, buffers, position)
        if os.fstat(descriptor).st_ino == inode and length:
            buffers[0][0] ^= 1
        return length

    monkeypatch.setattr(os, "preadv", preadv)
