"""The progress of the copies that the jobs of a DAG make, reported by the run that follows it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.api.operations import resolve_request
from conveyor.engine.conveyance import copy_progress
from conveyor.errors import ConveyorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conveyor.documents.kept_documents import Progress
    from conveyor.engine.context import Environment, Request
    from conveyor.htcondor.dag_folder import DagFolder, Node

_SILENCE = 90.0  # seconds; by NFS the files of another host can be seen a minute late


class CopyProgress:
    """Reports to an environment the progress that jobs on other hosts write down of their copies, as ``status`` reads it.

    A pool can take long to notice that a host is gone, whose clock may differ from this one's. So only figures that move are
    reported: those that were seen to follow others, until they stay the same for long.
    """

    def __init__(
        self, folder: DagFolder, environment: Environment, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._clock = clock
        self._requests: dict[Node, Request] = {}
        self._seen: dict[Node, tuple[Progress, float]] = {}  # the last figures, and when they were new
        self._shown: dict[Node, str] = {}

    def update(self, at_work: Iterable[Node]) -> None:
        """Report new progress of the nodes whose jobs run, and that the copies of all others are over."""
        found = {node: progress for node in at_work if (progress := self._look(node)) is not None}
        for node in self._seen.keys() - found.keys():
            del self._seen[node]
            self._end(node)
        for node, progress in found.items():
            before, since = self._seen.get(node, (None, self._clock()))
            if progress != before:
                self._seen[node] = (progress, self._clock())
                if before is not None:
                    self._show(node, progress)
            elif self._clock() - since > _SILENCE:
                self._end(node)

    def close(self) -> None:
        """Report that every copy of which progress was reported is over."""
        self.update(())

    def _look(self, node: Node) -> Progress | None:
        """Return the progress of a node's copy; None also if it cannot be read at this moment, since the next look may."""
        try:
            if node not in self._requests:
                folder = self._folder
                self._requests[node] = resolve_request(Path(node.metadata), folder.capability, folder.config)
            return copy_progress(self._requests[node], self._environment)
        except (ConveyorError, OSError):
            return None

    def _show(self, node: Node, progress: Progress) -> None:
        self._shown[node] = self._requests[node].places.request
        self._environment.on_progress(self._shown[node], progress)

    def _end(self, node: Node) -> None:
        if node in self._shown:
            self._environment.on_progress(self._shown.pop(node), None)
