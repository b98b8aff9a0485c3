"""The pages of the documentation as a reader types them: their commands, what they show below each, and a shell for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
#: Commands that no scratch workspace can run, and why.
NOT_RUN = {
    r"pip install|pipx install|-m venv|\.venv/bin/activate": "installs: the session 'build' does so",
    r"\bnox\b": "runs this test",
    r"--runner htcondor|condor_|conveyor dag|support/condor\.py": "needs a pool: the session 'pool' runs it",
    r"conveyor (board|open)\b|^ssh ": "serves until it is ended, or starts a browser: tests/board does both",
    r"~/demo|calibrate\.sub|^cp workspaces/|post-script\.jsonl$": "is part of what runs on a pool",
}
#: What differs from run to run, or from one file system to another.
_VARIES = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "<moment>"),
    (r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "<time> "),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \([^)]*\)", "<time>"),
    (r"(?m)^  last: deliver .* on \S+,", "  last: deliver on <host>,"),
    (r"(?m)^  last: deliver on \S+,", "  last: deliver on <host>,"),
    (r"detail=(exchange|renames|copy)\b", "detail=<way>"),
    (r'"version": "[^"]*"', '"version": "<version>"'),
    (r"detail='([^']*)'", r"detail=\1"),  # older structlogs do not quote
    (r"\bpid \d+ on \S+", "pid <pid> on <host>"),
]
_BLOCK = re.compile(r"^( *)```(console|sh|bash|python)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
#: Pages whose numbers are those of a real observation: the commands are run, and what they print is not compared.
NOT_COMPARED = frozenset({"docs/how-to/verify.md"})
_MARK = "\x1e"


@dataclass(frozen=True)
class Command:
    """A command of a page, with what the page shows below it; a whole script of a ``sh`` block is one."""

    text: str
    shown: str

    @property
    def why_not(self) -> str | None:
        """The reason why it cannot be run here; None if it can."""
        return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, self.text)), None)


@dataclass(frozen=True)
class Ran:
    """A command that was run: what it printed on stdout and stderr, and its exit status."""

    command: Command
    printed: str
    status: int


def pages() -> list[str]:
    """The README, and every page that has a block of commands or of Python, by their paths."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(page.relative_to(ROOT)) for page in found if _BLOCK.search(page.read_text())]


def _blocks(page: str) -> Iterator[tuple[str, str]]:
    for _, language, text in _BLOCK.findall((ROOT / page).read_text()):
        yield language, textwrap.dedent(text)


def commands(page: str) -> list[Command]:
    """The commands of a page, in order. Where a block has no prompt, each line is a command."""
    found = []
    for language, text in _blocks(page):
        if language in ("sh", "bash"):
            found.append(Command(f"(\n{text})", ""))
        elif language == "console" and not re.match(r"[$#] ", text):
            found += [Command(line, "") for line in text.splitlines()]
        elif language == "console":
            for part in re.split(r"^[$#] ", text, flags=re.MULTILINE)[1:]:
                command, continued = "", part
                while command.endswith("\\\n") or not command:
                    line, _, continued = continued.partition("\n")
                    command += line + "\n"
                found.append(Command(command.rstrip("\n"), continued))
    return found


def python_of(page: str) -> str:
    """All Python of a page, which a reader would type in one session."""
    return "\n".join(text for language, text in _blocks(page) if language == "python")


def run_all(wanted: Sequence[Command], top: Path, place: Path) -> list[Ran]:
    """Run commands one after another in one shell in ``place``; ``/data`` in them is that of ``top``."""
    program = top / "bin" / "conveyor"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m conveyor "$@"\n')
    program.chmod(0o755)
    script = "exec 2>&1\n"
    for command in wanted:
        text = re.sub(r"(?<![\w.])/data/", f"{top.resolve()}/data/", command.text)
        script += f"printf '\\036'; (exit $s)\n{text}\ns=$?; printf '\\036%s\\n' $s\n"
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "LC_ALL": "C",
        "CONVEYOR_LOG_FORMAT": "console",
    }
    ran = subprocess.run(
        ["bash"], input=script, cwd=place, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    parts = ran.stdout.replace(str(top.resolve()), "").split(_MARK)[1:]
    assert len(parts) == 2 * len(wanted), ran.stdout
    statuses = [int(part.partition("\n")[0]) for part in parts[1::2]]
    return [Ran(*one) for one in zip(wanted, parts[::2], statuses, strict=True)]


def plain(text: str) -> str:
    """Return an output without what differs from run to run."""
    for pattern, instead in _VARIES:
        text = re.sub(pattern, instead, text)
    return text.strip("\n")


def shows(shown: str, printed: str) -> bool:
    """Tell whether a page shows what was printed; three dots in it stand for any words, or alone for any lines."""
    pattern = re.escape(plain(shown).strip()).replace(r"\.\.\.", ".*")
    return re.fullmatch(pattern, plain(printed).strip(), re.DOTALL) is not None
