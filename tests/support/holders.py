"""Processes of their own that work in a directory: they write to a file, read it, or hold a casacore table."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLD = """
import fcntl, sys
how, path = sys.argv[1:]
modes = {"append": "a", "update": "r+", "read": "r"}
if how in modes:
    file = open(path, modes[how])
else:  # as casacore does with a table: the lock, and the file of the data
    lock = open(path + "/table.lock", "r+b")
    fcntl.lockf(lock, fcntl.LOCK_SH, 1, 1)
    if how == "table while writing":
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, 0)
    elif how == "table and subtable":
        sublock = open(path + "/ANTENNA/table.lock", "w+b")
        data = open(path + "/table.f0", "rb")
    elif how != "table":
        data = open(path + "/table.f0", {"table to read": "rb", "table to write": "r+b"}[how])
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(how: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has a file open, in one of the ways ``append``, ``update`` and ``read``, or a table.

    A table is open ``table to read``, ``table to write``, or ``table``: with none of its data open; ``table while writing``
    holds its lock for writing too, and ``table and subtable`` reads it with an open subtable ``ANTENNA``.
    """
    command = [sys.executable, "-c", _HOLD, how, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.stdin.close()
