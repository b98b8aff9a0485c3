"""Which process on which host this is, and whether another one is still alive: what a claim is made of.

A process is known by host name, machine, boot, PID namespace, pid and start time, so that a pid that was given out again,
a reboot, or two containers with one host name are told apart. Source of the Linux facts: proc(5).
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from conveyor.values import frozen


@frozen
class Process:
    """A process, known well enough to say later whether it is gone."""

    host: str
    machine: str
    boot: str
    namespace: str
    pid: int
    started: str


class Host:
    """This host: who we are, and who has died."""

    def __init__(self, proc: Path = Path("/proc"), machine_id: Path = Path("/etc/machine-id")) -> None:
        self._proc = proc
        self._machine_id = machine_id

    def this_process(self) -> Process:
        pid = os.getpid()
        return Process(
            host=os.uname().nodename,
            machine=self._read(self._machine_id),
            boot=self._read(self._proc / "sys/kernel/random/boot_id"),
            namespace=self._namespace(),
            pid=pid,
            started=self._started(pid) or "",
        )

    def account(self) -> int:
        """The number of the user that this process acts as."""
        return os.geteuid()

    def account_name(self) -> str:
        """The name of the user that this process acts as; its number if it has none."""
        import pwd

        number = self.account()
        try:
            return pwd.getpwuid(number).pw_name
        except (KeyError, OSError):
            return str(number)

    def umask(self) -> int | None:
        """The bits that new files do not get; None if ``/proc`` does not say."""
        found = re.search(r"^Umask:\s*([0-7]+)$", self._read(self._proc / "self/status"), re.MULTILINE)
        return int(found[1], 8) if found else None

    def token(self) -> str:
        """Return a random token of 16 hexadecimal digits."""
        return os.urandom(8).hex()

    def is_dead(self, process: Process) -> bool:
        """Tell whether a process is surely gone. Of another host, or another container, nothing is ever sure."""
        return self._alive(process) is False

    def is_alive(self, process: Process) -> bool:
        """Tell whether a process is surely alive, on this host."""
        return self._alive(process) is True

    def _alive(self, process: Process) -> bool | None:
        """Tell whether a process is alive; None if that cannot be known here."""
        mine = self.this_process()
        if (process.host, process.machine) != (mine.host, mine.machine) or not mine.boot or not process.boot:
            return None
        if process.boot != mine.boot:
            return False if mine.machine else None  # this machine has been started anew since
        if process.namespace != mine.namespace or not mine.started:
            return None
        started = self._started(process.pid)
        return not _is_gone(process.pid) if started is None else started == process.started

    def _namespace(self) -> str:
        with contextlib.suppress(OSError):
            return os.readlink(self._proc / "self/ns/pid")
        return ""

    def _started(self, pid: int) -> str | None:
        """A process's start time in clock ticks since boot: the 22nd field of ``/proc/<pid>/stat``.

        Returns '' for a zombie, None if there is no such process.
        """
        try:
            text = (self._proc / str(pid) / "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
        return "" if fields[0] in ("Z", "X") else fields[19]

    @staticmethod
    def _read(path: Path) -> str:
        with contextlib.suppress(OSError):
            return path.read_text(errors="replace").strip()
        return ""


def _is_gone(pid: object) -> bool:
    """Tell whether there is no such process: ``/proc`` may be mounted so that it hides those of other accounts (hidepid)."""
    if not isinstance(pid, int) or pid <= 0:  # a claim's text may say anything
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # not ours to signal: it is there
        return False
    return False
