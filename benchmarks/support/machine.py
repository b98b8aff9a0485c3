"""What was measured on, for the record."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import TYPE_CHECKING

import conveyor

if TYPE_CHECKING:
    from pathlib import Path


def description(folder: Path) -> dict[str, object]:
    """The machine, the versions, and the file system that the images are on."""
    found = subprocess.run(["df", "--output=fstype", str(folder)], capture_output=True, text=True, check=True)
    return {
        "python": platform.python_version(),
        "conveyor": conveyor.__version__,
        "kernel": platform.release(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "images_on": found.stdout.split()[-1],
    }
