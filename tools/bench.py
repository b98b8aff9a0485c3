"""A bench for trials: a folder in which file systems are mounted and servers run, all of which is undone at the end."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tools.ext4_projects import ext4_projects

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

_GIB = 1 << 30


class UnavailableError(Exception):
    """The reason why something cannot be tried here."""


class Bench:
    """A folder in which file systems are mounted; all is undone at the end."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self._stack = stack

    def run(self, *command: object) -> str:
        """Run a tool; raises :class:`UnavailableError` with what it said."""
        try:
            done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=120)
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(str(error)) from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or [f"it ended with {done.returncode}"]
            raise UnavailableError(f"`{command[0]}` said: {said[0].partition(',')[0]}".replace(str(self.root), ""))
        return done.stdout

    def folder(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def mount(self, name: str, *command: object) -> Path:
        """Mount by a command whose last argument is the point: a folder of the bench, or any by its whole path."""
        point = self.folder(name)
        self.run(*command, point)
        self.at_end("umount", "--lazy", point)
        return point

    def image(self, kind: str, *options: str, name: str = "disk") -> Path:
        """A new file system in a file."""
        image = self.root / f"{name.replace('/', '-')}.image"
        with image.open("wb") as file:
            file.truncate(_GIB)
        force = "-F" if kind == "ext4" else "-f"
        self.run(f"mkfs.{kind}", "-q", force, *options, image)
        return self.mount(name, "mount", "-t", kind, "-o", "loop", image)

    def ext4_with_projects(self) -> Path:
        """An ext4 with project IDs."""
        point = self.image("ext4")
        try:
            self._stack.enter_context(ext4_projects(point))
        except (OSError, subprocess.CalledProcessError) as error:
            raise UnavailableError(str(error)) from error
        return point

    def start(self, *command: object) -> None:
        """Start a server, which is ended at the end."""
        with (self.root / "servers.log").open("ab") as log:
            try:
                process = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            except FileNotFoundError as error:
                raise UnavailableError(str(error)) from error
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)

    def at_end(self, *command: object) -> None:
        self._stack.callback(subprocess.run, [*map(str, command)], check=False, capture_output=True)
