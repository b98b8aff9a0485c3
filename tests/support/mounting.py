"""Mount file systems for a test, where the account may."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KINDS = {
    "tmpfs": ["-t", "tmpfs", "tmpfs"],
    "nosymfollow": ["-t", "tmpfs", "-o", "nosymfollow", "tmpfs"],
    "bind": ["--bind"],
}


@contextmanager
def mounts() -> Iterator[Mounts]:
    """Mount while the block runs; skips the test where this account may not mount."""
    with ExitStack() as stack:
        yield Mounts(stack)


class Mounts:
    """What a test has mounted; it is unmounted at the end, whatever became of it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def mount(self, kind: str, point: Path, source: Path | None = None) -> None:
        """Mount a ``tmpfs``, one that follows no link (``nosymfollow``, Linux 5.10), or another folder (``bind``)."""
        arguments = [*_KINDS[kind], *([str(source)] if source else []), str(point)]
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this account may not mount: {done.stderr.strip()}")
        descriptor = os.open(point, os.O_PATH)  # by which the mount is found wherever it was moved to
        self._stack.callback(self._unmount, descriptor)

    @staticmethod
    def _unmount(descriptor: int) -> None:
        point = os.readlink(f"/proc/self/fd/{descriptor}")
        os.close(descriptor)
        subprocess.run(["umount", "--", point], check=True)
