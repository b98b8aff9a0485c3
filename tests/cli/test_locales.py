"""Names are bytes: whatever the account's locale is, each stays as it is on disk, in a tar and in metadata.json."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.tars import member, tar
from support.workspace import make_workspace

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PAGES = {"é.html".encode(), "λ.html".encode(), b"\xe9.html"}


@pytest.fixture(params=["C", "Latin-1", "ascii", "utf-16"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of an account whose locale, or whose output alone, is not UTF-8."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("LC_ALL", "LANG", "PYTHONUTF8")}
    if request.param == "C":
        return inherited | PLAIN
    if request.param != "Latin-1":
        return inherited | {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": request.param}
    if shutil.which("localedef") is None:
        pytest.skip("there is no localedef")
    name = "de_DE.ISO-8859-1"
    command = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(tmp_path / name)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("there are no sources of locales")
    return inherited | {"LC_ALL": name, "LOCPATH": str(tmp_path)}


@pytest.mark.parametrize("name", ["café", "λ"])
def test_a_request_and_its_weblog_keep_their_names(tmp_path: Path, environment: dict[str, str], name: str) -> None:
    """A request goes out and home, and its pages have the bytes of the tar, whatever letters the locale has."""
    workspace = make_workspace(tmp_path / f"workspaces of {name}", request=name)
    pages = [member(f"html/{os.fsdecode(page)}", content=b"page") for page in sorted(PAGES)]
    (workspace.spool / "products" / "weblog.tgz").write_bytes(tar(*pages))
    for arguments in (
        ["deliver", "-n"],
        ["deliver", "-v"],
        ["status", "--json"],
        ["verify"],
        ["retrieve", "--log-format", "console", "-v"],
    ):
        command = [sys.executable, "-m", "conveyor", *arguments, str(workspace.metadata)]
        done = subprocess.run(command, env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    assert set(os.listdir(os.fsencode(workspace.weblog / "html"))) == PAGES
    assert (workspace.spool / "products").is_dir()


UNPACK = """
import sys
from pathlib import Path
from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import Places
from conveyor.weblog.cache import WeblogCache
from conveyor.weblog.limits import Limits
root = Path(sys.argv[1])
fs = FileSystem()
with fs.open_root(root) as folder:
    places = Places("request", root / "spool" / "request", root / "qa2", root / "cache", relative_links=True)
    WeblogCache(fs, places, Limits(10**6, 99, 99)).store(folder, "weblog.tar")
"""


def test_a_program_of_ones_own_keeps_them_too(tmp_path: Path, environment: dict[str, str]) -> None:
    """The package is used from Python, where the program's own care for the locale is not taken."""
    (tmp_path / "weblog.tar").write_bytes(tar(*[member(os.fsdecode(page)) for page in sorted(PAGES)]))
    subprocess.run([sys.executable, "-c", UNPACK, str(tmp_path)], env=environment, check=True)
    assert set(os.listdir(os.fsencode(tmp_path / "cache" / "request"))) - {b"weblog.tar", b".conveyor.json"} == PAGES
