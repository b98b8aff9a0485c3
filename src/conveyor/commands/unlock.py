"""Give up the claim of a host that is gone: the way out that only a person may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.commands.requests import begun, completed, prepare
from conveyor.engine.context import World
from conveyor.engine.unlocking import give_up_claim
from conveyor.settings.sources import LoadedSettings, load_settings

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
    settings: LoadedSettings | None = None,
) -> Outcome:
    """Give up the claim on a request where ``sure`` says, of its holder, that it is gone for good.

    A request that is free, or whose holder is dead on this host, is left as it is. The outcome's error is
    :class:`~conveyor.errors.LockedError` where the holder is alive on this host, where ``sure`` says no, and where
    somebody else came before.
    """
    loaded = settings or load_settings()

    def unlocked(outcome: Outcome) -> Outcome:
        request, outcome = prepare(metadata, capability, loaded, outcome)
        return give_up_claim(request, World(), outcome, sure)

    return completed(unlocked, begun("unlock", metadata))
