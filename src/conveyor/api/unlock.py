"""Give up the claim of a host that is gone: the way out that only a person may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.api.requests import capture_errors, new_outcome, resolve_request
from conveyor.engine.context import Environment
from conveyor.engine.unlocking import give_up_claim
from conveyor.settings.sources import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.engine.claim import Holder
    from conveyor.engine.outcome import Outcome


def unlock(
    metadata: Path,
    sure: Callable[[Holder], bool],
    *,
    capability: str | None = None,
    config: Config | None = None,
) -> Outcome:
    """Give up the claim on a request where ``sure`` says, of its holder, that it is gone for good.

    A request that is free, or whose holder is dead on this host, is left as it is. The outcome's error is
    :class:`~conveyor.errors.LockedError` where the holder is alive on this host, where ``sure`` says no, and where
    somebody else came before.
    """
    config = config or load_config()

    def unlocked(outcome: Outcome) -> Outcome:
        request, outcome = resolve_request(metadata, capability, config, outcome)
        return give_up_claim(request, Environment(), outcome, sure)

    return capture_errors(unlocked, new_outcome("unlock", metadata))
