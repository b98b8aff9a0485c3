"""HTCondor's bindings as they answer while a DAG runs: what happens in the pool is a list of acts, one a look at it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from conveyor.documents.kept_documents import Progress
from conveyor.engine.claim import Holder
from conveyor.engine.host import Process
from conveyor.htcondor import runner as module
from conveyor.layout import DAG_STATUS

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from support.workspace import Workspace

ELSEWHERE = Process("elsewhere", "", "", "", 7, "")
READY, SUBMITTED, POSTRUN, DONE = 1, 3, 4, 5  # DAGMan's NodeStatus


@dataclass
class FakePool:
    """A scheduler with one DAG. It comes from act to act whenever the engine sleeps, and leaves the queue after the last.

    ``status`` is the JobStatus of DAGMan's job, ``removed`` says why it was removed.
    """

    acts: list[Callable[[], None]] = field(default_factory=list)
    seconds: float = 0.0
    folder: Path | None = None
    status: int = 2
    removed: str | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the fake in the place of the bindings and of the clock of the engine."""
        bindings, classads = ModuleType("htcondor2"), ModuleType("classad2")
        submit = SimpleNamespace(from_dag=lambda _: {})
        actions = SimpleNamespace(Remove="remove")
        vars(bindings).update(Schedd=lambda: self, Submit=submit, HTCondorException=RuntimeError, JobAction=actions)
        vars(classads).update(parseAds=json.loads)
        monkeypatch.setitem(sys.modules, "htcondor2", bindings)
        monkeypatch.setitem(sys.modules, "classad2", classads)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.seconds, sleep=self._sleep))

    def submit(self, description: dict[str, str]) -> Any:
        self.folder = Path(description["initialdir"])
        return SimpleNamespace(cluster=lambda: 1)

    def query(self, _question: str, _attributes: list[str]) -> list[dict[str, int]]:
        return [{"JobStatus": self.status}] if self.acts and self.removed is None else []

    def act(self, _action: str, _jobs: str, reason: str) -> None:
        self.removed = reason

    def tell(self, **nodes: int | tuple[int, str]) -> None:
        """Write DAGMan's status file: for each request its node's status, and its details where they matter."""
        assert self.folder is not None
        names = {node.rpartition("-")[2]: node for node in self._nodes()}
        # DAGMan names the DAG's file, whose path need not be UTF-8.
        entries: list[dict[str, Any]] = [{"Type": "DagStatus", "DagFiles": "\udcff"}]
        for request, told in nodes.items():
            status, details = told if isinstance(told, tuple) else (told, "not_idle" if told == SUBMITTED else "")
            node = {"Node": names[request], "NodeStatus": status, "StatusDetails": details}
            entries.append({"Type": "NodeStatus", **node})
        text = json.dumps(entries, ensure_ascii=False)
        (self.folder / DAG_STATUS).write_text(text, errors="surrogateescape")

    def _nodes(self) -> list[str]:
        assert self.folder is not None
        return [one["node"] for one in json.loads((self.folder / "dag.json").read_text())["requests"]]

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self.acts:
            self.acts.pop(0)()


def copy_is_at(workspace: Workspace, done: int | None, holder: Process = ELSEWHERE) -> None:
    """What a job has on disk when so many bytes of ``rawdata`` are copied: its claim, its figures; nothing for None."""
    inner = workspace.spool / ".conveyor"
    inner.mkdir(exist_ok=True)
    claim, file = inner / "claim.1", inner / "progress.json"
    claim.unlink(missing_ok=True)
    file.unlink(missing_ok=True)
    if done is not None:
        claim.symlink_to(Holder(holder, "now", "token").text)
        progress = Progress("rawdata", "copy", 1, done, 2, 3_000_000, 500_000, 3, "now")
        file.write_text(json.dumps({"schema": "conveyor-progress/1", "claim": "token", **vars(progress)}))
