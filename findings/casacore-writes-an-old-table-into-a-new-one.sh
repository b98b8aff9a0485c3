#!/usr/bin/env bash
# python-casacore 3.8.1: a session that has a replaced table open and opens its path again reads the old one, writes to the new.
#
# Source: seen with the package from PyPI; casacore's tables/Tables/TableCache.h keeps one open table for each name in a process.
# Guess:  to open a path is to open what stands there now; or, since it is open already, all goes on in the old table.
# Seen:   it reads the old table, in the moved folder. If that was open for reading and is now opened for writing, its files are
#         opened anew, by their names: a cell that is written lands in the new table, and with it the old values of the cells
#         around it, whatever the new ones were. The old table stays as it was. No error; once all is closed, all is new.
# Hurts:  who replaces a data set by another while a session only reads it, and tells the analyst to "open it again".
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer on Linux.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install python-casacore==3.8.1
cd "$place"
"$place/venv/bin/python" - <<'PYTHON'
import os
import subprocess
import sys

from casacore.tables import makescacoldesc, maketabdesc, table


def make(name: str, value: float) -> None:
    with table(name, maketabdesc([makescacoldesc("TIME", 1.0)]), nrow=3, ack=False) as made:
        made.putcol("TIME", [value] * 3)


def elsewhere(name: str) -> str:
    """The column as another process reads it."""
    code = f"from casacore.tables import table; print(table({name!r}, ack=False).getcol('TIME').tolist())"
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


make("x.tab", 1.0)
make("new.tab", 2.0)
first = table("x.tab", ack=False)
first.getcol("TIME")
os.rename("x.tab", "old.tab")
os.rename("new.tab", "x.tab")
again = table("x.tab", readonly=False, ack=False)
print(f"opened again: {again.getcol('TIME').tolist()}, in another process {elsewhere('x.tab')}")
assert (again.getcol("TIME").tolist(), elsewhere("x.tab")) == ([1.0] * 3, "[2.0, 2.0, 2.0]")
again.putcell("TIME", 0, 5.0)
again.close()
first.close()
print(f"one cell was written: new {elsewhere('x.tab')}, old {elsewhere('old.tab')}")
assert elsewhere("x.tab") == "[5.0, 1.0, 1.0]"
assert elsewhere("old.tab") == "[1.0, 1.0, 1.0]"
PYTHON
