"""The processors that this process may keep busy, on a machine that others use too.

Sources: sched_getaffinity(2); ``cpu.max`` of the kernel's "Control Group v2" and ``cpu.cfs_quota_us`` of its "CFS Bandwidth
Control"; and HTCondor's manual, "Services for Running Jobs": ``_CONDOR_MACHINE_AD`` names a file with the slot's ``Cpus``.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CGROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_MACHINE_AD = "_CONDOR_MACHINE_AD"


@functools.cache
def processors() -> int:
    """As many as this process may run on, no more than its control groups let it use or its job in HTCondor was given."""
    return max(1, min([len(os.sched_getaffinity(0)), *_quotas(_CGROUPS, _OWN), *_slot()]))


def _quotas(groups: Path, own: Path) -> Iterator[int]:
    """The limits of the control groups that this process is in, from its own up to the root, in whole processors."""
    for line in _lines(own):
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        inner = PurePosixPath(path.lstrip("/"))
        for group in (inner, *inner.parents):
            if controllers:
                place = groups / "cpu" / group
                words = [*_lines(place / "cpu.cfs_quota_us"), *_lines(place / "cpu.cfs_period_us")]
            else:
                words = " ".join(_lines(groups / group / "cpu.max")).split()
            if len(words) == 2 and words[0].isdecimal():  # "max" and -1 are no limit
                yield math.ceil(int(words[0]) / int(words[1]))


def _slot() -> Iterator[int]:
    """The processors of the slot of HTCondor that this process is in, if it is in one."""
    for line in _lines(Path(os.environ.get(_MACHINE_AD) or os.devnull)):
        name, _, value = line.partition("=")
        if name.strip() == "Cpus" and value.strip().isdecimal():
            yield int(value)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
