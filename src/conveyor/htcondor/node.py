"""The programs of a DAG's nodes: a job that conveys, a POST script that explains failures to DAGMan, and the summary."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.api.operations import new_outcome, status
from conveyor.api.runners import Batch, convey_all, preview
from conveyor.engine.context import Environment
from conveyor.engine.outcome import EventCallback, Outcome, exit_code, no_events
from conveyor.errors import JobFailedError, JobNotSubmittedError, JobRemovedError, LockedError
from conveyor.filesystem.posix import FileSystem
from conveyor.htcondor.dag import NO_RETRY, TRY_LATER
from conveyor.layout import DAG_RESULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.htcondor.dag_folder import DagFolder, Node
    from conveyor.htcondor.post_script import JobResult


def run_node(
    folder: DagFolder, name: str, *, on_event: EventCallback = no_events, stop: Callable[[], bool] = lambda: False
) -> Outcome:
    """Convey the request of a node, and keep the outcome for the POST script and the summary."""
    fs = FileSystem()
    node = folder.node(name)
    folder.remove_result(node, fs)
    [outcome] = convey_all(
        folder.operation,
        [Path(node.metadata)],
        capability=folder.capability,
        config=folder.config,
        reason=folder.reason,
        on_event=on_event,
        stop=stop,
    )
    folder.save(node, outcome, fs)
    return outcome


def end_node(folder: DagFolder, name: str, job: JobResult, wait: int) -> int:
    """Return a node's exit status for DAGMan: 0, 75 while it is to wait, 100 if no retry can help, else a retry may.

    A request that was held, or written to, is tried again when nobody holds it, ``wait`` seconds after the try at the
    earliest: meanwhile only this script runs, again and again, and no job.
    """
    fs = FileSystem()
    node = folder.node(name)
    result = folder.result(node)
    failure = job.error
    if failure is None:
        return 0 if (result is not None and result.ok) or _is_done(folder, node, fs) else JobFailedError.exit_code
    if result is None or exit_code([result]) != job.status:
        folder.save(node, _lost_outcome(folder, node, failure), fs)
        # Somebody wanted a removed job to be gone, and DAGMan has tried to submit one often enough.
        return NO_RETRY if isinstance(failure, JobRemovedError | JobNotSubmittedError) else failure.exit_code
    assert result.error is not None
    if result.error.exit_code != TRY_LATER:
        return result.error.exit_code if result.error.retryable else NO_RETRY
    return TRY_LATER if _is_held(folder, node) or _age(folder, node, fs) < wait else JobFailedError.exit_code


def _lost_outcome(folder: DagFolder, node: Node, failure: JobFailedError) -> Outcome:
    """Return the outcome of a job that ended without saving one: the state of the request now, and how the job failed."""
    [seen] = status([Path(node.metadata)], capability=folder.capability, config=folder.config)
    hint = f"nothing is lost: see {folder.path}/logs/{node.name}.log; submit the DAG again to finish"
    outcome = seen if seen.error is None else new_outcome(str(folder.operation), node.metadata)
    return replace(outcome, command=str(folder.operation), error=type(failure)(failure.message, hint=hint))


def _is_done(folder: DagFolder, node: Node, fs: FileSystem) -> bool:
    """Tell whether the request is conveyed although its job's result is not seen: this host may see files late (NFS)."""
    seen = _seen_now(folder, node)
    if seen.already:
        folder.save(node, seen, fs)
    return seen.already


def _is_held(folder: DagFolder, node: Node) -> bool:
    """Tell whether another conveyance holds the request now."""
    error = _seen_now(folder, node).error
    return error is not None and error.code == LockedError.code


def _seen_now(folder: DagFolder, node: Node) -> Outcome:
    """Preview the conveyance of a node's request, as this host sees it."""
    [seen] = preview(Batch(folder.operation, (Path(node.metadata),), folder.capability, folder.config, Environment()))
    return replace(seen, dry_run=False)


def _age(folder: DagFolder, node: Node, fs: FileSystem) -> float:
    """Return the seconds since a node's result was written."""
    with fs.open_root(folder.path / DAG_RESULTS) as results:
        entry = fs.lstat(results, f"{node.name}.json")
    return time.time() - entry.modified / 1e9 if entry else 0.0


def summary(folder: DagFolder, failed: int) -> tuple[list[Outcome], int]:
    """Write all outcomes to the folder, and return them with the exit status, which is never 0 if nodes ``failed``."""
    outcomes = folder.outcomes()
    folder.summarise(outcomes)
    return outcomes, exit_code(outcomes) or (1 if failed else 0)
