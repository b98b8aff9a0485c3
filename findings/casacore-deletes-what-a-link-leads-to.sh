#!/usr/bin/env bash
# python-casacore 3.8.1: tablerename of a link renames the link, and tabledelete of a link deletes the data behind it as well.
#
# Source: seen with the package from PyPI, and the same with CASA's task rmtables; the documentation of neither speaks of links.
# Guess:  both act on the name that they are given, as rename and unlink do, and as rm without a slash; or refuse a link.
# Seen:   tablerename leaves the data alone. tabledelete removes all files of the table that the link leads to, its directory,
#         and the link. Another link to it dangles.
# Hurts:  who links a data set into a working folder and cleans up there: the original is gone, of whoever it was, and wherever.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer on Linux.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install python-casacore==3.8.1
cd "$place"
mkdir archive work
"$place/venv/bin/python" - <<'PYTHON'
import os

from casacore.tables import makescacoldesc, maketabdesc, table, tabledelete, tablerename

with table("archive/x.tab", maketabdesc([makescacoldesc("TIME", 1.0)]), nrow=1, ack=False) as made:
    made.putcol("TIME", [1.0])
for name in ("work/mine.tab", "work/another.tab"):
    os.symlink("../archive/x.tab", name)

tablerename("work/mine.tab", "work/renamed.tab")
print(f"after tablerename: {os.listdir('archive')}, {sorted(os.listdir('work'))}")
assert os.listdir("archive") == ["x.tab"]
assert os.readlink("work/renamed.tab") == "../archive/x.tab"

tabledelete("work/renamed.tab", ack=False)
print(f"after tabledelete: {os.listdir('archive')}, {os.listdir('work')}")
assert os.listdir("archive") == []
assert os.listdir("work") == ["another.tab"]
assert not os.path.exists("work/another.tab")
PYTHON
