"""File systems of the benchmark's own, made anew for every run: ext4 and xfs in images that are mounted by loop, and tmpfs.

A file system that has aged is several times slower to delete from, so that nothing is measured twice on one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.ext4_projects import ext4_projects

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("ext4", "xfs", "btrfs", "tmpfs")
_IMAGES = ("ext4", "ext4-projects", "xfs", "btrfs")


class CannotMountError(Exception):
    """This account or machine cannot have a file system of its own; the message says why, and what to do."""


@dataclass(frozen=True)
class Need:
    """What has to fit: bytes of data, and files and folders together."""

    space: int
    inodes: int

    @property
    def size(self) -> int:
        """Bytes of a file system that has ample room for it."""
        return (768 << 20) + self.space * 5 // 4 + self.inodes * 1024


class Volumes:
    """Makes file systems below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def mounted(self, kind: str, name: str, need: Need, image: Path | None = None) -> Iterator[Path]:
        """A file system's mount point while the block runs: a new one, or that of an image, which is mounted itself.

        A ``kind`` that is the path of a folder stands for a new folder in there. Raises :class:`CannotMountError`.
        """
        with ExitStack() as stack:
            if os.path.isabs(kind):
                point = Path(kind) / f".conveyor-benchmark.{os.getpid()}.{name}"
                stack.callback(shutil.rmtree, point, ignore_errors=True)
                point.mkdir()
            else:
                point = self._folder / name
                point.mkdir(exist_ok=True)
                stack.callback(point.rmdir)
                if kind == "tmpfs":
                    _run(["mount", "-t", "tmpfs", "-o", f"size={need.size},nr_inodes=0", "tmpfs", str(point)])
                else:
                    if image is None:
                        image = self._folder / f"{name}.image"
                        stack.callback(image.unlink, missing_ok=True)
                        _make(kind, image, need)
                    _run(["mount", "-t", kind.partition("-")[0], "-o", "loop", str(image), str(point)])
                stack.callback(_unmount, point)
                if kind == "ext4-projects":
                    stack.enter_context(ext4_projects(point))
            yield point

    @contextmanager
    def bound(self, place: Path, name: str) -> Iterator[Path]:
        """A folder by a mount of its own while the block runs."""
        point = self._folder / name
        point.mkdir()
        with ExitStack() as stack:
            stack.callback(point.rmdir)
            _run(["mount", "--bind", str(place), str(point)])
            stack.callback(_unmount, point)
            yield point

    @contextmanager
    def crowd(self, number: int) -> Iterator[None]:
        """Have so many mounts on this host while the block runs, by small ones of tmpfs; it may have more already."""
        with ExitStack() as stack:
            there = len(Path("/proc/self/mounts").read_text().splitlines())
            for one in range(number - there):
                point = self._folder / f"mount{one}"
                point.mkdir()
                stack.callback(point.rmdir)
                _run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(point)])
                stack.callback(_unmount, point)
            yield

    @contextmanager
    def kept_image(self, kind: str, need: Need) -> Iterator[Path | None]:
        """The path of a new image that is removed after the block; None for kinds that are in none."""
        if kind not in _IMAGES:
            yield None
            return
        image = self._folder / "kept.image"
        try:
            _make(kind, image, need)
            yield image
        finally:
            image.unlink(missing_ok=True)

    @contextmanager
    def copied(self, image: Path | None) -> Iterator[Path | None]:
        """A copy of an image while the block runs: the same file system, block by block, as young as it was."""
        if image is None:
            yield None
            return
        copy = image.with_name("copied.image")
        try:
            _run(["cp", "--sparse=always", str(image), str(copy)])
            yield copy
        finally:
            copy.unlink(missing_ok=True)


def end_in_order() -> None:
    """Have a signal that ends the program unmount what is mounted first."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))


def _unmount(point: Path) -> None:
    if subprocess.run(["umount", str(point)], stderr=subprocess.DEVNULL, check=False).returncode:
        # A child of a command that was interrupted is still there: the mount goes when it does.
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def _make(kind: str, image: Path, need: Need) -> None:
    with image.open("wb") as file:
        file.truncate(need.size)
    lazy = "lazy_itable_init=0,lazy_journal_init=0"  # or the kernel would write while others are measured
    inodes = str(need.inodes + need.inodes // 10 + 1000)
    command = {
        "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-N", inodes, "-E", lazy],
        "ext4-projects": ["mkfs.ext4", "-q", "-F", "-m", "0", "-N", inodes, "-E", lazy],
        "xfs": ["mkfs.xfs", "-q", "-f"],
        "btrfs": ["mkfs.btrfs", "-q", "-f"],
    }[kind]
    _run([*command, str(image)])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotMountError(f"{command[0]} is not installed") from None
    if done.returncode:
        hint = " (only root may mount: name folders on two file systems with --from and --to)" * (os.geteuid() != 0)
        raise CannotMountError(f"{' '.join(command)}: {done.stderr.strip()}{hint}")
