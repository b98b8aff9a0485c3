"""What an overview does not ask of each request: how often it was delivered, and whether it was written to since.

Both take reading, of the history and of the times of what is in QA. So each look spends a bounded time on it, on those
that were looked through longest ago; what is known of the others stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from conveyor.board.board_view import is_waiting
from conveyor.board.request_details import edits_of, in_meta
from conveyor.engine.event_log import history_end, lines_backwards
from conveyor.engine.plan import Operation
from conveyor.engine.steps.ready import WriteMarker
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.api.overview import Overview
    from conveyor.api.overview_entry import OverviewEntry

_AGAIN = 120.0  # seconds before a request is looked through once more
_MOST_ENTRIES = 2_000  # that are looked at of one


@frozen
class _Known:
    """What is known of one delivery of a request; ``checked`` is on the monotonic clock, in seconds."""

    delivered: str | None
    deliveries: int | None = None
    is_edited: bool | None = None
    checked: float = float("-inf")


class DeliveryWatch:
    """Adds deliveries and edits to the requests of an overview that wait for QA, from one look to the next."""

    def __init__(self, budget: float = 1.0, clock: Callable[[], float] = monotonic) -> None:
        self._budget = budget  # seconds
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def add_to(self, overview: Overview) -> Overview:
        """Return an overview with what is known by now of those that wait."""
        waiting = {entry.name: entry for entry in overview.entries if is_waiting(entry)}
        self._known = {name: self._known_of(entry) for name, entry in waiting.items()}
        begun = self._clock()
        for name in sorted(waiting, key=lambda name: self._known[name].checked):
            if self._clock() > begun + self._budget or self._known[name].checked > begun - _AGAIN:
                break
            self._known[name] = self._check(waiting[name])
        return replace(overview, entries=tuple(self._with_known(entry) for entry in overview.entries))

    def _known_of(self, entry: OverviewEntry) -> _Known:
        known = self._known.get(entry.name)
        return known if known is not None and known.delivered == entry.delivered else _Known(entry.delivered)

    def _check(self, entry: OverviewEntry) -> _Known:
        edits = edits_of(entry, most_entries=_MOST_ENTRIES, most_paths=1)
        is_edited = bool(edits.found) if edits is not None else None
        return _Known(entry.delivered, _deliveries(entry), is_edited, self._clock())

    def _with_known(self, entry: OverviewEntry) -> OverviewEntry:
        known = self._known.get(entry.name)
        if known is None or known == _Known(entry.delivered):
            return entry
        return replace(entry, deliveries=known.deliveries, is_edited=known.is_edited)


def _deliveries(entry: OverviewEntry) -> int | None:
    """Count the deliveries that came to their end, as far back as the history is read; None if it cannot be read."""
    history = in_meta(entry, history_end)
    return count_deliveries(history) if history else None


def count_deliveries(history: bytes) -> int:
    """Count the deliveries in a history; the first release wrote steps only, of which the last one counts."""
    found = [line for line in lines_backwards(history) if line["command"] == Operation.DELIVER]
    ends = [line for line in found if line.get("event") == "end"]
    ends += [line for line in found if line.get("run") is None and line.get("step") == WriteMarker.name]
    return len([line for line in ends if line.get("outcome") == "done"])
