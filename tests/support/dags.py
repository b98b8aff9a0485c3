"""DAGs on a real pool: written, submitted, watched, and what became of their nodes."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.condor import Pool
    from support.workspace import Workspace

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-under-htcondor.md"
_PATIENCE = 180  # seconds
_SUBMIT = """\
executable = {executable}
arguments = "{arguments}"
log = job.log
output = job.out
error = job.err
should_transfer_files = NO
request_memory = 64
queue
"""


def snippets() -> dict[str, str]:
    """The DAGs that the documentation shows, by name."""
    found = re.findall(r"```\{code-block\} text\n:caption: (\S+\.dag)\n\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return dict(found)


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait until something is so. Raises AssertionError where it is not for long."""
    until = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < until, f"not within {_PATIENCE} s: {what}"
        time.sleep(0.1)


def is_copying(workspace: Workspace) -> bool:
    """Whether the large directory is being copied at this moment."""
    inner = workspace.qa / ".conveyor"
    return inner.is_dir() and any(name.startswith("working.") for name in os.listdir(inner))


@dataclass
class Dag:
    """A DAG that was submitted."""

    file: Path
    cluster: int
    pool: Pool

    @property
    def log(self) -> str:
        """What DAGMan says it did."""
        out = self.file.with_name(self.file.name + ".dagman.out")
        return out.read_text() if out.exists() else ""

    @property
    def is_over(self) -> bool:
        return not self.pool.run("condor_q", self.cluster, "-af", "ClusterId").strip()

    def wait(self) -> int:
        """The status that DAGMan ended with."""
        wait_until(lambda: self.is_over, f"the end of {self.file.name}\n{self.log[-3000:]}")
        [status] = re.findall(r"EXITING WITH STATUS (\d+)", self.log)[-1:]
        return int(status)

    def status_of(self, node: str) -> list[int]:
        """The statuses that a node's POST script ended with, one after the other."""
        events = self.file.with_name(self.file.name + ".nodes.log").read_text()
        ended = r"^016 .*\n\s*\(1\) Normal termination \(return value (\d+)\)\n\s*DAG Node: (.*)$"
        return [int(status) for status, name in re.findall(ended, events, re.MULTILINE) if name == node]

    def remove(self) -> None:
        self.pool.run("condor_rm", self.cluster)

    def hold(self) -> None:
        self.pool.run("condor_hold", self.cluster)

    def release(self) -> None:
        self.pool.run("condor_release", self.cluster)


@dataclass(frozen=True)
class Dags:
    """Where a test's DAGs are written and submitted."""

    pool: Pool
    folder: Path

    def job(self, name: str, executable: str = "/bin/true", arguments: str = "") -> None:
        """Write a submit file."""
        (self.folder / name).write_text(_SUBMIT.format(executable=executable, arguments=arguments))

    def submit(self, name: str, text: str | None = None) -> Dag:
        """Submit a DAG; without a text, the one that is there already: its rescue DAG, if there is one."""
        file = self.folder / name
        if text is not None:
            file.write_text(text)
        anew = ["-f"] if text is not None else []
        printed = self.pool.run("condor_submit_dag", *anew, name, cwd=self.folder)
        [cluster] = re.findall(r"submitted to cluster (\d+)", printed)
        return Dag(file, int(cluster), self.pool)
