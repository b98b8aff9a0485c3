"""Paths on the command line: what cannot be read is told by what reads it, with that status."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("option", ["--config", "--log-file"])
def test_an_error_that_passes_is_no_wrong_setting(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], code: int, option: str
) -> None:
    """A server that is gone, or a full disk, ends a post script with 74, so that the node is tried again."""
    file = workspace.root / "file"
    file.touch()
    opened = Path.open

    def fails(path: Path, *arguments: Any, **named: Any) -> Any:
        if path == file:
            raise OSError(code, os.strerror(code), str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", fails)
    command = ["conveyor", "post-script", "--return", "0", "--unless-exit", "100", "deliver"]
    monkeypatch.setattr(sys, "argv", [*command, option, str(file), str(workspace.metadata)])
    with pytest.raises(SystemExit) as end:
        program.run()
    assert end.value.code == 74
    assert str(file) in capfd.readouterr().err
