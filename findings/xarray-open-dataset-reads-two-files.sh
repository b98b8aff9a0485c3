#!/usr/bin/env bash
# xarray 2026.9.0: a data set that is open reads on in whatever has its path by now, once 128 others were opened.
#
# Source: seen with the package from PyPI. set_options(file_cache_maxsize) is documented; that a file that falls out of the cache
#         is opened again by its path, without a look at what it is, is not.
# Guess:  what open_dataset opened is what is read, as with an open file; or an error where it is not there any more.
# Seen:   with 127 others, all is of the file that was opened. The 128th closes it: the next variable that is read is of the file
#         that has the path now, and what was read before stays, so that one Dataset has variables of both. No error,
#         no warning.
# Hurts:  who replaces products by new ones while somebody combines many of them: results are of two versions, by chance of
#         how many were open.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install xarray==2026.9.0 h5netcdf==1.8.2 h5py==3.16.0 numpy==2.3.5
cd "$place"
mkdir data new others
"$place/venv/bin/python" -W error - <<'PYTHON'
import os
import shutil

import numpy as np
import xarray


def make(path: str, value: float) -> None:
    names = ("before", "flux", "error")
    xarray.Dataset({name: ("time", np.full(3, value)) for name in names}).to_netcdf(path, engine="h5netcdf")


make("data/scan.nc", 1.0)
make("new/scan.nc", 2.0)
for number in range(128):
    shutil.copy("data/scan.nc", f"others/{number}.nc")
scan = xarray.open_dataset("data/scan.nc", engine="h5netcdf")
assert scan["before"].values.tolist() == [1.0] * 3
os.rename("data", "old")
os.rename("new", "data")

read, kept = {}, []
for count, name in ((127, "flux"), (128, "error")):
    kept += [xarray.open_dataset(f"others/{number}.nc", engine="h5netcdf") for number in range(count)]
    read[name] = scan[name].values.tolist()
    print(f"{name}, after {count} others were opened: {read[name]}")
read["before"] = scan["before"].values.tolist()
assert read == {"before": [1.0] * 3, "flux": [1.0] * 3, "error": [2.0] * 3}
PYTHON
