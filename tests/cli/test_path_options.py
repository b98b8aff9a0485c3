"""Paths on the command line: what cannot be read is told by what reads it, with that status."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conveyor.cli import main as program

if TYPE_CHECKING:
    from support.workspace import Workspace


@pytest.mark.parametrize("command", ["deliver", "qa-fail", "status", "verify", "unlock", "--retrieve"])
def test_no_error_of_the_file_system_is_a_mistake_on_the_command_line(
    workspace: Workspace, command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """``access`` answers EIO as it answers a missing permission, so its answer for a metadata file decides nothing."""
    monkeypatch.setattr("os.access", lambda _, mode, **__: mode != os.R_OK)
    workspace.metadata.write_text("{")
    monkeypatch.setattr("sys.argv", ["conveyor", command, str(workspace.metadata)])
    with pytest.raises(SystemExit) as end:
        program.run()
    assert end.value.code == 65
    assert "line 1, column 2" in capfd.readouterr().err
