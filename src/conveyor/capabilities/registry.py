"""The registry: every capability with its owner, found by name or by workflow.

Built-in capabilities and those of the configuration file are at hand. Packages are looked for when a capability is named
outright, when no other claims a workflow, and when everything is listed; not when a workflow of the first two is
conveyed, since scanning the installed packages costs every start of the program more than a conveyance does.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from conveyor.capabilities.builtin import BUILT_IN
from conveyor.capabilities.capability import Capability, Directory, Weblog
from conveyor.documents.codec import validate
from conveyor.errors import (
    CapabilityBrokenError,
    CapabilityDuplicateError,
    CapabilityUnknownError,
    ConfigurationError,
)
from conveyor.settings.wording import nearest, problem
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.metadata import EntryPoint

    from conveyor.settings.sources import Config

GROUP = "conveyor.capabilities"
#: The keys of a capability's table, and those of the tables in it.
_KEYS = (
    [one.name for one in fields(Capability) if one.name != "name"],
    [one.name for kind in (Directory, Weblog) for one in fields(kind)],
)


@frozen
class Registered:
    """A capability's place in the registry: ``kind`` is ``built in``, ``configuration`` or ``package``.

    ``capability`` is None if the owner could not provide it; ``problem`` says why.
    """

    name: str
    kind: str
    owner: str
    capability: Capability | None
    problem: str | None = None


@dataclass
class Registry:
    """All capabilities that this process can convey."""

    config: Config
    _entry_points: list[EntryPoint] | None = field(default=None, init=False, repr=False)

    def find(self, name: str) -> Capability:
        """The capability of that name.

        Raises :class:`~conveyor.errors.CapabilityUnknownError`, :class:`~conveyor.errors.CapabilityBrokenError` or
        :class:`~conveyor.errors.CapabilityDuplicateError`.
        """
        local = [entry for entry in self._local if entry.name == name]
        far = [self._load(point) for point in self._points if point.name == name]
        found = _only(local + far, f"the capability {name!r} is registered twice")
        if found is None:
            near = nearest(name, [entry.name for entry in self._local] + [point.name for point in self._points])
            meant = f"did you mean {near!r}? " if near else ""
            raise CapabilityUnknownError(f"there is no capability {name!r}; {meant}there are: {self._names()}")
        return _whole(found)

    def for_workflow(self, workflow: str) -> Capability:
        """The capability that claims a workflow; raises as :meth:`find` does."""
        for attribute in ("_local", "_far"):  # the second is not even looked at where the first knows
            claims = [
                (entry.capability.claim(workflow), entry) for entry in getattr(self, attribute) if entry.capability
            ]
            strongest = max((claim for claim, _ in claims), default=0)
            if strongest:
                best = [entry for claim, entry in claims if claim == strongest]
                found = _only(best, f"the workflow {workflow!r} is claimed twice")
                if found is not None:
                    return _whole(found)
        broken = "".join(
            f"; {entry.name!r} of {entry.owner} is broken: {entry.problem}" for entry in self._far if entry.problem
        )
        claimed = [one for entry in self._local + self._far if entry.capability for one in entry.capability.workflows]
        near = nearest(workflow, claimed)
        meant = f"did the metadata mean {near!r}? " if near else ""
        raise CapabilityUnknownError(
            f"no capability claims the workflow {workflow!r}; {meant}there are: {self._names()}{broken}"
        )

    @property
    def near_areas(self) -> list[str]:
        """The QA areas of the capabilities that need no look for packages."""
        return sorted({entry.capability.qa_area for entry in self._local if entry.capability})

    def everything(self) -> list[Registered]:
        """Every registered capability, broken ones with their problem; raises if two have one name."""
        entries = _distinct(self._local + self._far)
        return sorted(entries, key=lambda entry: entry.name)

    def check_claims(self) -> None:
        """Raise :class:`~conveyor.errors.CapabilityDuplicateError` if two claim the same workflow, or a pattern is part of
        another's.

        Whether other patterns meet in one workflow is seen only when that is conveyed. A package's claims come after those
        that are at hand, so that they are no duplicates of these.
        """
        for entries in (self._local, self._far):
            claimed = {one for entry in entries if entry.capability for one in entry.capability.workflows}
            for workflow in sorted(claimed):
                strength = 1 if set(workflow) & set("*?[") else 2  # that of its claim: a name goes before a pattern
                _only(
                    [entry for entry in entries if entry.capability and entry.capability.claim(workflow) >= strength],
                    f"the workflow {workflow!r} is claimed twice",
                )

    def _names(self) -> str:
        entries = self._local + self._far
        claims = {
            entry.name: f" (for {', '.join(entry.capability.workflows)})" if entry.capability else " (broken)"
            for entry in entries
        }
        return ", ".join(name + claims[name] for name in sorted(claims))

    @functools.cached_property
    def _local(self) -> list[Registered]:
        entries = [Registered(one.name, "built in", "conveyor", one) for one in BUILT_IN]
        origin = self.config.capabilities_origin
        for name, table in self.config.values.capabilities.items():
            capability = capability_from_table(name, table, origin)
            entries.append(Registered(name, "configuration", origin, capability))
        return _distinct(entries)

    @functools.cached_property
    def _far(self) -> list[Registered]:
        return [self._load(point) for point in self._points]

    @property
    def _points(self) -> Iterable[EntryPoint]:
        if self._entry_points is None:
            from importlib.metadata import entry_points

            self._entry_points = list(entry_points(group=GROUP))
        return self._entry_points

    @staticmethod
    def _load(point: EntryPoint) -> Registered:
        owner = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout has the result of the command
                capability = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's package may fail in any way
            return Registered(point.name, "package", owner, None, f"{type(error).__name__}: {error}")
        if not isinstance(capability, Capability):
            problem = f"{point.value} is a {type(capability).__name__}, not a conveyor.Capability"
            return Registered(point.name, "package", owner, None, problem)
        if capability.name != point.name:
            problem = f"the entry point is called {point.name!r}, its capability {capability.name!r}"
            return Registered(point.name, "package", owner, None, problem)
        return Registered(point.name, "package", owner, capability)


def capability_from_table(name: str, table: Mapping[str, Any], origin: str) -> Capability:
    """Make a capability from ``[capabilities.<name>]``; ``origin`` says in messages which file that was.

    A directory may be given as its name only, and the weblog as true or false. Raises
    :class:`~conveyor.errors.ConfigurationError`.
    """
    if "name" in table:
        raise ConfigurationError(f"{origin}: capabilities.{name}.name: the table's own name is the capability's")
    values = {**table, "name": name}
    if isinstance(directories := values.get("directories"), list):
        values["directories"] = [{"name": one} if isinstance(one, str) else one for one in directories]
    if isinstance(weblog := values.get("weblog"), bool):
        values["weblog"] = {} if weblog else None
    try:
        return validate(Capability, values)
    except ValidationError as error:
        raise ConfigurationError(f"{origin}: {_mistake(name, values, error)}", hint="correct it there") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{origin}: capabilities.{name}: {error.message}", hint="correct it there") from None


def _mistake(name: str, values: Mapping[str, Any], error: ValidationError) -> str:
    """Return the first mistake of a capability's table, a key that is nearly right before the one that is missing for it."""
    mistakes = error.errors(include_url=False)
    first = next((one for one in mistakes if one["type"] == "unexpected_keyword_argument"), mistakes[0])
    place = ".".join(["capabilities", name, *map(str, first["loc"])])
    near = None
    if first["type"] == "unexpected_keyword_argument":
        near = nearest(str(first["loc"][-1]), _KEYS[len(first["loc"]) > 1])
    return f"{place}: {problem(first)}" + (f"; did you mean {near!r}?" if near else "")


def _distinct(entries: list[Registered]) -> list[Registered]:
    for entry in entries:
        same_name = [other for other in entries if other.name == entry.name]
        _only(same_name, f"the capability {entry.name!r} is registered twice")
    return entries


def _only(entries: list[Registered], complaint: str) -> Registered | None:
    if len(entries) > 1:
        owners = " and ".join(f"{entry.owner} ({entry.kind}, {entry.name!r})" for entry in entries)
        raise CapabilityDuplicateError(f"{complaint}: by {owners}")
    return entries[0] if entries else None


def _whole(entry: Registered) -> Capability:
    if entry.capability is None:
        raise CapabilityBrokenError(f"the capability {entry.name!r} of {entry.owner} cannot be used: {entry.problem}")
    return entry.capability
