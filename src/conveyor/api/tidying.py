"""Requests tidied: what stayed of the sources of their copies goes, where it may by now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from conveyor.api.find_requests import find_requests
from conveyor.api.operations import act_on_request
from conveyor.engine.context import Environment
from conveyor.engine.left_over import remove_what_stayed
from conveyor.settings.sources import load_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from conveyor.engine.outcome import Outcome
    from conveyor.settings.sources import Config


def tidy(
    metadata: Sequence[Path] = (), *, capability: str | None = None, config: Config | None = None
) -> Iterator[Outcome]:
    """Remove what stayed of the sources of copies; without metadata files, of all requests of the workspace.

    Of all, those are told that had anything, or an error. Raises :class:`~conveyor.errors.ConfigurationError` if neither
    metadata files nor a spool root are given.
    """
    config = config or load_config()
    found = () if metadata else find_requests(config, capability).requests
    act = partial(remove_what_stayed, environment=Environment())
    for path in metadata or [one.metadata for one in found if one.error is None]:
        outcome = act_on_request(path, act, command="tidy", capability=capability, config=config)
        if metadata or outcome.changed or outcome.error is not None:
            yield outcome
