"""The folder of a DAG: what is to be conveyed, what came of each node, and the document of them all.

``dag.json`` holds everything that a node needs, settings too, since DAGMan and the pool pass little of the environment on.
Every host of the pool sees the folder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.api.operations import new_outcome, requests_document
from conveyor.documents.codec import dump, load, validate
from conveyor.documents.dag_documents import DagManifest
from conveyor.documents.request_documents import RequestEntry
from conveyor.engine.outcome import Outcome, StepOutcome
from conveyor.engine.plan import Operation
from conveyor.engine.steps import STEPS
from conveyor.engine.survey import State
from conveyor.engine.way_over import Way
from conveyor.errors import ConfigurationError, InterruptedRunError, tree
from conveyor.filesystem.posix import FileSystem, read_named
from conveyor.layout import DAG_MANIFEST, DAG_RESULTS, DAG_SUMMARY
from conveyor.settings.model import Settings
from conveyor.settings.sources import Config
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


_LIMIT = 256 * 1024 * 1024  # bytes


@frozen
class Node:
    """One request of a DAG. One that was done already when the DAG was written has no ``name``, but its outcome."""

    name: str | None
    metadata: str
    spool: str | None
    outcome: Outcome | None = None


@frozen
class DagFolder:
    """A DAG folder that was written: what its manifest says; ``reason`` are the words of the person who gave a verdict."""

    path: Path
    operation: Operation
    capability: str | None
    config: Config
    nodes: tuple[Node, ...]
    reason: str | None = None

    @classmethod
    def read(cls, path: Path) -> DagFolder:
        """Read a DAG's manifest. Raises :class:`~conveyor.errors.ConfigurationError` if it is no folder of a DAG."""
        try:
            content = load(DagManifest, read_named(path / DAG_MANIFEST, limit=_LIMIT))
            command = content["command"]
            nodes = tuple(
                Node(one["node"], one["metadata"], one["spool"], one["done"] and outcome_of(command, one["done"]))
                for one in content["requests"]
            )
            config = Config(content["settings"], dict.fromkeys(Settings.model_fields, str(path / DAG_MANIFEST)), None)
            return cls(path, Operation(command), content["capability"], config, nodes, content.get("reason"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{path} is no folder of a DAG: {error}", hint="name the folder that 'conveyor dag' wrote"
            ) from None

    @property
    def manifest(self) -> bytes:
        nodes = [
            {"node": one.name, "metadata": one.metadata, "spool": one.spool, "done": one.outcome} for one in self.nodes
        ]
        content = {
            "schema": "conveyor-dag/1",
            "command": self.operation,
            "capability": self.capability,
            "reason": self.reason,
            "settings": self.config.values,
            "requests": nodes,
        }
        return dump(validate(DagManifest, content))

    def node(self, name: str) -> Node:
        """Return the node of a name. Raises :class:`~conveyor.errors.ConfigurationError` if there is none."""
        found = next((one for one in self.nodes if one.name == name), None)
        if found is None:
            raise ConfigurationError(f"the DAG in {self.path} has no node {name}", hint=f"see {DAG_MANIFEST} there")
        return found

    def result(self, node: Node) -> Outcome | None:
        """Return the outcome of a node's last try; None if there is none yet."""
        if node.outcome is not None:
            return node.outcome
        try:
            content = read_named(self.path / DAG_RESULTS / f"{node.name}.json", limit=_LIMIT)
            return outcome_of(str(self.operation), load(RequestEntry, content))
        except (OSError, ValueError):
            return None

    def save(self, node: Node, outcome: Outcome, fs: FileSystem) -> None:
        """Write the outcome of a node's try over that of an earlier one."""
        with fs.open_root(self.path / DAG_RESULTS) as folder:
            fs.write(folder, f"{node.name}.json", dump(validate(RequestEntry, vars(outcome))))

    def remove_result(self, node: Node, fs: FileSystem) -> None:
        """Remove the outcome of an earlier try, so that it cannot be taken for this one's."""
        with fs.open_root(self.path / DAG_RESULTS) as folder:
            if fs.lstat(folder, f"{node.name}.json") is not None:
                fs.unlink(folder, f"{node.name}.json")

    def outcomes(self) -> list[Outcome]:
        """Return the outcome of every request, in their order; one whose node was not run is interrupted."""
        return [self.result(node) or self.unfinished(node) for node in self.nodes]

    def unfinished(self, node: Node) -> Outcome:
        """Return the outcome of a node that is not over."""
        error = InterruptedRunError(
            f"the node {node.name} of the DAG in {self.path} has not finished",
            hint=f"nothing is lost: 'conveyor status' says where it is; submit {self.path}/conveyor.dag again to finish",
        )
        return replace(new_outcome(str(self.operation), node.metadata, error=error), spool=node.spool)

    def summarise(self, outcomes: Sequence[Outcome]) -> None:
        """Write the document of all requests."""
        fs = FileSystem()
        with fs.open_root(self.path) as folder:
            fs.write(folder, DAG_SUMMARY, dump(requests_document(str(self.operation), outcomes)), shared=True)


def outcome_of(command: str, entry: RequestEntry) -> Outcome:
    """Return the outcome that another process wrote. Raises :class:`ValueError` if its error is one of another release."""
    error, kinds = entry["error"], {kind.code: kind for kind in tree()}
    if error and error["code"] not in kinds:
        raise ValueError(f"there is no error {error['code']!r}")
    return Outcome(
        command,
        entry["metadata"],
        request=entry["request"],
        capability=entry["capability"],
        state=State(entry["state"]) if entry["state"] else None,
        changed=entry["changed"],
        directories={name: State(state) for name, state in entry["directories"].items()},
        steps=tuple(
            StepOutcome(
                one["step"], one["subject"], _meaning(one["step"], one["subject"]), one["outcome"], one["detail"]
            )
            for one in entry["steps"]
        ),
        warnings=tuple(entry["warnings"]),
        spool=entry["spool"],
        qa=entry["qa"],
        weblog=entry["weblog"],
        verdict=entry.get("verdict"),
        ways={name: Way(way) for name, way in entry.get("ways", {}).items()},
        weblog_page=entry.get("weblog_page"),
        error=error and kinds[error["code"]](error["message"], hint=error["hint"]),
    )


def _meaning(name: str, subject: str) -> str:
    """Return what a step does, in words; of a step of a capability's own, only the name is known here."""
    kind = next((step for step in STEPS if step.name == name), None)
    return kind(subject).describe() if kind else name
