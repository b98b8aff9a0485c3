#!/usr/bin/env bash
# fs (PyFilesystem2) 2.4.16: where a tree is moved or removed, files behind its links to folders are deleted; the links stay.
#
# Source: seen with the package from PyPI; what it says of removetree, movedir and move_fs does not speak of links.
# Guess:  a link is removed as a link, as by shutil.rmtree; or it is refused before anything is removed. movedir within one file
#         system is a rename, as move of a file is.
# Seen:   removetree goes into the folder behind a link, deletes all files there, then takes the link for a folder and raises
#         DirectoryExpected: the link is there still, with nothing behind it. movedir and move_fs copy first and then do the same.
#         A link to a file is removed as a link.
# Hurts:  who moves or clears away a folder with links to the data of others: these lose them, though the call raises.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install fs==2.4.16 setuptools==80.9.0
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from fs.errors import DirectoryExpected
from fs.move import move_fs
from fs.osfs import OSFS


def make() -> None:
    shutil.rmtree("area", ignore_errors=True)
    for folder in ("area/request/working", "area/others/raw/below", "area/there"):
        os.makedirs(folder)
    for file in ("area/request/log", "area/others/raw/table.dat", "area/others/raw/below/table.dat", "area/others/flags"):
        Path(file).touch()
    for name in ("raw", "flags"):
        os.symlink(f"../others/{name}", f"area/request/{name}")


def tried(name: str, call: Callable[[], object]) -> tuple[str, list[str], bool]:
    make()
    found = "no error"
    try:
        call()
    except DirectoryExpected as error:
        found = str(error)
    others = [str(path.relative_to("area/others")) for path in Path("area/others").rglob("*") if path.is_file()]
    print(f"{name}: {found}; others have {others}; a link is left: {os.path.islink('area/request/raw')}")
    return found, others, os.path.islink("area/request/raw")


for name, call, path in (
    ("removetree", lambda: OSFS("area").removetree("request"), "/request/raw"),
    ("movedir", lambda: OSFS("area").movedir("request", "there/request", create=True), "/request/raw"),
    ("move_fs", lambda: move_fs("area/request", "area/there"), "/raw"),
):
    assert tried(name, call) == (f"path '{path}' should be a directory", ["flags"], True)
PYTHON
