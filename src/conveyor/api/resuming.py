"""Finish what was interrupted, each request in the direction that it had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.api.overview import overview
from conveyor.api.overview_entry import OverviewEntry, Trouble
from conveyor.api.runners import convey_all
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Any

    from conveyor.engine.outcome import Outcome
    from conveyor.engine.plan import Operation
    from conveyor.settings.sources import Config


@frozen
class Interrupted:
    """The conveyances that were interrupted, by direction, and the requests that are held by whom this host cannot ask."""

    by_operation: dict[Operation, list[str]]
    held: tuple[OverviewEntry, ...]


def interrupted(config: Config, named: Iterable[Path] | None = None, capability: str | None = None) -> Interrupted:
    """Return what was interrupted among the requests that are ``named``; None: all of the workspace.

    Raises :class:`~conveyor.errors.ConveyorError` as an overview does.
    """
    from conveyor.api.overview import look_at

    entries = overview(config).entries if named is None else [look_at(path, capability, config) for path in named]
    found: dict[Operation, list[str]] = {}
    for entry in entries:
        if entry.trouble is Trouble.STALLED and entry.begun is not None:
            found.setdefault(entry.begun, []).append(entry.metadata)
    held = [one for one in entries if one.state == "in-transit" and one.holder is not None and one.trouble is None]
    return Interrupted(found, tuple(held))


def resume(
    config: Config, found: Interrupted, *, runner: Callable[[Operation], Any] = lambda _: None, **options: Any
) -> list[Outcome]:
    """Finish what was interrupted; ``options`` are those of :func:`conveyor.convey_all`, ``runner`` makes its runner."""
    outcomes: list[Outcome] = []
    for operation, files in found.by_operation.items():
        outcomes += convey_all(operation, files, config=config, runner=runner(operation), **options)
    return outcomes
