"""Where conveyances run: the interface that this host's processes and a pool have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.context import Environment
    from conveyor.engine.outcome import Outcome
    from conveyor.engine.plan import Operation
    from conveyor.settings.sources import Config


@dataclass(frozen=True)
class Batch:
    """What is to be conveyed. ``world`` says who watches, and who may ask to stop."""

    operation: Operation
    metadata: tuple[Path, ...]
    capability: str | None
    config: Config
    environment: Environment
    dry_run: bool = False


class Runner(Protocol):
    """Conveys several requests."""

    def convey(self, batch: Batch) -> list[Outcome]:
        """The outcomes, in the order of the metadata files; a failure is in its request's outcome."""
