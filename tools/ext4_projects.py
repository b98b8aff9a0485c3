"""Project IDs on a mounted ext4, on any kernel that can check them.

With the feature ``project`` in its super block, ext4 is mounted only by kernels that can count quotas too (``QFMT_V2``).
What a rename refuses is in all of them, and the feature is looked for in the super block that is in memory, which is the
page cache of the device: so it is set there once the file system is mounted, and taken away before it is unmounted.

Source: the kernel's ``fs/ext4/ext4.h`` and ``fs/ext4/super.c``.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIZE = 4  # bytes of a set of features
_RO_COMPAT = (1024 + 0x64) // _SIZE  # of these from the start of the device
_PROJECT = 0x2000


@contextmanager
def ext4_projects(point: Path) -> Iterator[None]:
    """Let a mounted ext4 have project IDs while the block runs. Raises :class:`OSError` and
    :class:`subprocess.CalledProcessError` if its device may not be written."""
    number = point.stat().st_dev
    device = Path("/dev", os.readlink(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").rpartition("/")[2])
    _change(device, lambda features: features | _PROJECT)
    try:
        yield
    finally:
        _change(device, lambda features: features & ~_PROJECT)


def _change(device: Path, change: Callable[[int], int]) -> None:
    with device.open("rb", buffering=0) as opened:
        features = os.pread(opened.fileno(), _SIZE, _SIZE * _RO_COMPAT)
    changed = change(int.from_bytes(features, "little")).to_bytes(_SIZE, "little")
    write = ["dd", f"of={device}", f"bs={_SIZE}", f"seek={_RO_COMPAT}", "conv=notrunc", "status=none"]
    subprocess.run(write, input=changed, check=True)
