"""Requests tidied: what stayed of the sources of their copies goes, where it may by now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from conveyor.api.area_listings import list_area
from conveyor.api.operations import act_on_request
from conveyor.engine.context import Environment, looking_only
from conveyor.engine.left_over import remove_what_stayed
from conveyor.errors import ConfigurationError
from conveyor.layout import META_DIR, METADATA
from conveyor.request.places import find_roots
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
    metadata files nor a spool root are given, or it is not there, and the error of a spool root that cannot be listed.
    """
    config = config or load_config()
    act = partial(remove_what_stayed, environment=Environment())
    for path in metadata or _conveyed(config):
        outcome = act_on_request(path, act, command="tidy", capability=capability, config=config)
        if metadata or outcome.changed or outcome.error is not None:
            yield outcome


def _conveyed(config: Config) -> list[Path]:
    """Return the metadata files of all requests that were conveyed."""
    spool = list_area(looking_only(), find_roots(config.values).spool)
    if spool.error is not None:
        raise spool.error
    if not spool.is_there:
        raise ConfigurationError(f"the spool root {spool.path} is not there", hint="is it mounted on this host?")
    return [spool.path / name / METADATA for name in spool.names if (spool.path / name / META_DIR).is_dir()]
