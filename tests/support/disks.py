"""A disk of one's own: a file system in a file, mounted, whose content at any instant can be kept and mounted later.

What is kept is what has reached the disk: a power cut at that instant leaves just this, and mounting it replays the
journal as the next start of the machine does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
_SIZE = {"ext4": 32 << 20, "xfs": 320 << 20}  # bytes; xfs makes none that is smaller


def why_not(kind: str) -> str | None:
    """Why there can be no disk of this kind here; None where there can."""
    if os.geteuid() != 0:
        return "only root may mount a file system"
    missing = [program for program in (_MAKE[kind][0], "mount", "losetup") if shutil.which(program) is None]
    if missing:
        return f"{missing[0]} is not installed"
    if subprocess.run(["losetup", "-f"], capture_output=True, check=False).returncode != 0:
        return "there is no loop device"
    return None


class Disk:
    """One disk; ``image`` is the file that it is in, ``point`` where it is mounted."""

    def __init__(self, image: Path, point: Path, kind: str, options: Sequence[str] = ()) -> None:
        self.image = image
        self.point = point
        with image.open("wb") as file:
            file.truncate(_SIZE[kind])
        _run(*_MAKE[kind], *options, image)
        self.mount(image)
        for name in os.listdir(point):  # ext4's lost+found
            os.rmdir(point / name)

    def mount(self, image: Path) -> None:
        self.point.mkdir(exist_ok=True)
        _run("mount", "-o", "loop", image, self.point)

    def unmount(self) -> None:
        _run("umount", self.point)

    def remount(self, how: str) -> None:
        """Mount it again where it is, ``ro`` or ``rw``."""
        _run("mount", "-o", f"remount,{how}", self.point)

    def flush(self) -> None:
        """Let everything that was written reach the disk."""
        _run("sync", "-f", self.point)

    def keep(self, kept: Path) -> None:
        """Keep what has reached the disk by now."""
        _run("cp", "--sparse=always", self.image, kept)


@contextmanager
def unmounting(*disks: Disk) -> Iterator[None]:
    """Unmount the disks, the last one first, whatever happened on them."""
    try:
        yield
    finally:
        for disk in reversed(disks):
            with suppress(subprocess.CalledProcessError):
                disk.unmount()


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
