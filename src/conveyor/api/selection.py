"""A choice of entries of an overview: those that people ask for, in the order that they ask for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conveyor.api.overview_entry import OverviewEntry, Section
from conveyor.clock import seconds_between
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
#: What a list may be sorted by. Of ages and sizes the largest is first.
ORDERS = ("section", "name", "age", "project", "size", "state")


@frozen
class Selection:
    """What entries have to be like: of several values one has to fit; an empty tuple or None lets everything through.

    ``older_than`` is in seconds, and is about the time in which an entry has been as it is.
    """

    states: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    assigned: tuple[str, ...] = ()
    older_than: float | None = None
    order: str = "section"
    limit: int | None = None

    @property
    def is_narrow(self) -> bool:
        """Tell whether it leaves anything out by what it is like."""
        wanted = (self.states, self.troubles, self.capabilities, self.projects, self.assigned)
        return any(wanted) or self.older_than is not None

    def of(self, entries: Iterable[OverviewEntry], time: str) -> list[OverviewEntry]:
        """Return the entries that fit, in order, at a ``time`` (UTC), as many as are wanted."""
        found = [one for one in entries if self._has(one, time)]
        found.sort(key=lambda one: one.name)
        found.sort(key=lambda one: self._rank(one, time))
        return found[: self.limit]

    def _has(self, entry: OverviewEntry, time: str) -> bool:
        values = (
            (self.states, entry.state),
            (self.troubles, entry.trouble),
            (self.capabilities, entry.capability),
            (self.projects, entry.project),
            (self.assigned, entry.assigned.to if entry.assigned else None),
        )
        if any(wanted and value not in wanted for wanted, value in values):
            return False
        age = age_of(entry, time)
        return self.older_than is None or (age is not None and age >= self.older_than)

    def _rank(self, entry: OverviewEntry, time: str) -> tuple[object, ...]:
        age = -(age_of(entry, time) or 0.0)
        match self.order:
            case "name":
                return (entry.name,)
            case "age":
                return (age,)
            case "project":
                return (entry.project is None, entry.project or "")
            case "size":
                return (-(entry.size or 0),)
            case "state":
                return (str(entry.state),)
        return (_SECTIONS[entry.section], age)


_SECTIONS = {one: number for number, one in enumerate(Section)}


def age_of(entry: OverviewEntry, time: str) -> float | None:
    """Return the seconds in which an entry has been as it is, at a ``time`` (UTC); None if nothing tells."""
    if entry.age_in_qa is not None and entry.trouble is None:
        return entry.age_in_qa
    return seconds_between(entry.since, time) if entry.since is not None else None


def length_of(text: str) -> float:
    """Return the seconds of a length of time such as ``2d``, ``90 min`` or ``1d 12h``. Raises :class:`ValueError`."""
    parts = _LENGTH.findall(text)
    if not parts or _LENGTH.sub("", text).strip():
        raise ValueError(f"{text!r} is no length of time such as 45s, 90min, 12h, 2d or 1w")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
