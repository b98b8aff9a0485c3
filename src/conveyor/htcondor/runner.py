"""The runner that conveys by the jobs of a pool: writes a DAG, submits it, follows it, and collects the outcomes.

The one module that imports HTCondor's bindings (``htcondor2``), and it does so when a pool is used.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import field, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conveyor.api.operations import log_error, new_outcome
from conveyor.api.runners import Batch, preview
from conveyor.engine.context import Environment
from conveyor.engine.host import Host
from conveyor.errors import ConfigurationError, InterruptedRunError, IoFailedError
from conveyor.htcondor.dag import Throttle, draft, working_directory
from conveyor.htcondor.dag_folder import DagFolder
from conveyor.htcondor.job_progress import CopyProgress
from conveyor.layout import DAG, DAG_STATUS
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.engine.outcome import Outcome
    from conveyor.htcondor.dag_folder import Node

_POLL = 1.0  # seconds between two looks at the node status file
_ASK = 5.0  # seconds between two questions to the scheduler
_OURS = "ConveyorDag"
_SUBMITTED, _OVER = 3, frozenset({5, 6})  # DAGMan's STATUS_SUBMITTED of a node; STATUS_DONE and STATUS_ERROR
_IDLE, _REMOVED, _COMPLETED, _HELD = 1, 3, 4, 5  # HTCondor's JobStatus


class _End(Enum):
    """The ends of a wait for a DAG."""

    OVER = "it has left the queue"
    ASKED = "somebody asked to stop waiting"
    LOST = "its folder is gone, so that it never starts again"


@frozen
class Update:
    """An update about a DAG that runs: the outcome of a request that is done, or a ``note`` about all of it.

    ``done`` of the ``total`` requests are done.
    """

    outcome: Outcome | None
    done: int
    total: int
    note: str = ""


@frozen
class HTCondorRunner:
    """The runner. ``on_update`` gets the updates, the batch's ``on_progress`` the progress of the jobs' copies.

    ``should_remove`` is called after a request to stop. If it says no the DAG runs on, and the outcomes of the unfinished
    requests say so.
    """

    on_update: Callable[[Update], None] = lambda _: None
    should_remove: Callable[[], bool] = lambda: False
    throttle: Throttle = field(default_factory=Throttle)

    def convey(self, batch: Batch) -> list[Outcome]:
        """Convey on the pool.

        Raises :class:`~conveyor.errors.ConfigurationError` if the bindings or a pool are missing, and
        :class:`~conveyor.errors.IoFailedError` if the scheduler takes no job.
        """
        bindings = _import_bindings()
        schedd = _scheduler(bindings)
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        parent = batch.config.values.dag_folder or working_directory()
        dag_draft = draft(batch, parent / f"conveyor-{batch.operation}-{moment}-{Host().token()[:6]}")
        if dag_draft.nodes:
            folder = dag_draft.write(self.throttle)
            run = _Run(bindings, schedd, folder, batch.environment, self.on_update, dag_draft.nodes)
            run.submit()
            outcomes = run.follow(self.should_remove)
        else:
            outcomes = dag_draft.folder.outcomes()
        # The paths as the user gave them, not as the nodes need them.
        outcomes = [replace(one, metadata=str(path)) for one, path in zip(outcomes, batch.metadata, strict=True)]
        for outcome in outcomes:
            log_error(outcome, batch.environment.on_event)
            batch.on_outcome(outcome)
        return outcomes


def _import_bindings() -> Any:
    """Import HTCondor's bindings. Raises :class:`~conveyor.errors.ConfigurationError` if they are not installed."""
    try:
        import htcondor2
    except ImportError:
        raise ConfigurationError(
            "the runner htcondor needs HTCondor's Python bindings, which are not installed",
            hint="pip install 'conveyor[htcondor]', or use --runner local",
        ) from None
    return htcondor2


def _scheduler(bindings: Any) -> Any:
    """Return this host's scheduler. Raises :class:`~conveyor.errors.ConfigurationError` if there is none."""
    try:
        return bindings.Schedd()
    except bindings.HTCondorException as error:
        raise _unreachable_error(error) from None


