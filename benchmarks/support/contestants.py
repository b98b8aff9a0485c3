"""Who carries a tree to another file system: Conveyor, and what people type otherwise."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.support.program import Place

    Steps = list[list[str]]

CONVEYOR = "conveyor"
_BARE = Path(__file__).parents[1] / "bare.py"
_MOVE = "import shutil, sys; shutil.move(sys.argv[1], sys.argv[2])"
_PYTHON_PRIMER = (sys.executable, "-c", "import shutil, xxhash")
_VERSION = {"rclone": "version", "fpsync": "-h", "fpart": "-V"}
_RCLONE = ["--links", "--metadata", "--create-empty-src-dirs"]


@dataclass(frozen=True)
class Contestant:
    """A way to move a request's directory. ``steps`` are its commands; they get a folder for files of their own too."""

    key: str
    label: str
    verified: bool
    tools: tuple[str, ...]
    steps: Callable[[Place, Path], Steps]

    @property
    def is_conveyor(self) -> bool:
        return self.key.startswith(CONVEYOR)

    @property
    def is_installed(self) -> bool:
        return all(shutil.which(tool) for tool in self.tools)

    @property
    def primers(self) -> list[tuple[str, ...]]:
        """The commands that bring its programs into memory."""
        if self.is_conveyor:
            return [program.PRIMER]
        if not self.tools:
            return [_PYTHON_PRIMER]
        return [(tool, _VERSION.get(tool, "--version")) for tool in self.tools]


def _all(*commands: list[str]) -> Steps:
    return list(commands)


def _peer(
    key: str, label: str, tools: str, steps: Callable[[str, str], Steps], *, verified: bool = False
) -> Contestant:
    return Contestant(
        key, label, verified, tuple(tools.split()), lambda place, _folder: steps(str(place.data), str(place.goal))
    )


_PEERS = (
    _peer("mv", "mv", "mv", lambda a, b: _all(["mv", a, b])),
    _peer("cp", "cp -a, rm -r", "cp rm", lambda a, b: _all(["cp", "-a", a, b], ["rm", "-r", a])),
    _peer(
        "rsync",
        "rsync -a --remove-source-files",
        "rsync find",
        lambda a, b: _all(
            ["rsync", "-a", "--remove-source-files", f"{a}/", f"{b}/"],
            ["find", a, "-depth", "-type", "d", "-empty", "-delete"],
        ),
    ),
    _peer(
        "rclone",
        "rclone move",
        "rclone rmdir",
        lambda a, b: _all(["rclone", "move", "--delete-empty-src-dirs", *_RCLONE, a, b], ["rmdir", a]),
    ),
    _peer("shutil", "shutil.move", "", lambda a, b: _all([sys.executable, "-c", _MOVE, a, b])),
    _peer(
        "cp-diff",
        "cp -a, diff -r, rm -r",
        "cp diff rm",
        lambda a, b: _all(["cp", "-a", a, b], ["diff", "-r", a, b], ["rm", "-r", a]),
        verified=True,
    ),
    _peer(
        "rsync-c",
        "rsync -a, rsync -ac, rm -r",
        "rsync rm",
        lambda a, b: _all(["rsync", "-a", f"{a}/", f"{b}/"], ["rsync", "-ac", f"{a}/", f"{b}/"], ["rm", "-r", a]),
        verified=True,
    ),
    _peer(
        "rclone-check",
        "rclone copy, rclone check, rm -r",
        "rclone rm",
        lambda a, b: _all(["rclone", "copy", *_RCLONE, a, b], ["rclone", "check", "--links", a, b], ["rm", "-r", a]),
        verified=True,
    ),
    _peer("bare", "a bare copy", "", lambda a, b: _all([sys.executable, str(_BARE), a, b]), verified=True),
)


CONTESTANTS = (
    *_PEERS,
    Contestant(CONVEYOR, "conveyor deliver", True, (), lambda place, folder: [program.deliver([place], folder)]),
)


def sharing(processes: int) -> tuple[Contestant, ...]:
    """Those that can be told by how many processes or threads to work, told so."""
    number = str(processes)
    workers = f"CONVEYOR_COPY_WORKERS={number}"
    bare = [sys.executable, str(_BARE)]
    return (
        Contestant(
            f"{CONVEYOR}-{number}",
            "conveyor deliver",
            True,
            (),
            lambda place, folder: [["env", workers, *program.deliver([place], folder)]],
        ),
        _peer(f"bare-{number}", "a bare copy", "", lambda a, b: _all([*bare, a, b, number]), verified=True),
        Contestant(
            f"fpsync-{number}",
            "fpsync -n, rm -r",
            False,
            ("fpsync", "rsync", "rm"),
            lambda place, folder: [
                ["fpsync", "-n", number, "-t", str(folder / "fpsync"), f"{place.data}/", f"{place.goal}/"],
                ["rm", "-r", str(place.data)],
            ],
        ),
        _peer(
            f"rclone-{number}",
            "rclone move --transfers",
            "rclone rmdir",
            lambda a, b: _all(
                ["rclone", "move", "--transfers", number, "--delete-empty-src-dirs", *_RCLONE, a, b], ["rmdir", a]
            ),
        ),
    )
