"""Processes that are forked to do some of the work, and that never outlive the process which forked them."""

from __future__ import annotations

import os
import signal
import warnings
from typing import TYPE_CHECKING

from conveyor.errors import IoFailedError
from conveyor.filesystem import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable

_HINT = "nothing is lost: find out who killed it (the kernel, for want of memory?), then run the same command"


def fork(work: Callable[[], None]) -> int:
    """Start a process that does this work, and nothing after it; its pid. It has no say in what the user reads.

    It does not hear the signals that ask for an end: the process that forked it does, and ends it. Raises :class:`OSError`.
    """
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python warns of locks that another thread may hold. The child calls nothing that another thread would.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        syscalls.die_with_parent()
        if os.getppid() == parent:
            work()
            code = 0
    finally:
        os._exit(code)


def died_error(pid: int, doing: str) -> IoFailedError:
    """The error of a process that ended before its work did; it is waited for. ``doing``: what it did, as "that copied"."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return IoFailedError(f"a process {doing} {how}", hint=_HINT)


def end(pid: int) -> None:
    """Kill a process, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
