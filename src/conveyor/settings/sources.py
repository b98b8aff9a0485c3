"""The sources of settings: flag > environment > TOML file > CAPO properties > default. The origin of each is kept.

pydantic validates the merged values. pydantic-settings would merge them too, but it does not say which source a value
came from, and importing it takes a third as long as everything else that a conveyance imports (``benchmarks/startup.py``
prints it); the merge below is all that is missing.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from conveyor.errors import ConfigurationError, ConveyorError
from conveyor.settings.model import RENAMED, SECRETS, TABLES, Settings
from conveyor.settings.wording import did_you_mean, nearest, problem
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "CONVEYOR_"
CONFIG_VARIABLE = "CONVEYOR_CONFIG"
# Set by the program for shell completion and by the command line's own options, not by us.
_NOT_SETTINGS = frozenset({CONFIG_VARIABLE, "_CONVEYOR_COMPLETE"})


@frozen
class Config:
    """The effective settings (``values``) and the source of each, in words (``origins``).

    ``file`` is the TOML file, if there is one; ``notices`` are messages for the user.
    """

    values: Settings
    origins: Mapping[str, str]
    file: Path | None
    notices: tuple[str, ...] = ()

    @property
    def spool_of_names(self) -> Path | None:
        """The spool area whose requests may be named by their names in any command; None if only a flag has set one."""
        return self.values.spool_root if self.origins.get("spool_root") != "flag" else None

    @property
    def capabilities_origin(self) -> str:
        """The owner of the configured capabilities, for messages."""
        return str(self.file) if self.file else "configuration"


def load_config(
    flags: Mapping[str, Any] | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Merge all sources; the first that names a setting wins.

    ``flags`` are settings by name (None: not given), ``config`` is the file that ``--config`` named, ``environment``
    defaults to the process's own. Raises :class:`~conveyor.errors.ConfigurationError`, which names the source that is wrong,
    and :class:`~conveyor.errors.IoFailedError` if a later try may read the file.
    """
    environment = os.environ if environment is None else environment
    file = config or _configured(environment) or next(_usual_files(environment), None)
    table = _read_toml(file) if file else {}
    layers = [
        {name: (value, "flag") for name, value in (flags or {}).items() if value is not None},
        dict(_from_environment(environment)),
        {name: (value, str(file)) for name, value in table.items()},
    ]
    merged = _merge(layers)
    mapping = merged.get("capo", ({}, ""))[0]
    if mapping and isinstance(mapping, dict):  # the model refuses anything else
        from conveyor.settings.capo import properties_of

        layers.append(dict(properties_of(mapping, merged)))
    notices = tuple(notice for layer in layers for notice in _rename(layer))
    values = _merge(layers)
    try:
        settings = Settings.model_validate({name: value for name, (value, _) in values.items()})
    except ValidationError as error:
        raise _invalid_error(error, values) from None
    origins = {name: values[name][1] if name in values else "default" for name in Settings.model_fields}
    return Config(settings, origins, file, notices)


def _rename(layer: dict[str, tuple[Any, str]]) -> Iterator[str]:
    """Give the settings of a source their names of today, with a notice for each that had the old one."""
    for old, new in RENAMED.items():
        if old in layer:
            value, source = layer.pop(old)
            layer.setdefault(new, (value, source))
            yield f"the setting {old} (from {source}) is called {new} now: this is the last release that takes the old name"


def _merge(layers: list[dict[str, tuple[Any, str]]]) -> dict[str, tuple[Any, str]]:
    merged: dict[str, tuple[Any, str]] = {}
    for layer in reversed(layers):
        merged |= layer
    return merged


def _configured(environment: Mapping[str, str]) -> Path | None:
    named = environment.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _usual_files(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the user's file, then the system's, if they exist, in the order of the XDG base directory specification."""
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    directories = [home, *(environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"), "/etc"]
    for directory in filter(os.path.isabs, directories):  # others, empty ones too, are to be ignored by it
        file = os.path.join(directory, "conveyor", "conveyor.toml")
        if os.path.isfile(file):  # not Path.is_file, which raises if a directory above it may not be read
            yield Path(file)


def _read_toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        reason = ConveyorError.from_os_error(error)
        if reason.retryable and error.errno != errno.ENOENT:
            raise reason from None
        raise ConfigurationError(
            f"the configuration file {file} cannot be read: {error.strerror}",
            hint=f"name another with --config or {CONFIG_VARIABLE}, or make this one readable",
        ) from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # a number of too many digits, or tables too deep, are no TOMLDecodeError
        raise ConfigurationError(
            f"the configuration file {file} is not TOML: {error}", hint="correct it at that place"
        ) from None


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable not in _NOT_SETTINGS:
            name = variable.removeprefix(PREFIX).lower()
            if name not in Settings.model_fields.keys() | RENAMED or name in TABLES:
                known = [field for field in Settings.model_fields if field not in TABLES] + ["config"]
                near = nearest(name, known)
                variables = [PREFIX + one.upper() for one in ([near] if near else known)]
                hint = f"did you mean {variables[0]}?" if near else f"the variables are {', '.join(variables)}"
                raise ConfigurationError(f"{variable} is not a setting of Conveyor", hint=hint)
            if environment[variable]:
                yield name, (environment[variable], f"environment {variable}")


def _invalid_error(error: ValidationError, values: Mapping[str, tuple[Any, str]]) -> ConfigurationError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    place = ".".join(str(part) for part in first["loc"])
    source = values[name][1] if name in values else "?"
    if first["type"] == "extra_forbidden":
        every = f"the settings are {', '.join(Settings.model_fields)}"
        hint = did_you_mean(name, Settings.model_fields, every)
        return ConfigurationError(f"{place} (from {source}) is not a setting", hint=hint)
    # What may be a secret in the wrong place is not repeated, nor is a whole table.
    is_unknown = first["type"] == "unexpected_keyword_argument"
    if not is_unknown and SECRETS.isdisjoint(map(str, first["loc"])):
        value = "" if isinstance(first["input"], dict) else f" = '{first['input']}'"
    else:
        value, first["input"] = "", "what is there"
    return ConfigurationError(
        f"the setting {place}{value} (from {source}) is wrong: {problem(first)}",
        hint="correct it where it is set",
    )


def read_secret(reference: str, environment: Mapping[str, str] | None = None) -> str:
    """Read a secret from where a setting says that it is: ``env:VARIABLE`` or ``file:/path``; other text is itself.

    Space around it is left out, such as the line break at the end of a file. Raises :class:`OSError` if the file cannot be
    read, and :class:`ValueError` if there is no such variable, or nothing in it.
    """
    kind, _, place = reference.partition(":")
    if kind == "file":
        secret = Path(place).read_text().strip()
    elif kind == "env":
        secret = (os.environ if environment is None else environment).get(place, "").strip()
    else:
        return reference
    if not secret:
        raise ValueError(f"there is no secret in {reference}")
    return secret