def _unreachable_error(error: Exception) -> ConfigurationError:
    return ConfigurationError(f"no scheduler of HTCondor answers: {error}", hint="does condor_q work here?")


class _Run:
    """One DAG in the pool."""

    def __init__(
        self,
        bindings: Any,
        schedd: Any,
        folder: DagFolder,
        environment: Environment,
        on_update: Callable[[Update], None],
        total: int,
    ) -> None:
        self._bindings = bindings
        self._schedd = schedd
        self._folder = folder
        self._stop = environment.stop
        self._copies = CopyProgress(folder, environment)
        self._on_update = on_update
        self._total = total
        self._seen: set[str] = set()
        self._cluster = 0

    def submit(self) -> None:
        folder = self._folder.path
        try:
            description = self._bindings.Submit.from_dag(str(folder / DAG))
            description["initialdir"] = str(folder)
            description["JobBatchName"] = folder.name
            description[f"My.{_OURS}"] = f'"{folder}"'
            self._cluster = self._schedd.submit(description).cluster()
        except (self._bindings.HTCondorException, OSError) as error:
            raise IoFailedError(
                f"the DAG {folder / DAG} was not submitted: {error}",
                hint=f"nothing has moved: mend the cause, then 'condor_submit_dag {folder / DAG}'",
            ) from None
        self._notify(None, f"submitted as job {self._cluster}, {self._total} to do, in {folder}")

    def follow(self, should_remove: Callable[[], bool]) -> list[Outcome]:
        """Wait for the DAG's end, reporting each request that is done, and progress meanwhile; return all outcomes."""
        with contextlib.closing(self._copies):
            end = self._wait()
        match end:
            case _End.OVER:
                return self._folder.outcomes()
            case _End.ASKED:
                return self._stopped(should_remove())
        return self._lost()

    def _wait(self) -> _End:
        """Wait until the DAG has left the queue, cannot go on, or somebody asks to stop."""
        ask_at, is_held, is_lost = 0.0, False, False
        while True:
            self._look()
            if self._stop():
                return _End.ASKED
            if time.monotonic() >= ask_at:
                state = self._state()
                if state in (None, _REMOVED, _COMPLETED):
                    self._look()
                    return _End.OVER
                was_lost, is_lost = is_lost, state in (_IDLE, _HELD) and self._is_folder_gone()
                if was_lost and is_lost:  # not a server that was slow for a moment
                    return _End.LOST
                if state == _HELD and not is_held:
                    self._notify(
                        None, f"job {self._cluster} is held: see 'condor_q -hold'; it goes on when it is released"
                    )
                is_held = state == _HELD
                ask_at = time.monotonic() + _ASK
            if len(self._seen) == self._total:  # only the last node is left
                ask_at = 0.0
            time.sleep(_POLL)

    def _stopped(self, is_to_go: bool) -> list[Outcome]:
        folder = self._folder
        if is_to_go:
            self._remove("asked by a person")
            return folder.outcomes()
        error = InterruptedRunError(
            f"the DAG in {folder.path} is left running, as job {self._cluster}",
            hint=f"'conveyor dag summary {folder.path}' says how far it is; condor_rm {self._cluster} ends it",
        )
        running = set(_not_over(folder))
        return [
            new_outcome(str(folder.operation), node.metadata, error=error) if node in running else outcome
            for node, outcome in zip(folder.nodes, folder.outcomes(), strict=True)
        ]

    def _lost(self) -> list[Outcome]:
        """Remove the DAG, which would act again if its folder came back, and return what is known of each request."""
        folder = self._folder
        self._remove("its folder is gone")
        error = IoFailedError(
            f"the folder of the DAG, {folder.path}, is gone; job {self._cluster} waited for it, and was removed",
            hint="'conveyor status' says where the request is; use a dag_folder outside of all requests",
        )
        paths = tuple(Path(node.metadata) for node in folder.nodes)
        seen = preview(Batch(folder.operation, paths, folder.capability, folder.config, Environment()))
        return [
            replace(one, dry_run=False) if one.already else replace(one, dry_run=False, steps=(), error=error)
            for one in seen
        ]

    def _is_folder_gone(self) -> bool:
        try:
            return not self._folder.path.is_dir()
        except OSError:  # its server does not answer
            return False

    def _remove(self, reason: str) -> None:
        """Remove the DAG from the queue, and wait until it has left."""
        self._schedd.act(self._bindings.JobAction.Remove, f"ClusterId == {self._cluster}", reason)
        while self._state() not in (None, _COMPLETED):
            time.sleep(_POLL)

    def _state(self) -> int | None:
        """Return the JobStatus of DAGMan's own job; None if it has left the queue."""
        try:
            found = self._schedd.query(f"ClusterId == {self._cluster}", ["JobStatus"])
        except self._bindings.HTCondorException as error:  # it is busy, or restarted
            self._notify(None, f"the scheduler does not answer, asking again: {error}")
            return 0
        return int(found[0]["JobStatus"]) if found else None

    def _look(self) -> None:
        """Report the progress of the copies, and the nodes that are over since the last look."""
        nodes, found = self._folder.nodes, _nodes(self._folder)
        self._copies.update(node for node in nodes if node.name in found.at_work)
        for node in nodes:
            if node.name in found.over and node.name not in self._seen:
                self._seen.add(node.name)
                self._notify(self._folder.result(node) or self._folder.unfinished(node))

    def _notify(self, outcome: Outcome | None, note: str = "") -> None:
        self._on_update(Update(outcome, len(self._seen), self._total, note))


