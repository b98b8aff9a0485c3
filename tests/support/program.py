"""The real program, run many times: each run is a process of its own, forked by ``program_server.py``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_SERVER = Path(__file__).with_name("program_server.py")


@dataclass(frozen=True)
class Ending:
    """How a run ended: its exit status (negative: the signal that ended it), and what it said."""

    status: int
    out: str
    err: str

    @property
    def request(self) -> dict[str, Any]:
        """What the JSON document says of the one request."""
        requests = json.loads(self.out)["requests"]
        assert len(requests) == 1, f"tells of {len(requests)} requests: {self.err}"
        request: dict[str, Any] = requests[0]
        return request

    @property
    def state(self) -> str:
        return str(self.request["state"])


@dataclass(frozen=True)
class Run:
    """One run under way; a ``held`` one waits at its very beginning until it is let go."""

    pid: int
    _program: Program
    _files: tuple[Path, Path]

    def let_go(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; a run that has ended, and was waited for by nobody yet, takes no harm."""
        os.kill(self.pid, number)

    def wait(self) -> Ending:
        status = self._program.ask(do="wait", pid=self.pid)["status"]
        texts = [path.read_text() for path in self._files]
        for path in self._files:
            path.unlink()
        return Ending(status, *texts)


class Program:
    """Conveyor, ready to be started; from ``with`` to its end.

    ``folder`` is for the output of the runs, and is their home and working directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o777)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CONVEYOR_", "CAPO_"))}
        environment |= {"HOME": str(self.folder), "PYTHONHASHSEED": "0", "TMPDIR": str(self.folder)}
        environment |= {"XDG_CONFIG_HOME": str(self.folder), "XDG_CONFIG_DIRS": str(self.folder)}
        # -P: the server stands among the tests' support modules, which the program must not see.
        command = [sys.executable, "-P", str(_SERVER)]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=self.folder
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with suppress(BrokenPipeError):
            self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def start(
        self, *arguments: str, held: bool = False, refuse_exchange: bool = False, account: int | None = None
    ) -> Run:
        """Start the program; as root, ``account`` is the user that it runs as. ``refuse_exchange``: renameat2 fails."""
        self._runs += 1
        files = (self.folder / f"{self._runs}.out", self.folder / f"{self._runs}.err")
        out, err = map(str, files)
        answer = self.ask(
            do="start",
            arguments=arguments,
            out=out,
            err=err,
            held=held,
            refuse_exchange=refuse_exchange,
            account=account,
        )
        return Run(answer["pid"], self, files)

    def ask(self, **request: Any) -> dict[str, Any]:
        """One question to the server, and its answer."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        assert isinstance(answer, dict)
        return answer
