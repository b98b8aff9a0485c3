"""The habits of the project: what a commit, a file and the map of the code have to be like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tools.commit_subject

HOOK = Path(tools.commit_subject.__file__)


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        pytest.param("a" * 72 + "\n\n" + "b" * 100, False, id="a long line in the body"),
        pytest.param("a" * 73, True, id="a long subject"),
        pytest.param("\n# a comment\n" + "ü" * 73, True, id="below a comment"),
        pytest.param("ü" * 72 + "\n# " + "c" * 100, False, id="a long comment"),
    ],
)
def test_the_hook_refuses_a_subject_over_72_characters(tmp_path: Path, message: str, refused: bool) -> None:
    """The commit-msg hook ends with 1 for a subject of 73 characters, and with 0 for one of 72."""
    (tmp_path / "message").write_text(message)
    done = subprocess.run([sys.executable, HOOK, tmp_path / "message"], capture_output=True, text=True, check=False)
    assert done.returncode == refused
    assert ("73 characters" in done.stderr) == refused
