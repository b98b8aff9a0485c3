"""What is in memory before a run: the programs always, the data only when a run is to be warm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DROP = Path("/proc/sys/vm/drop_caches")
_in_memory: set[tuple[str, ...]] = set()  # the commands and environments that were primed since it was emptied


def may_drop() -> bool:
    """Whether this account may empty the page cache."""
    return os.access(_DROP, os.W_OK)


def settle(data: Path, primers: Sequence[Sequence[str]], environment: Mapping[str, str], *, cold: bool) -> None:
    """Have everything written out, then the data cold (not in memory, nor what is known of it) or warm, and programs warm.

    ``primers`` are the commands that bring the programs into memory, in the environment that they will run in.
    """
    os.sync()
    if cold:
        _DROP.write_text("3\n")
        _in_memory.clear()
    else:
        for path in data.rglob("*"):
            if path.is_file():
                with path.open("rb", buffering=0) as file:
                    while file.read(1 << 20):
                        pass
    for command in primers:
        primed = (*command, *environment.values())
        if primed not in _in_memory:
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _in_memory.add(primed)
