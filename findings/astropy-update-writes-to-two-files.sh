#!/usr/bin/env bash
# astropy 8.0.2: of one file that is open for update, one flush lands in the open file, and the next in whatever has its path.
#
# Source: seen with the package from PyPI; that flush makes a new file if the headers do not fit any more is in its source.
# Guess:  all changes of one open HDUList go to the same file: the one that is open, or the one at the path.
# Seen:   where the directory was moved away and a copy put in its place, pixels go to the open file, in the moved directory. A
#         header that grows puts a new file at the path, made of what the session knows: what somebody else wrote to the copy
#         meanwhile is gone. From then on pixels go there too. No warning, no error.
# Hurts:  who replaces data by a copy while a session has them open: no rule says which of the two has the session's work.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install astropy==8.0.2
cd "$place"
"$place/venv/bin/python" -W error - <<'PYTHON'
import os
import shutil

import numpy as np
from astropy.io import fits


def pixels(path: str) -> list[int]:
    return [int(pixel) for pixel in fits.getdata(path)]


os.mkdir("data")
fits.PrimaryHDU(np.zeros(4, "i2")).writeto("data/image.fits")
session = fits.open("data/image.fits", mode="update")
assert not session[0].data.any()
os.rename("data", "moved")
shutil.copytree("moved", "data")

session[0].data[0] = 1
session.flush()
print(f"a pixel: the path {pixels('data/image.fits')}, the moved file {pixels('moved/image.fits')}")
assert (pixels("data/image.fits"), pixels("moved/image.fits")) == ([0, 0, 0, 0], [1, 0, 0, 0])
with fits.open("data/image.fits", mode="update") as other:
    other[0].data[3] = 9
for number in range(60):
    session[0].header[f"STAGE{number}"] = "applied"
session.flush()
print(f"a header that grows: the path {pixels('data/image.fits')}, where 9 was written by somebody else")
assert pixels("data/image.fits") == [1, 0, 0, 0]
assert "STAGE0" in fits.getheader("data/image.fits")
assert "STAGE0" not in fits.getheader("moved/image.fits")
session[0].data[1] = 3
session.close()
print(f"a pixel again: the path {pixels('data/image.fits')}, the moved file {pixels('moved/image.fits')}")
assert (pixels("data/image.fits"), pixels("moved/image.fits")) == ([1, 3, 0, 0], [1, 0, 0, 0])
PYTHON
