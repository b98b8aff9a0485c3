#!/usr/bin/env bash
# python-casacore 3.8.1: a copy of a table, a deep one too, shares subtables that are links, or elsewhere is without them.
#
# Source: seen with the package from PyPI, whose documentation says that a table's subtables are copied too. CASA's multi-MSs
#         (partition, virtualconcat) have links to subtables in their parts.
# Guess:  the copy has subtables of its own: what a link leads to is copied, with deep=True at least.
# Seen:   the link is copied as it stands, unless valuecopy=True asks for all values. In the same folder, writing to the copy's
#         subtable changes the original's. In another, a relative link leads nowhere: no error, and no subtable to open.
# Hurts:  who takes a copy to work on, or to keep, and then changes or removes one of the two.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer on Linux.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install python-casacore==3.8.1
cd "$place"
mkdir common elsewhere
"$place/venv/bin/python" - <<'PYTHON'
import os

from casacore.tables import default_ms, table, tablecopy

default_ms("part.ms").close()
with table("part.ms/ANTENNA", readonly=False, ack=False) as antennas:
    antennas.addrows(1)
    antennas.putcell("NAME", 0, "ea01")
os.rename("part.ms/ANTENNA", "common/ANTENNA")
os.symlink("../common/ANTENNA", "part.ms/ANTENNA")


def name(path: str) -> str:
    with table(f"{path}/ANTENNA", ack=False) as antennas:
        return antennas.getcell("NAME", 0)


for how in ({}, {"deep": True}, {"valuecopy": True}):
    kind = next(iter(how), "copy")
    beside, apart = f"{kind}.ms", f"elsewhere/{kind}.ms"
    tablecopy("part.ms", beside, **how)
    tablecopy("part.ms", apart, **how)
    with table(f"{beside}/ANTENNA", readonly=False, ack=False) as antennas:
        antennas.putcell("NAME", 0, kind)
    try:
        found = name(apart)
    except RuntimeError as error:
        found = f"RuntimeError: {str(error).splitlines()[0]}"
    print(f"{kind}: a name written to the copy; the original has {name('part.ms')}; the copy elsewhere: {found}")
    own = kind == "valuecopy"
    assert os.path.islink(f"{beside}/ANTENNA") == os.path.islink(f"{apart}/ANTENNA") == (not own)
    assert name("part.ms") == ("deep" if own else kind)
    assert found == "deep" if own else found.startswith("RuntimeError")
PYTHON
