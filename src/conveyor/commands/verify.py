"""Check a delivered request against the manifests of its copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.commands.requests import begun, completed, prepare
from conveyor.engine.context import World
from conveyor.engine.progress import Watcher, unwatched
from conveyor.settings.sources import LoadedSettings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.engine.outcome import Outcome
    from conveyor.request.metadata import Metadata


def verify(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    settings: LoadedSettings | None = None,
    watcher: Watcher = unwatched,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Read what a request has in its QA area from the disk, and compare it with what was copied there.

    What became of each directory is in the outcome's ``verified``. What analysts changed is no error; what rotted is
    :class:`~conveyor.errors.RottedError`. ``stop`` is asked all the time. Nothing is changed.
    """
    from conveyor.engine.verification import verify as check

    loaded = settings or load_settings()

    def verified(outcome: Outcome) -> Outcome:
        request, outcome = prepare(metadata, capability, loaded, outcome)
        return check(request, World(watcher=watcher, stop=stop), outcome)

    return completed(verified, begun("verify", metadata))
