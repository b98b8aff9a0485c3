"""Where conveyances run: the interface that this host's processes and a pool have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.context import World
    from conveyor.engine.outcome import Outcome
    from conveyor.engine.plan import Wish
    from conveyor.settings.sources import LoadedSettings


@dataclass(frozen=True)
class Order:
    """What is to be conveyed. ``world`` says who watches, and who may ask to stop."""

    wish: Wish
    metadata: tuple[Path, ...]
    capability: str | None
    settings: LoadedSettings
    world: World
    dry_run: bool = False


class Engine(Protocol):
    """Conveys several requests."""

    def convey(self, order: Order) -> list[Outcome]:
        """The outcomes, in the order of the metadata files; a failure is in its request's outcome."""
