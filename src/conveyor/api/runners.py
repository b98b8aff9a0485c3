"""Conveyances of several requests: the interface of what runs them, and the runner of this host."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from conveyor.api.distinct import distinct, repeated
from conveyor.api.operations import act_on_request, several
from conveyor.engine.context import Environment
from conveyor.engine.conveyance import convey
from conveyor.engine.copy_progress import ProgressCallback, no_progress
from conveyor.engine.outcome import EventCallback, Outcome, no_events
from conveyor.settings.sources import Config, load_config
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from conveyor.engine.plan import Operation


class OutcomeCallback(Protocol):
    """A callback that gets the outcome of each request as it ends."""

    def __call__(self, outcome: Outcome, /) -> None:
        """Take one outcome; must not raise."""


def no_outcomes(outcome: Outcome, /) -> None:
    """Ignore the outcome."""


@frozen
class Batch:
    """The requests of one command, and how to convey them; ``environment`` has the callbacks of each conveyance.

    ``on_outcome`` is called in this process with each outcome as it comes. ``reason`` are the words of the person.
    """

    operation: Operation
    metadata: tuple[Path, ...]
    capability: str | None
    config: Config
    environment: Environment
    dry_run: bool = False
    on_outcome: OutcomeCallback = no_outcomes
    reason: str | None = None

    def task(self, *, thorough: bool = True) -> Callable[[Path], Outcome]:
        """Return the function that conveys one request of the batch; a dry run reads weblogs if it is ``thorough``."""
        return partial(
            act_on_request,
            act=partial(
                convey,
                operation=self.operation,
                environment=self.environment,
                dry_run=self.dry_run,
                thorough=thorough,
                reason=self.reason,
            ),
            command=str(self.operation),
            capability=self.capability,
            config=self.config,
            on_event=self.environment.on_event,
            dry_run=self.dry_run,
        )


class Runner(Protocol):
    """Conveys several requests."""

    def convey(self, batch: Batch) -> list[Outcome]:
        """Return the outcomes, in the order of the metadata files; a failure is in its request's outcome."""


def convey_all(
    operation: Operation,
    metadata: Iterable[Path | str] | Path | str,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    jobs: int | None = None,
    runner: Runner | None = None,
    reason: str | None = None,
    on_event: EventCallback = no_events,
    on_progress: ProgressCallback = no_progress,
    on_outcome: OutcomeCallback = no_outcomes,
    stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Convey several requests by a runner; one that fails stops no other. The outcomes are in the order of the files.

    A request that several files name is conveyed once, and has one outcome, with a warning.

    By default this host conveys, ``jobs`` at a time in processes of their own (default: the setting); a dry run is always
    made here. ``reason`` are the words of the person who gives a verdict, kept with it. ``stop`` is called between two
    steps, and all through a copy. ``on_event`` is called in these processes, ``on_progress`` and ``on_outcome`` in this
    one, the last as soon as a request ends.
    """
    environment = Environment(on_event=on_event, on_progress=on_progress, stop=stop)
    files = distinct(several(metadata))
    batch = Batch(
        operation,
        tuple(files),
        capability,
        config or load_config(),
        environment,
        dry_run=dry_run,
        on_outcome=lambda outcome: on_outcome(repeated(outcome, files)),
        reason=reason,
    )
    outcomes = (LocalRunner(jobs) if runner is None or dry_run else runner).convey(batch)
    return [repeated(outcome, files) for outcome in outcomes]


def preview(batch: Batch) -> list[Outcome]:
    """Return the plan or the refusal of each request, found by a look that reads no weblog."""
    silent = replace(batch, environment=Environment(stop=batch.environment.stop), dry_run=True)
    return list(map(silent.task(thorough=False), batch.metadata))


@frozen
class LocalRunner:
    """The runner of this host: ``jobs`` requests at a time (None: as is set), in processes of their own."""

    jobs: int | None = None

    def convey(self, batch: Batch) -> list[Outcome]:
        workers = min(self.jobs or batch.config.values.jobs, len(batch.metadata))
        if workers <= 1:
            task, outcomes = batch.task(), []
            for path in batch.metadata:
                outcomes.append(task(path))
                batch.on_outcome(outcomes[-1])
            return outcomes
        from conveyor.api.processes import convey_in_processes

        return convey_in_processes(batch, workers)
