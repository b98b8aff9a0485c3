"""Open a MeasurementSet's tables again and again and compare their columns with those of the first time.

A program of its own, beside the test: arguments are the MeasurementSet and a folder. After each time a byte is added to
``rounds`` in the folder; it ends when ``stop`` is there, or at the first difference or failure, which it prints.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

tables: Any = importlib.import_module("casacore.tables")


def read(path: str) -> list[list[Any]]:
    """Columns of the main table and of a subtable, opened by their paths."""
    with tables.table(path, ack=False) as main, tables.table(path + "/ANTENNA", ack=False) as antennas:
        return [[*main.getcol(name)] for name in ("TIME", "SCAN_NUMBER", "ANTENNA2")] + [[*antennas.getcol("NAME")]]


def run(path: str, folder: Path) -> int:
    """Read until told to stop; 1 at the first difference."""
    first = read(path)
    with (folder / "rounds").open("ab", buffering=0) as counter:
        while not (folder / "stop").exists():
            if read(path) != first:
                print("the columns are not those of the first time")  # noqa: T201 - its answer to the test
                return 1
            counter.write(b".")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], Path(sys.argv[2])))
