"""The folder of a DAG: what is to be conveyed, what came of each node, and the document of them all.

``dag.json`` holds everything that a node needs, settings too, since DAGMan and the pool pass little of the environment on.
Every host of the pool sees the folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from conveyor.api.document import outcome_of, request, requests_document
from conveyor.api.requests import new_outcome
from conveyor.documents import dump
from conveyor.engine.plan import Operation
from conveyor.errors import ConfigurationError, InterruptedRunError
from conveyor.filesystem.posix import FileSystem, read_named
from conveyor.layout import DAG_MANIFEST, DAG_RESULTS, DAG_SUMMARY
from conveyor.settings.model import Settings
from conveyor.settings.sources import Config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conveyor.engine.outcome import Outcome

SCHEMA = "conveyor-dag/1"
_LIMIT = 256 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Node:
    """One request of a DAG. One that was done already when the DAG was written has no ``name``, but its outcome."""

    name: str | None
    metadata: str
    spool: str | None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class DagFolder:
    """A DAG folder that was written: what its manifest says."""

    path: Path
    operation: Operation
    capability: str | None
    config: Config
    nodes: tuple[Node, ...]

    @classmethod
    def read(cls, path: Path) -> DagFolder:
        """Read what a DAG is about. Raises :class:`~conveyor.errors.ConfigurationError` where it is no folder of a DAG."""
        try:
            content = _read(path / DAG_MANIFEST)
            if content["schema"] != SCHEMA:
                raise ValueError(f"its schema is {content['schema']!r}")
            command = content["command"]
            nodes = tuple(
                Node(one["node"], one["metadata"], one["spool"], one["done"] and outcome_of(command, one["done"]))
                for one in content["requests"]
            )
            settings = Settings.model_validate(content["settings"])
            config = Config(settings, dict.fromkeys(Settings.model_fields, str(path / DAG_MANIFEST)), None)
            return cls(path, Operation(command), content["capability"], config, nodes)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{path} is no folder of a DAG: {error}", hint="name the folder that 'conveyor dag' wrote"
            ) from None

    @property
    def manifest(self) -> bytes:
        return dump(
            {
                "schema": SCHEMA,
                "command": str(self.operation),
                "capability": self.capability,
                "settings": self.config.values.model_dump(mode="json"),
                "requests": [
                    {
                        "node": one.name,
                        "metadata": one.metadata,
                        "spool": one.spool,
                        "done": one.outcome and request(one.outcome),
                    }
                    for one in self.nodes
                ],
            }
        )

    def node(self, name: str) -> Node:
        """The node of a name. Raises :class:`~conveyor.errors.ConfigurationError` where there is none."""
        found = next((one for one in self.nodes if one.name == name), None)
        if found is None:
            raise ConfigurationError(f"the DAG in {self.path} has no node {name}", hint=f"see {DAG_MANIFEST} there")
        return found

    def result(self, node: Node) -> Outcome | None:
        """What came of a node's last try; None where nothing did yet."""
        if node.outcome is not None:
            return node.outcome
        try:
            content = _read(self.path / DAG_RESULTS / f"{node.name}.json")
            return outcome_of(str(self.operation), content)
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def save(self, node: Node, outcome: Outcome, fs: FileSystem) -> None:
        """Keep what came of a node's try, in the place of what came of an earlier one."""
        with fs.open_root(self.path / DAG_RESULTS) as folder:
            fs.write(folder, f"{node.name}.json", dump(request(outcome)))

    def remove_result(self, node: Node, fs: FileSystem) -> None:
        """Remove what came of an earlier try, so that it cannot be taken for this one's."""
        with fs.open_root(self.path / DAG_RESULTS) as folder:
            if fs.lstat(folder, f"{node.name}.json") is not None:
                fs.unlink(folder, f"{node.name}.json")

    def outcomes(self) -> list[Outcome]:
        """What came of every request, in their order; one whose node was not run ends as interrupted."""
        return [self.result(node) or self.unfinished(node) for node in self.nodes]

    def unfinished(self, node: Node) -> Outcome:
        """The outcome of a node that came to no end."""
        error = InterruptedRunError(
            f"the node {node.name} of the DAG in {self.path} has come to no end",
            hint=f"nothing is lost: 'conveyor status' says where it is; submit {self.path}/conveyor.dag again to finish",
        )
        return replace(new_outcome(str(self.operation), node.metadata, error=error), spool=node.spool)

    def summarise(self, outcomes: Sequence[Outcome]) -> None:
        """Write the document of all requests."""
        fs = FileSystem()
        with fs.open_root(self.path) as folder:
            fs.write(folder, DAG_SUMMARY, dump(requests_document(str(self.operation), outcomes)))


def _read(file: Path) -> Any:
    """What one of our own JSON files holds; a path in it need not be UTF-8."""
    return json.loads(read_named(file, limit=_LIMIT).decode("utf-8", "surrogateescape"))
