"""File systems of a test's own: small ones that can be filled, and images that can be copied as they are on the device."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.project_ids import ProjectCalls
from support.stage import CLONE, RETAG
from support.sweep import cannot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "1024", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
_FILLER = ".filler"


@contextmanager
def volumes() -> Iterator[Volumes]:
    """Mount while the block runs; what is mounted is unmounted at the end, whatever became of it."""
    with ExitStack() as stack:
        yield Volumes(stack)


def apart(root: Path, way: str) -> tuple[Path, Path]:
    """Two folders of one file system between which nothing is renamed, so that directories go by a way.

    To be retagged, one hands on a project ID; to be cloned, they are subvolumes.
    """
    near, far = root / "near", root / "far"
    for folder in (near, far):
        if way == CLONE:
            subprocess.run(["btrfs", "-q", "subvolume", "create", str(folder)], check=True)
        else:
            folder.mkdir()
    if way == RETAG:
        with FileSystem().open_root(far) as opened:
            ProjectCalls().set(opened.descriptor, ".", 300, handed_on=True)
    return near, far


class Volumes:
    """What a test has mounted. Where this account may not mount, the test is skipped."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def memory(self, point: Path, *, kib: int, inodes: int = 0) -> Volume:
        """A tmpfs of a size, with so many inodes (0: as many as it likes)."""
        volume = Volume(point, ["-t", "tmpfs", "-o", f"size={kib}k,nr_inodes={inodes}", "tmpfs"])
        return self._mounted(volume)

    def without_size(self, point: Path) -> Volume:
        """A ramfs, whose statfs tells nothing."""
        return self._mounted(Volume(point, ["-t", "ramfs", "ramfs"]))

    def bind(self, point: Path, folder: Path) -> Volume:
        """A directory under a second name, as a mount of its own."""
        return self._mounted(Volume(point, ["--bind", str(folder)]))

    def image(self, point: Path, image: Path, kind: str, *, mib: int, options: Sequence[str] = ()) -> Volume:
        """A new file system in a file, made with some more options."""
        if shutil.which(_MAKE[kind][0]) is None:
            cannot(f"{_MAKE[kind][0]} is not installed")
        with image.open("wb") as file:
            file.truncate(mib << 20)
        made = subprocess.run([*_MAKE[kind], *options, str(image)], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        return self._mounted(Volume(point, ["-t", kind, "-o", "loop", str(image)], image))

    def _mounted(self, volume: Volume) -> Volume:
        volume.point.mkdir(parents=True, exist_ok=True)
        if reason := volume.mount():
            pytest.skip(f"this account may not mount: {reason}")
        self._stack.callback(volume.unmount)
        return volume


@dataclass(frozen=True)
class Volume:
    """One mounted file system, and the image that it is in, if it is in one."""

    point: Path
    _how: list[str]
    _image: Path | None = None

    def mount(self) -> str:
        """Mount it; why that was refused, or nothing."""
        return _said(["mount", *self._how, str(self.point)])

    def unmount(self) -> None:
        if "--bind" in self._how or os.path.ismount(self.point):  # a bind mount of the same file system looks like none
            reason = _said(["umount", str(self.point)])
            assert not reason, reason

    def keep(self) -> None:
        """Remember the file system as it is, whole."""
        self.unmount()
        _copy(self._file, self._kept)
        self._mount_again()

    def go_back(self) -> None:
        """Have it again as it was kept."""
        self.unmount()
        _copy(self._kept, self._file)
        self._mount_again()

    def cut_power(self) -> None:
        """Leave it with what has reached the device by now, and mount that, which replays its journal."""
        cut = self._file.with_suffix(".cut")
        _copy(self._file, cut)
        self.unmount()
        cut.replace(self._file)
        self._mount_again()

    def sync(self) -> None:
        """Let everything written reach the device."""
        subprocess.run(["sync", "--file-system", str(self.point)], check=True)

    @property
    def _file(self) -> Path:
        assert self._image is not None, "this volume is in no image"
        return self._image

    @property
    def _kept(self) -> Path:
        return self._file.with_suffix(".kept")

    def _mount_again(self) -> None:
        reason = self.mount()
        assert not reason, reason

    def remount(self, how: str) -> str:
        """Remount it ``ro`` or ``rw``; why that was refused (a file is open for writing), or nothing."""
        return _said(["mount", "-o", f"remount,{how}", str(self.point)])

    def free(self, what: str) -> int:
        """How many ``blocks`` or ``inodes`` are free."""
        status = os.statvfs(self.point)
        return status.f_bavail if what == "blocks" else status.f_favail

    def fill(self, what: str, *, leave: int) -> None:
        """Take all ``blocks`` or ``inodes`` but so many."""
        folder = self.point / _FILLER
        folder.mkdir()
        if what == "inodes":
            for number in range(self.free(what) - leave):
                (folder / str(number)).touch()
            return
        block = bytes(os.statvfs(self.point).f_frsize)
        with (folder / "blocks").open("wb", buffering=0) as file:
            while self.free(what) > leave:
                file.write(block)
                os.fsync(file.fileno())

    def empty(self) -> None:
        """Give back what was taken."""
        subprocess.run(["rm", "-rf", str(self.point / _FILLER)], check=True)


def _copy(one: Path, other: Path) -> None:
    subprocess.run(["cp", "--sparse=always", str(one), str(other)], check=True)


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stderr.strip() or f"it ended with {done.returncode}") if done.returncode else ""
