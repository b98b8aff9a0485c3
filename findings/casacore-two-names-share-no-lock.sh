#!/usr/bin/env bash
# python-casacore 3.8.1: a process that opens a table by a link too loses the lock that it has, and still says that it has it.
#
# Source: seen with the package from PyPI. casacore's tables/Tables/TableCache.h knows a process's open tables by their names;
#         fcntl(2) has it that a process's locks on a file go once it closes any descriptor of it.
# Guess:  both names lead to one table.lock, so that it is seen to be one table: one lock, held until it is given back.
# Seen:   once the other name was opened to read and closed, haslock(write=True) is True still, and another process gets the write
#         lock. In one process, both names get it at once: each keeps what it read, and of two cells that were written the
#         one that is written back first is lost. No error, no waiting.
# Hurts:  who links data sets to other places, and has a session, or two tools in one, that use both paths.
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

OTHER = """
from casacore.tables import table
other = table("x.tab", readonly=False, ack=False, lockoptions="usernoread")
print(other.lock(write=True, nattempts=1) or other.haslock(write=True))
"""


def another_gets_it() -> bool:
    return subprocess.check_output([sys.executable, "-c", OTHER], text=True).strip() == "True"


with table("x.tab", maketabdesc([makescacoldesc("TIME", 1.0)]), nrow=3, ack=False) as made:
    made.putcol("TIME", [1.0, 1.0, 1.0])
os.symlink("x.tab", "link.tab")
first = table("x.tab", readonly=False, ack=False, lockoptions="user")
first.lock(write=True, nattempts=1)
assert first.haslock(write=True) and not another_gets_it()
table("link.tab", ack=False).close()
print("locked, and looked at by the link: locked", first.haslock(write=True), "and another gets it", another_gets_it())
assert first.haslock(write=True) and another_gets_it()

first.unlock()
second = table("link.tab", readonly=False, ack=False, lockoptions="user")
first.lock(write=True, nattempts=1)
second.lock(write=True, nattempts=1)
assert first.haslock(write=True) and second.haslock(write=True)
first.putcell("TIME", 0, 5.0)
second.putcell("TIME", 1, 7.0)
first.close()
second.close()
with table("x.tab", ack=False) as read:
    values = read.getcol("TIME").tolist()
print(f"5 was written to the first cell, 7 to the second: {values}")
assert values == [1.0, 7.0, 1.0]
PYTHON
