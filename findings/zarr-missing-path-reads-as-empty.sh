#!/usr/bin/env bash
# zarr 3.1.6: an array whose directory is gone for a moment reads as fill values, and a write makes a ghost of it.
#
# Source: seen with the package from PyPI. That a missing chunk stands for fill values is in the specification of Zarr v3; that
#         the array itself may be missing is not.
# Guess:  reading an open array whose directory was renamed away raises FileNotFoundError, and so does writing to it.
# Seen:   the read returns zeros without an error or a warning. The write succeeds, and makes the directory again with that one
#         chunk and without metadata: nothing can open it, and a rename of the true array back to its name is refused.
# Hurts:  who moves data that others read by path, for however short a time, and who mounts it: zeros go into results.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install zarr==3.1.6
cd "$place"
"$place/venv/bin/python" -W error - <<'PYTHON'
import os

import zarr

made = zarr.create_array("visibilities.zarr", shape=(4, 4), chunks=(2, 2), dtype="i4", fill_value=0)
made[:] = 7
array = zarr.open_array("visibilities.zarr", mode="r+")
assert int(array[:].sum()) == 7 * 16

os.rename("visibilities.zarr", "elsewhere.zarr")
read = array[:]
print(f"zarr {zarr.__version__}: read {read.ravel().tolist()} from a directory that is not there")
assert not read.any()

array[0, 0] = 5
ghost = sorted(os.path.join(top, name) for top, _, names in os.walk("visibilities.zarr") for name in names)
print(f"written without an error: {ghost}")
assert ghost == ["visibilities.zarr/c/0/0"]
try:
    zarr.open_array("visibilities.zarr", mode="r")
except FileNotFoundError as error:
    print(f"what was written cannot be opened: {type(error).__name__}")
else:
    raise AssertionError("the ghost can be opened")
try:
    os.rename("elsewhere.zarr", "visibilities.zarr")
except OSError as error:
    print(f"the true array cannot go back to its place: {error.strerror}")
else:
    raise AssertionError("the true array took the place of the ghost")
PYTHON
