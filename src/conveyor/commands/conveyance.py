"""Deliver, retrieve, QA fail and status, for one request or for many."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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
    observer: Observer = nobody,
    watcher: Watcher = unwatched,
    stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Convey several requests, ``jobs`` at a time in processes of their own (default: the setting); one that fails stops
    no other. The outcomes are in the order of the metadata files. ``stop`` is asked between two steps, and
    all through a copy. ``observer`` is called in these processes, ``watcher`` in this one.
    """
    loaded = settings or load_settings()
    world = World(observer=observer, watcher=watcher, stop=stop)
    workers = min(jobs or loaded.settings.jobs, len(metadata))
    if workers <= 1:
        return [_convey(wish, path, capability, loaded, world, dry_run) for path in metadata]
    from conveyor.commands.board import Board
    from conveyor.commands.workers import in_processes

    board = Board(len(metadata))
    slots = {path: slot for slot, path in enumerate(metadata)}

    def one(path: Path) -> Outcome:
        watched = replace(world, watcher=board.watcher(slots[path]))
        return _convey(wish, path, capability, loaded, watched, dry_run)

    def lost(path: Path, error: ConveyorError) -> Outcome:
        return begun(str(wish), path, error=error)

    try:
        return in_processes(one, metadata, workers, lost, lambda: board.pass_on(watcher))
    finally:
        board.close(watcher)


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
) -> Outcome:
    def conveyed(outcome: Outcome) -> Outcome:
        request, outcome = prepare(metadata, capability, loaded, outcome)
        return convey(request, wish, world, outcome, dry_run=dry_run)

    outcome = completed(conveyed, replace(begun(str(wish), metadata), dry_run=dry_run))
    tell_error(outcome, world.observer)
    return outcome