@frozen
class _Nodes:
    """The names of the nodes of a DAG that are over, well or not, and of those whose jobs run."""

    over: set[str]
    at_work: set[str]


def _nodes(folder: DagFolder) -> _Nodes:
    """Read the state of the nodes of a DAG from DAGMan's status file."""
    import classad2

    try:
        entries = list(classad2.parseAds((folder.path / DAG_STATUS).read_text(errors="replace")))
    except (OSError, ValueError):  # not written yet
        return _Nodes(set(), set())
    nodes = [one for one in entries if one.get("Type") == "NodeStatus"]
    over = {str(one["Node"]) for one in nodes if one["NodeStatus"] in _OVER}
    at_work = {
        str(one["Node"]) for one in nodes if one["NodeStatus"] == _SUBMITTED and one.get("StatusDetails") != "idle"
    }
    return _Nodes(over, at_work)


def _not_over(folder: DagFolder) -> Iterator[Node]:
    """Yield the nodes that are not over."""
    over = _nodes(folder).over
    for node in folder.nodes:
        if node.name is not None and node.name not in over:
            yield node


def with_queued(entries: Sequence[OverviewEntry]) -> list[OverviewEntry]:
    """Add a warning to each request that a job of the pool is still to convey.

    Raises as :func:`_queued`.
    """
    queued = _queued()
    return [
        replace(one, warnings=(*one.warnings, queued[one.spool])) if one.spool in queued else one for one in entries
    ]


def _queued() -> dict[str, str]:
    """Return a sentence for each request that a DAG in the queue is still to convey, by the request's path in spool.

    Raises :class:`~conveyor.errors.ConfigurationError` if the bindings or a scheduler are missing.
    """
    bindings = _import_bindings()
    try:
        found = _scheduler(bindings).query(f"{_OURS} =!= undefined", [_OURS, "ClusterId", "JobStatus"])
    except bindings.HTCondorException as error:
        raise _unreachable_error(error) from None
    queued: dict[str, str] = {}
    for dag in found:
        if int(dag["JobStatus"]) in (_REMOVED, _COMPLETED):
            continue
        try:
            folder = DagFolder.read(Path(str(dag[_OURS])))
        except ConfigurationError:  # somebody removed the folder
            continue
        for node in _not_over(folder):
            if node.spool is not None:
                job = f"node {node.name} of job {dag['ClusterId']}, {folder.path}"
                queued[node.spool] = f"a job of the pool is to {folder.operation} it: {job}"
    return queued
