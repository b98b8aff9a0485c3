"""A command that gets a text and a time limit, and is ended with all that it has started if it takes longer."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_bounded(command: Sequence[str], content: bytes, seconds: float) -> int:
    """Run a command with ``content`` on its stdin, and return its exit status (negative: the signal that ended it).

    What it prints goes to stderr. Raises :class:`subprocess.TimeoutExpired` after so many seconds, when it and its whole
    process group are killed, and :class:`OSError` if it cannot be started.
    """
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, start_new_session=True) as process:
        try:
            process.communicate(content, timeout=seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode
