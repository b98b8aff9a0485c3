"""The tutorial shows what the program really prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-delivery.md"
#: What differs from run to run, or from one file system to another.
VARIES = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "<moment>"),
    (r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "<time> "),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \([^)]*\)", "<time>"),
    (r"(?m)^  last: deliver .* on \S+,", "  last: deliver on <host>,"),
    (r"(?m)^  last: deliver on \S+,", "  last: deliver on <host>,"),
    (r"detail=(exchange|renames|copy)\b", "detail=<way>"),
    (r'"version": "[^"]*"', '"version": "<version>"'),
    (r"detail='([^']*)'", r"detail=\1"),  # older structlogs do not quote
]
MARK = "\x1e"


def _plain(text: str) -> str:
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return text.strip("\n")


def _sessions() -> list[tuple[str, str]]:
    """Every command of the tutorial's console blocks, with the output that the tutorial shows for it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    pairs = [part.partition("\n") for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, output) for command, _, output in pairs]


def test_every_command_of_the_tutorial_prints_what_the_tutorial_shows(tmp_path: Path) -> None:
    """The tutorial's commands, run in a shell one after another, print what stands below them."""
    program = tmp_path / "bin" / "conveyor"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m conveyor "$@"\n')
    program.chmod(0o755)
    (tmp_path / "data").mkdir()
    sessions = _sessions()
    assert len(sessions) > 10
    script = "exec 2>&1\n" + "".join(f"s=$?; printf '\\036\\n'; (exit $s)\n{command}\n" for command, _ in sessions)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "LC_ALL": "C",
        "CONVEYOR_LOG_FORMAT": "console",
    }
    ran = subprocess.run(
        ["sh"],
        input=script,
        cwd=tmp_path / "data",
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    printed = ran.stdout.replace(str(tmp_path.resolve()), "").split(MARK)[1:]
    assert len(printed) == len(sessions)
    for (command, shown), output in zip(sessions, printed, strict=True):
        assert _plain(output) == _plain(shown), command
