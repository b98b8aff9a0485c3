"""Check a delivered request against the manifests of its copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.api.requests import capture_errors, new_outcome, resolve_request
from conveyor.engine.context import Environment
from conveyor.engine.copy_progress import ProgressCallback, no_progress
from conveyor.settings.sources import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.engine.outcome import Outcome
    from conveyor.request.metadata import Metadata


def verify(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    config: Config | None = None,
    on_progress: ProgressCallback = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Read what a request has in its QA area from the disk, and compare it with what was copied there.

    What became of each directory is in the outcome's ``verified``. What analysts changed is no error; what rotted is
    :class:`~conveyor.errors.RottedError`. ``stop`` is asked all the time. Nothing is changed.
    """
    from conveyor.engine.verification import verify as check

    config = config or load_config()

    def verified(outcome: Outcome) -> Outcome:
        request, outcome = resolve_request(metadata, capability, config, outcome)
        return check(request, Environment(on_progress=on_progress, stop=stop), outcome)

    return capture_errors(verified, new_outcome("verify", metadata))
