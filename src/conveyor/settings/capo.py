"""CAPO, the observatory's properties, as a source of settings.

Source: pycapo, which searches ``$CAPO_PROFILE.properties`` along ``$CAPO_PATH``. Imported if a configuration names CAPO.
"""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conveyor.errors import ConfigurationError
from conveyor.settings.model import RENAMED, SECRETS, TABLES, Settings
from conveyor.settings.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping


def properties_of(mapping: Mapping[str, Any], stronger: Container[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the settings that CAPO's properties hold, with their source, by the property names of the configuration.

    ``stronger`` are the settings that another source has already, whose properties are not looked at. Raises
    :class:`~conveyor.errors.ConfigurationError`.
    """
    profile = _profile()
    for name, key in mapping.items():
        if name not in Settings.model_fields.keys() | RENAMED or name in TABLES:
            every = f"the settings are {', '.join(Settings.model_fields)}"
            raise ConfigurationError(
                f"the [capo] table names a setting that does not exist: {name!r}",
                hint=did_you_mean(name, Settings.model_fields, every),
            )
        if name not in stronger and isinstance(key, str) and profile.has_option(key):
            value, file = profile.getstring(key), profile.get_location(key)
            _make_sure_that_variables_are_replaced(name, key, value, Path(file))
            yield name, (value, f"CAPO property {key} in {file}")


def _profile() -> Any:
    try:
        from pycapo import CapoConfig
    except ImportError:
        raise ConfigurationError(
            "the configuration maps settings to CAPO properties, but pycapo is not installed",
            hint="pip install 'conveyor[capo]', or remove the [capo] table",
        ) from None
    if "CAPO_PROFILE" not in os.environ:
        raise ConfigurationError(
            "the configuration maps settings to CAPO properties, but no CAPO profile is chosen",
            hint="set CAPO_PROFILE, or remove the [capo] table",
        )
    try:
        return CapoConfig()
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(
            f"the CAPO profile {os.environ['CAPO_PROFILE']!r} cannot be read: {error}",
            hint="correct its file, or remove the [capo] table",
        ) from None


def _make_sure_that_variables_are_replaced(name: str, key: str, value: str, file: Path) -> None:
    """Refuse a property if its environment variables say something else than what pycapo makes of it.

    pycapo 0.3.1 replaces variables only in a value that begins with one, all of them by the first, which is nothing if it is
    not set. That is often a path which exists and was not meant. The text as it is written has to be read from the file.
    """
    parser = configparser.RawConfigParser()
    parser.read_string("[capo]\n" + file.read_text())
    written = parser.get("capo", key)
    meant = re.sub(r"\$\{env:(.*?)\}", lambda variable: os.environ.get(variable[1]) or variable[0], written)
    if value == meant and "${env:" not in value:
        return
    what = (
        "has variables that are not replaced" if name in SECRETS else f"is '{written}', of which pycapo makes '{value}'"
    )
    raise ConfigurationError(
        f"the CAPO property {key} in {file} {what}",
        hint="pycapo replaces one ${env:NAME}, at the beginning, if it is set and its name has letters and _ only: "
        f"set it, or write out what it stands for, or set {name} elsewhere",
    )
