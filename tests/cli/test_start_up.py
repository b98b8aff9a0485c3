"""A start of the program imports what its command needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.workspace import Workspace

_ANY = {"asyncio", "difflib", "jinja2", "rich", "starlette", "structlog", "tomllib"}
_COPIES = {f"conveyor.filesystem.treecopy.{name}" for name in ("compare", "entries", "transfer")}
_PROGRAM = (
    "import atexit, sys; atexit.register(lambda: print(*sys.modules)); sys.argv[0] = 'conveyor'; "
    "from conveyor.cli.main import run; run()"
)


@pytest.mark.parametrize(
    ("command", "needless"),
    [
        ("deliver", {*_ANY, *_COPIES, "conveyor.documents.request_documents"}),
        ("status", {*_ANY, *_COPIES, "conveyor.weblog.reader"}),
    ],
)
def test_what_a_command_does_not_use_is_not_imported(workspace: Workspace, command: str, needless: set[str]) -> None:
    """Neither a delivery by renames nor a look imports what others need: each start would pay for it."""
    arguments = [sys.executable, "-c", _PROGRAM, command, str(workspace.metadata)]
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    printed = subprocess.run(arguments, check=True, capture_output=True, text=True, env=unmeasured).stdout
    imported = set(printed.splitlines()[-1].split())
    assert "conveyor.cli.main" in imported
    assert imported & needless == set()
