#!/usr/bin/env bash
# h5py 3.16.0: samples that are kept beside an HDF5 file read as zeros where their file was cut, and from the wrong file elsewhere.
#
# Source: seen with the package from PyPI. LOFAR's beam-formed data are such pairs, .h5 and .raw (external storage). h5py's
#         own words on "external" tell neither what becomes of a short file nor where a relative name begins.
# Guess:  an error where the .raw is too short, as where it is missing, and as where the .h5 itself was cut; and the name is taken
#         from the folder of the .h5, as with external links.
# Seen:   a .raw that was cut, an empty one too, is read to the end, as zeros, without an error or a warning. The name is taken
#         from the working directory: of two copies of an observation, one reads the samples of the copy that one stands in.
# Hurts:  who takes a beam that could be read for one that came over whole, and who compares two copies of one from within either.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install h5py==3.16.0 numpy==2.3.5
cd "$place"
mkdir spool qa2
"$place/venv/bin/python" -W error - <<'PYTHON'
import os

import h5py
import numpy as np

SIZE = 1000
NAME = "L1_SAP000_B000_S0_P000_bf"


def read(folder: str) -> list[float]:
    """The mean of the first half of the samples, and of the other one."""
    with h5py.File(f"{folder}/{NAME}.h5") as file:
        halves = file["STOKES_0"][:].reshape(2, -1)
    return halves.mean(axis=1).tolist()


for area, value in (("spool", 1.0), ("qa2", 2.0)):
    np.full(SIZE, value, "<f4").tofile(f"{area}/{NAME}.raw")
    with h5py.File(f"{area}/{NAME}.h5", "w") as file:
        file.create_dataset("STOKES_0", (SIZE,), "<f4", external=[(f"{NAME}.raw", 0, h5py.h5f.UNLIMITED)])
os.chdir("qa2")
print(f"in qa2: qa2 {read('.')}, spool {read('../spool')}")
assert read(".") == read("../spool") == [2.0, 2.0]
for size, expected in ((SIZE // 2 * 4, [2.0, 0.0]), (0, [0.0, 0.0])):
    os.truncate(f"{NAME}.raw", size)
    print(f"the .raw has {size} of {SIZE * 4} bytes: {read('.')}")
    assert read(".") == expected
os.remove(f"{NAME}.raw")
try:
    read(".")
    raise AssertionError("a missing .raw can be read now")
except OSError as error:
    print(f"the .raw is missing: {error}")
PYTHON
