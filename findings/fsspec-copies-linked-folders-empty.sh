#!/usr/bin/env bash
# fsspec 2026.9.0: a folder that is a link arrives as an empty folder, or not at all, and no call says so.
#
# Source: seen with the package from PyPI, whose page on copying says that it is meant to be as by cp. walk's docstring counts links
#         as files. In fsspec's issue 1843 (2025) the content came over, and the link was missed; nothing is told of empty folders.
# Guess:  what a link leads to is copied, as it is when the link itself is named; or the link is; or an error.
# Seen:   get, put and copy (recursive) follow links to files, and make an empty folder of a link to a folder. In a store without
#         folders nothing of it arrives. generic.rsync leaves out links to files as well. isdir, ls and copy of the link's own path
#         see all that is behind it. No error, no warning.
# Hurts:  who copies a request, parts of which are links to another area, by fsspec: to a bucket, or beside it.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install fsspec==2026.9.0
cd "$place"
mkdir -p spool/request/working qa2/request/products
echo log >spool/request/working/log
echo pixels >qa2/request/products/image.fits
ln -s ../../qa2/request/products spool/request/products
ln -s working/log spool/request/log
"$place/venv/bin/python" -W error - <<'PYTHON'
import os
from pathlib import Path

import fsspec
from fsspec.generic import rsync

local, memory = fsspec.filesystem("file"), fsspec.filesystem("memory")
REQUEST = "spool/request"


def tree(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) + "/" * path.is_dir() for path in Path(folder).rglob("*"))


assert local.isdir(f"{REQUEST}/products")
assert [os.path.basename(path) for path in local.ls(f"{REQUEST}/products")] == ["image.fits"]
local.copy(f"{REQUEST}/products", "products", recursive=True)
print(f"copy of the link itself: {tree('products')}")
assert tree("products") == ["image.fits"]

for name in ("copy", "get", "put"):
    getattr(local, name)(REQUEST, name, recursive=True)
    print(f"{name}: {tree(name)}")
    assert tree(name) == ["log", "products/", "working/", "working/log"]
memory.put(REQUEST, "/request", recursive=True)
print(f"put in memory: {memory.find('/request')}")
assert memory.find("/request") == ["/request/log", "/request/working/log"]
rsync(f"file://{os.path.abspath(REQUEST)}", f"file://{os.path.abspath('synced')}")
print(f"rsync: {tree('synced')}")
assert tree("synced") == ["working/", "working/log"]
PYTHON
