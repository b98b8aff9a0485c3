"""Deliver, retrieve, QA fail and status, for one request or for many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conveyor.api.requests import (
    capture_errors,
    every_request,
    has_no_capability,
    log_error,
    new_outcome,
    resolve_request,
)
from conveyor.api.runners import Batch
from conveyor.engine.context import Environment
from conveyor.engine.conveyance import convey, look
from conveyor.engine.copy_progress import ProgressCallback, no_progress
from conveyor.engine.outcome import EventCallback, Outcome, no_events
from conveyor.engine.plan import Operation
from conveyor.settings.sources import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conveyor.api.runners import Runner
    from conveyor.errors import ConveyorError
    from conveyor.request.metadata import Metadata


def deliver(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    on_event: EventCallback = no_events,
    on_progress: ProgressCallback = no_progress,
) -> Outcome:
    """Carry a finished request to its QA area, a link in the place of each directory.

    ``capability`` is by default the one that claims the metadata's workflow. Failures that Conveyor foresees are in the
    outcome's ``error``; :meth:`~conveyor.Outcome.raise_for_error` raises it.
    """
    environment = Environment(on_event=on_event, on_progress=on_progress)
    return _convey(Operation.DELIVER, metadata, capability, config or load_config(), environment, dry_run)


def retrieve(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    on_event: EventCallback = no_events,
    on_progress: ProgressCallback = no_progress,
) -> Outcome:
    """Carry a request home from its QA area, with what analysts changed; see :func:`deliver` for the rest."""
    environment = Environment(on_event=on_event, on_progress=on_progress)
    return _convey(Operation.RETRIEVE, metadata, capability, config or load_config(), environment, dry_run)


def qa_fail(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    on_event: EventCallback = no_events,
    on_progress: ProgressCallback = no_progress,
) -> Outcome:
    """Carry a request home, record that its QA failed, and clean up; see :func:`deliver` for the rest."""
    environment = Environment(on_event=on_event, on_progress=on_progress)
    return _convey(Operation.QA_FAIL, metadata, capability, config or load_config(), environment, dry_run)


def convey_all(
    operation: Operation,
    metadata: Sequence[Path],
    *,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    jobs: int | None = None,
    runner: Runner | None = None,
    on_event: EventCallback = no_events,
    on_progress: ProgressCallback = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Convey several requests by an engine; one that fails stops no other. The outcomes are in the order of the files.

    By default this host conveys, ``jobs`` at a time in processes of their own (default: the setting); a dry run is always
    made here. ``stop`` is asked between two steps, and all through a copy. ``observer`` is called in these processes,
    ``watcher`` in this one.
    """
    config = config or load_config()
    environment = Environment(on_event=on_event, on_progress=on_progress, stop=stop)
    batch = Batch(operation, tuple(metadata), capability, config, environment, dry_run=dry_run)
    return (LocalRunner(jobs) if runner is None or dry_run else runner).convey(batch)


@dataclass(frozen=True)
class LocalRunner:
    """The engine of this host: ``jobs`` requests at a time (None: as is set), in processes of their own."""

    jobs: int | None = None

    def convey(self, batch: Batch) -> list[Outcome]:
        workers = min(self.jobs or batch.config.values.jobs, len(batch.metadata))
        if workers <= 1:
            return [self._one(batch, path) for path in batch.metadata]
        from conveyor.api.board import Board
        from conveyor.api.workers import in_processes

        board = Board(len(batch.metadata))
        slots = {path: slot for slot, path in enumerate(batch.metadata)}
        on_progress = batch.environment.on_progress

        def one(path: Path) -> Outcome:
            return self._one(
                replace(batch, environment=replace(batch.environment, on_progress=board.on_progress(slots[path]))), path
            )

        def lost(path: Path, error: ConveyorError) -> Outcome:
            return new_outcome(str(batch.operation), path, error=error)

        try:
            return in_processes(one, batch.metadata, workers, lost, lambda: board.pass_on(on_progress))
        finally:
            board.close(on_progress)

    @staticmethod
    def _one(batch: Batch, path: Path) -> Outcome:
        return _convey(batch.operation, path, batch.capability, batch.config, batch.environment, batch.dry_run)


def preview(batch: Batch) -> list[Outcome]:
    """What there is to do for each request: its plan or refusal, found by a look that reads no weblog."""
    environment = Environment(stop=batch.environment.stop)
    return [
        _convey(batch.operation, path, batch.capability, batch.config, environment, dry_run=True, thorough=False)
        for path in batch.metadata
    ]


def status(
    metadata: Sequence[Path] = (),
    *,
    capability: str | None = None,
    config: Config | None = None,
) -> list[Outcome]:
    """Where each request is now; without metadata files, every request in the spool root that a capability claims.

    Raises :class:`~conveyor.errors.ConfigurationError` where neither metadata files nor a spool root are given.
    """
    config = config or load_config()
    paths = list(metadata) or every_request(config)
    outcomes = [_status(path, capability, config) for path in paths]
    if not metadata:  # most requests in spool have nothing to do with QA
        outcomes = [outcome for outcome in outcomes if outcome.capability or not has_no_capability(outcome.error)]
    return outcomes


def _status(path: Path, capability: str | None, config: Config) -> Outcome:
    def told(outcome: Outcome) -> Outcome:
        request, outcome = resolve_request(path, capability, config, outcome)
        return look(request, Environment(), outcome)

    return capture_errors(told, new_outcome("status", path))


def _convey(
    operation: Operation,
    metadata: Path | str | Metadata,
    capability: str | None,
    config: Config,
    environment: Environment,
    dry_run: bool,
    *,
    thorough: bool = True,
) -> Outcome:
    def conveyed(outcome: Outcome) -> Outcome:
        request, outcome = resolve_request(metadata, capability, config, outcome)
        return convey(request, operation, environment, outcome, dry_run=dry_run, thorough=thorough)

    outcome = capture_errors(conveyed, replace(new_outcome(str(operation), metadata), dry_run=dry_run))
    log_error(outcome, environment.on_event)
    return outcome
