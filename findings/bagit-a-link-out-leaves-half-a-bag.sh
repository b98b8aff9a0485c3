#!/usr/bin/env bash
# bagit 1.9.0: make_bag of a directory with a relative link out of it fails half way, with all its files moved and the link broken.
#
# Source: seen with the package from PyPI. That what is behind links to directories is in no manifest is known (bagit-python's
#         issues); RFC 8493, 2.1.3, has each file of the payload in it. Nothing is said of links that lead out.
# Guess:  a bag with what the link leads to; or an error before anything is changed, as for a dangling link.
# Seen:   all is moved into data/ first, from where a relative link leads elsewhere; then FileNotFoundError, out of the middle of a
#         manifest. Nothing is moved back, and there is no bagit.txt; the next try refuses the link, which dangles now. An
#         absolute link to a directory is a valid bag without its files; once they are gone, is_valid() raises.
# Hurts:  who bags a data set in its place, of which a part was moved and linked: paths are gone, and there is no bag.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install bagit==1.9.0
cd "$place"
"$place/venv/bin/python" - 2>/dev/null <<'PYTHON'
import os
import shutil
from pathlib import Path

import bagit


def make(name: str, target: str) -> None:
    os.makedirs(f"{name}/products")
    Path(name, "products", "image.fits").touch()
    os.symlink(target, f"{name}/rawdata")


def tried(name: str) -> tuple[str, list[str]]:
    found = "no error"
    try:
        bagit.make_bag(name)
    except (FileNotFoundError, bagit.BagError) as error:
        found = type(error).__name__
    print(found, files := sorted(str(path) for path in Path(name).rglob("*") if not path.is_dir()))
    return found, files


os.makedirs("area/raw")
Path("area/raw/table.dat").touch()
make("dangling", "nowhere")
assert tried("dangling") == ("BagError", ["dangling/products/image.fits", "dangling/rawdata"])
make("relative", "../area/raw")
for error in ("FileNotFoundError", "BagError"):
    assert tried("relative") == (error, ["relative/data/products/image.fits", "relative/data/rawdata"])
make("absolute", os.path.abspath("area/raw"))
bag = bagit.make_bag("absolute")
print(f"absolute: valid {bag.is_valid()}, {list(bag.payload_entries())}")
assert bag.is_valid() and list(bag.payload_entries()) == ["data/products/image.fits"]
shutil.rmtree("area")
try:
    bagit.Bag("absolute").is_valid()
    raise AssertionError("it answers now")
except FileNotFoundError:
    print("absolute, its rawdata gone: is_valid() raises FileNotFoundError")
PYTHON
