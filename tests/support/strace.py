"""Watch the real program's system calls, and disturb exactly one of them, by strace.

A *point* is one call in one run: the system call's name and how many calls of that name the process has made by then, as
strace counts them for ``-e inject=...:when=``. With SIGKILL the process dies there and the call is not executed; with an
error it is not executed either, and answers so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from support.program import Ending, Run

#: Calls that change names, content or attributes, or make them durable.
CHANGING = (
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "creat", "truncate", "ftruncate", "fallocate"),
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile", "splice"),
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr"),
    *("removexattr", "lremovexattr", "fremovexattr", "fsync", "fdatasync", "syncfs", "sync_file_range", "msync"),
)
#: Calls that change something only with some of their arguments, and the arguments.
_SOMETIMES = {"open": "O_CREAT|O_TRUNC", "openat": "O_CREAT|O_TRUNC", "openat2": "O_CREAT|O_TRUNC", "ioctl": "FICLONE"}
#: Calls that look. Not lseek: it fails on no file system without a mistake of the caller's.
READING = (
    *("open", "openat", "openat2", "stat", "lstat", "fstat", "newfstatat", "statx", "getdents64", "read", "pread64"),
    *("readlink", "readlinkat", "access", "faccessat", "faccessat2"),
    *("getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"),
)
_ENTRY = re.compile(r"(\d+) +(\w+)\((.*)")
_DEATH = re.compile(r"(\d+) +\+\+\+ killed by SIG\w+")
_SIGNAL = re.compile(r"(\d+) +--- SIG(?:TERM|INT) ")
_PATIENCE = 60  # seconds that one run may take before it is taken to hang


@dataclass(frozen=True)
class Call:
    """One call of one process; ``count`` is its number among the calls of that name in that process, from 1."""

    process: int
    name: str
    count: int
    text: str

    @property
    def changes(self) -> bool:
        if self.name in _SOMETIMES:
            return any(word in self.text for word in _SOMETIMES[self.name].split("|"))
        return self.name in CHANGING

    @property
    def is_of_manifest(self) -> bool:
        """Whether SQLite makes it, for the manifest of a copy; of all programs here it alone calls fdatasync."""
        return self.name == "fdatasync" or ".manifest" in self.text

    @property
    def reads(self) -> bool:
        return self.name in READING and not self.changes

    @property
    def paths(self) -> set[str]:
        """The paths that the call names: those of descriptors, and names in a descriptor's folder."""
        arguments = self.text.rpartition(" = ")[0]
        found = {f"{folder}/{name}" for folder, name in re.findall(r'<([^>]*)>(?:, "([^"]*)")?', arguments)}
        return {path.rstrip("/") for path in found} | set(re.findall(r'"(/[^"]*)"', arguments))

    @property
    def names(self) -> set[str]:
        """The last parts of the paths; a temporary name counts as the name that it is for too."""
        names = {part for path in self.paths for part in path.split("/")[-2:]}
        return names | {re.sub(r"^\.(.*)\.new$|\.(?:link|incoming|outgoing|copied)$", r"\1", name) for name in names}

    def is_like(self, other: Call) -> bool:
        """Whether this is the same point in another run."""
        return (self.name, self.count, self.paths) == (other.name, other.count, other.paths)

    def __str__(self) -> str:
        return f"{self.name} no. {self.count}: {self.text}"


@dataclass(frozen=True)
class Trace:
    """The calls of runs in their order, the processes that were killed, and the calls after which one was told to end."""

    calls: tuple[Call, ...]
    killed: frozenset[int] = frozenset()
    told: tuple[Call, ...] = ()

    def points(self, places: Sequence[Path], *, changing: bool = True) -> list[Call]:
        """The calls that touch these places, in their order; each point once, however many processes come by it."""
        found: dict[tuple[str, int], Call] = {}
        for call in self.calls:
            if (call.changes if changing else call.reads) and any(f"{place}" in call.text for place in places):
                found.setdefault((call.name, call.count), call)
        return list(found.values())

    def made_before(self, point: Call, name: str) -> int:
        """How many calls of this name the point's process had made when it came to the point."""
        earlier = self.calls[: self.calls.index(point)]
        return sum(call.name == name and call.process == point.process for call in earlier)

    def died_at(self, point: Call) -> bool:
        """Whether a process was killed at just that call, which is then its last."""
        last = {call.process: call for call in self.calls}
        return any(last[process].is_like(point) for process in self.killed & last.keys())

    def told_at(self, point: Call) -> bool:
        """Whether SIGTERM or SIGINT came at just that call."""
        return any(call.is_like(point) for call in self.told)

    def failed_at(self, point: Call) -> bool:
        """Whether that call got an error that was not the kernel's."""
        return any(call.is_like(point) for call in self.failed())

    def failed(self) -> list[Call]:
        """The calls that got an error that was not the kernel's: more than one, where the fault lasts."""
        return [call for call in self.calls if "(INJECTED)" in call.text]


def why_not() -> str | None:
    """Why strace cannot be used here; None where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else None


@contextmanager
def watching(runs: Sequence[Run], log: Path, inject: Iterable[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """strace, attached to held runs, while the block runs and until they and all their processes have ended."""
    names = ",".join(f"?{name}" for name in dict.fromkeys((*CHANGING, *_SOMETIMES, *READING)))
    options = ["-f", "-y", "-s", "0", "-o", str(log), "-e", f"trace={names}", "-e", "signal=KILL,TERM,INT,STOP"]
    options += [part for injection in inject for part in ("-e", f"inject={injection}")]
    options += [part for run in runs for part in ("-p", str(run.pid))]
    with subprocess.Popen(["strace", *options], stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = [tracer.stderr.readline() for _ in runs]
        try:
            assert all("attached" in line for line in said), f"strace did not attach: {said}"
            yield tracer
            tracer.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run did not end:\n{log.read_text()[-2000:]}") from None
        finally:
            if tracer.poll() is None:
                for run in runs:
                    run.kill()
                tracer.kill()


def traced(runs: Sequence[Run], log: Path, inject: Iterable[str] = ()) -> tuple[list[Ending], Trace]:
    """Let held runs go under strace, until they and all their processes have ended."""
    with watching(runs, log, inject):
        for run in runs:
            run.let_go()
    return [run.wait() for run in runs], parse(log.read_text(errors="surrogateescape"))


def wait_for_stop(tracer: subprocess.Popen[str], log: Path) -> None:
    """Wait until a run that is watched has been stopped by SIGSTOP."""
    limit = time.monotonic() + _PATIENCE
    while "stopped by SIGSTOP" not in log.read_text(errors="surrogateescape"):
        assert tracer.poll() is None, "the run ended without coming to the point"
        assert time.monotonic() < limit, "the run did not stop"
        time.sleep(0.001)


def parse(text: str) -> Trace:
    """Read what ``strace -f -o`` wrote."""
    calls: list[Call] = []
    killed: set[int] = set()
    told: list[Call] = []
    last: dict[int, Call] = {}
    counts: Counter[tuple[int, str]] = Counter()
    for line in text.splitlines():
        if entry := _ENTRY.match(line):
            process, name = int(entry[1]), entry[2]
            counts[process, name] += 1
            last[process] = Call(process, name, counts[process, name], entry[3])
            calls.append(last[process])
        elif death := _DEATH.match(line):
            killed.add(int(death[1]))
        elif (signal := _SIGNAL.match(line)) and int(signal[1]) in last:
            told.append(last[int(signal[1])])
    return Trace(tuple(calls), frozenset(killed), tuple(told))
