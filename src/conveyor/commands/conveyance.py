"""Deliver, retrieve, QA fail and status, for one request or for many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conveyor.commands.engines import Order
from conveyor.commands.requests import begun, completed, every_request, prepare, tell_error, unclaimed
from conveyor.engine.context import World
from conveyor.engine.conveyance import convey, look
from conveyor.engine.outcome import Observer, Outcome, nobody
from conveyor.engine.plan import Wish
from conveyor.engine.progress import Watcher, unwatched
from conveyor.settings.sources import LoadedSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conveyor.commands.engines import Engine
    from conveyor.errors import ConveyorError
    from conveyor.request.metadata import Metadata


def deliver(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    settings: LoadedSettings | None = None,
    observer: Observer = nobody,
    watcher: Watcher = unwatched,
) -> Outcome:
    """Carry a finished request to its QA area, a link in the place of each directory.

    ``capability`` is by default the one that claims the metadata's workflow. Failures that Conveyor foresees are in the
    outcome's ``error``; :meth:`~conveyor.Outcome.raise_for_error` raises it.
    """
    world = World(observer=observer, watcher=watcher)
    return _convey(Wish.DELIVER, metadata, capability, settings or load_settings(), world, dry_run)


def retrieve(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    settings: LoadedSettings | None = None,
    observer: Observer = nobody,
    watcher: Watcher = unwatched,
) -> Outcome:
    """Carry a request home from its QA area, with what analysts changed; see :func:`deliver` for the rest."""
    world = World(observer=observer, watcher=watcher)
    return _convey(Wish.RETRIEVE, metadata, capability, settings or load_settings(), world, dry_run)


def qa_fail(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    settings: LoadedSettings | None = None,
    observer: Observer = nobody,
    watcher: Watcher = unwatched,
) -> Outcome:
    """Carry a request home, record that its QA failed, and clean up; see :func:`deliver` for the rest."""
    world = World(observer=observer, watcher=watcher)
    return _convey(Wish.QA_FAIL, metadata, capability, settings or load_settings(), world, dry_run)


def convey_all(
    wish: Wish,
    metadata: Sequence[Path],
    *,
    capability: str | None = None,
    dry_run: bool = False,
    settings: LoadedSettings | None = None,
    jobs: int | None = None,
    engine: Engine | None = None,
    observer: Observer = nobody,
    watcher: Watcher = unwatched,
    stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Convey several requests by an engine; one that fails stops no other. The outcomes are in the order of the files.

    By default this host conveys, ``jobs`` at a time in processes of their own (default: the setting); a dry run is always
    made here. ``stop`` is asked between two steps, and all through a copy. ``observer`` is called in these processes,
    ``watcher`` in this one.
    """
    loaded = settings or load_settings()
    world = World(observer=observer, watcher=watcher, stop=stop)
    order = Order(wish, tuple(metadata), capability, loaded, world, dry_run=dry_run)
    return (Local(jobs) if engine is None or dry_run else engine).convey(order)


@dataclass(frozen=True)
class Local:
    """The engine of this host: ``jobs`` requests at a time (None: as is set), in processes of their own."""

    jobs: int | None = None

    def convey(self, order: Order) -> list[Outcome]:
        workers = min(self.jobs or order.settings.settings.jobs, len(order.metadata))
        if workers <= 1:
            return [self._one(order, path) for path in order.metadata]
        from conveyor.commands.board import Board
        from conveyor.commands.workers import in_processes

        board = Board(len(order.metadata))
        slots = {path: slot for slot, path in enumerate(order.metadata)}
        watcher = order.world.watcher

        def one(path: Path) -> Outcome:
            return self._one(replace(order, world=replace(order.world, watcher=board.watcher(slots[path]))), path)

        def lost(path: Path, error: ConveyorError) -> Outcome:
            return begun(str(order.wish), path, error=error)

        try:
            return in_processes(one, order.metadata, workers, lost, lambda: board.pass_on(watcher))
        finally:
            board.close(watcher)

    @staticmethod
    def _one(order: Order, path: Path) -> Outcome:
        return _convey(order.wish, path, order.capability, order.settings, order.world, order.dry_run)


def foresee(order: Order) -> list[Outcome]:
    """What there is to do for each request: its plan or refusal, found by a look that reads no weblog."""
    world = World(stop=order.world.stop)
    return [
        _convey(order.wish, path, order.capability, order.settings, world, dry_run=True, thorough=False)
        for path in order.metadata
    ]


def status(
    metadata: Sequence[Path] = (),
    *,
    capability: str | None = None,
    settings: LoadedSettings | None = None,
) -> list[Outcome]:
    """Where each request is now; without metadata files, every request in the spool root that a capability claims.

    Raises :class:`~conveyor.errors.ConfigurationError` where neither metadata files nor a spool root are given.
    """
    loaded = settings or load_settings()
    paths = list(metadata) or every_request(loaded)
    outcomes = [_status(path, capability, loaded) for path in paths]
    if not metadata:  # most requests in spool have nothing to do with QA
        outcomes = [outcome for outcome in outcomes if outcome.capability or not unclaimed(outcome.error)]
    return outcomes


def _status(path: Path, capability: str | None, loaded: LoadedSettings) -> Outcome:
    def told(outcome: Outcome) -> Outcome:
        request, outcome = prepare(path, capability, loaded, outcome)
        return look(request, World(), outcome)

    return completed(told, begun("status", path))


def _convey(
    wish: Wish,
    metadata: Path | str | Metadata,
    capability: str | None,
    loaded: LoadedSettings,
    world: World,
    dry_run: bool,
    *,
    thorough: bool = True,
) -> Outcome:
    def conveyed(outcome: Outcome) -> Outcome:
        request, outcome = prepare(metadata, capability, loaded, outcome)
        return convey(request, wish, world, outcome, dry_run=dry_run, thorough=thorough)

    outcome = completed(conveyed, replace(begun(str(wish), metadata), dry_run=dry_run))
    tell_error(outcome, world.observer)
    return outcome
