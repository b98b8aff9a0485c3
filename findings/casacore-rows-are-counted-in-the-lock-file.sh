#!/usr/bin/env bash
# python-casacore 3.8.1: the number of rows of a table is in table.lock, and a copy without the lock file has fewer rows.
#
# Source: seen with the package from PyPI; casacore's tables/Tables/TableSyncData.h says what a table's users tell each other.
# Guess:  a lock file is for locks: once a table is closed, all of it is in its other files, and the lock can stay behind.
# Seen:   addrows writes the new number of rows to table.lock, and leaves table.dat as it is, after flush and close too. A copy
#         without the lock file opens without a word, and has the rows of before; its columns cannot be read, or only in part.
# Hurts:  who leaves lock files out of a backup or an archive (rsync --exclude '*.lock'), or makes them anew empty.
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
import shutil

from casacore.tables import makescacoldesc, maketabdesc, table

with table("times.tab", maketabdesc([makescacoldesc("TIME", 1.0)]), nrow=3, ack=False) as made:
    made.putcol("TIME", [0.0, 1.0, 2.0])
before = open("times.tab/table.dat", "rb").read()
with table("times.tab", readonly=False, ack=False) as longer:
    longer.addrows(4)
    longer.putcol("TIME", [float(row) for row in range(7)])
    longer.flush()
assert open("times.tab/table.dat", "rb").read() == before

shutil.copytree("times.tab", "whole.tab")
shutil.copytree("times.tab", "unlocked.tab", ignore=shutil.ignore_patterns("*.lock"))
assert not os.path.exists("unlocked.tab/table.lock")
rows = {}
for name in ("times.tab", "whole.tab", "unlocked.tab"):
    with table(name, ack=False) as copy:
        rows[name] = copy.nrows()
print(f"rows: {rows}")
assert rows == {"times.tab": 7, "whole.tab": 7, "unlocked.tab": 3}
PYTHON
