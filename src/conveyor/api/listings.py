"""What is registered and what is set, for the listings of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conveyor.capabilities.registry import Registered, Registry

if TYPE_CHECKING:
    from conveyor.settings.sources import Config

_DERIVED = {
    "spool_root": "any",
    "qa_root": "derived: beside the spool area",
    "weblog_cache": "derived: weblog-cache beside the spool area",
    "copy_workers": "one for each processor that this process may use, two at least and sixteen at most",
    "copy_max_rate": "no limit",
    "log_file": "stderr",
    "dag_folder": "the working directory",
    "smtp_user": "none",
    "smtp_password": "none",
    "mail_from": "conveyor at this host",
}


def capabilities(config: Config) -> list[Registered]:
    """Every registered capability; those that cannot be used have a ``problem``.

    Raises :class:`~conveyor.errors.CapabilityDuplicateError` where two owners use one name.
    """
    return Registry(config).everything()


def check_claims(config: Config) -> None:
    """Raise :class:`~conveyor.errors.CapabilityDuplicateError` if two capabilities claim the same workflow."""
    Registry(config).check_claims()


def capability_entry(entry: Registered) -> dict[str, Any]:
    """Return what a registered capability declares, for the JSON document; nothing if it cannot be used."""
    nothing = {"workflows": (), "qa_area": None, "directories": (), "weblog": None}
    return {**(vars(entry.capability) if entry.capability else nothing), **vars(entry)}


def config(config: Config) -> dict[str, dict[str, Any]]:
    """Every setting with its value (as JSON has it), its source, and what None means."""
    values = config.values.model_dump(mode="json")
    return {
        name: {"value": value, "source": config.origins[name], "meaning_of_none": _DERIVED.get(name)}
        for name, value in values.items()
    }
