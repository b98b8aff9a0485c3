"""What a page of the board shows of an overview: sorted, filtered and cut into pages, as plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import field, replace
from enum import StrEnum
from functools import cached_property
from math import ceil
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from conveyor.api.overview_entry import Section, Trouble
from conveyor.board.board_words import TROUBLES, seconds_since
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from conveyor.api.overview import Overview
    from conveyor.api.overview_entry import OverviewEntry

#: Requests on one page: with the longest names that are usual they stay below 100 kB.
PAGE_SIZE = 50
_FEW = 8  # of a list that is not the page's own
_LATELY = 14 * 86_400  # seconds
_MOST_TEXT = 200  # characters of a search
_MOST_QUERY = 4096  # characters of an address's query


class View(StrEnum):
    """The lists of the board; the values stand in its addresses."""

    WAITING = "waiting"
    ARRIVING = "arriving"
    JUDGED = "judged"
    OPERATOR = "operator"


class Order(StrEnum):
    """The orders of a list; the values stand in its addresses. ``OWN`` is its own, in words in ``ORDERS``."""

    OWN = "own"
    SIZE = "size"
    NAME = "name"


ORDERS = {
    View.WAITING: "oldest first",
    View.ARRIVING: "oldest first",
    View.JUDGED: "newest first",
    View.OPERATOR: "worst first",
}
EMPTY = {
    View.WAITING: "Nothing waits for QA.",
    View.ARRIVING: "Nothing is on the way.",
    View.JUDGED: "Nothing was judged in the last 14 days.",
    View.OPERATOR: "Nothing needs an operator.",
}
TITLES = {
    View.WAITING: "Waiting for QA",
    View.ARRIVING: "On the way",
    View.JUDGED: "Judged lately",
    View.OPERATOR: "Needs an operator",
}


@frozen
class Choice:
    """What a reader asked for: a list, what it is narrowed to ("" is everything), and its page, from 1 on."""

    view: View = View.WAITING
    area: str = ""
    project: str = ""
    assigned: str = ""
    text: str = ""
    page: int = 1
    order: Order = Order.OWN

    @classmethod
    def parse(cls, query: str) -> Choice:
        """Read the query of an address; whatever is unknown or senseless in it is left out."""
        given = dict(parse_qsl(query[:_MOST_QUERY], errors="surrogateescape"))
        view, order, page = (given.get(one, "") for one in ("view", "order", "page"))
        return cls(
            View(view) if view in list(View) else View.WAITING,
            given.get("area", ""),
            given.get("project", ""),
            given.get("assigned", ""),
            given.get("text", "")[:_MOST_TEXT].strip(),
            max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
            Order(order) if order in list(Order) else Order.OWN,
        )

    @property
    def query(self) -> str:
        """The address's query, with its question mark; empty for what the board shows unasked."""
        given = {"view": self.view, "area": self.area, "project": self.project, "assigned": self.assigned}
        given |= {"text": self.text, "page": str(self.page), "order": self.order}
        usual = {"view": View.WAITING, "page": "1", "order": Order.OWN}
        said = {name: value for name, value in given.items() if value != usual.get(name, "")}
        return f"?{urlencode(said, errors='surrogateescape')}" if said else ""

    @property
    def is_narrowed(self) -> bool:
        """Tell whether anything is left out."""
        return any((self.area, self.project, self.assigned, self.text))

    def takes(self, row: Row) -> bool:
        """Tell whether a request is among what was asked for."""
        entry = row.entry
        return (
            self.area in ("", row.area)
            and self.project in ("", entry.project)
            and (not self.assigned or (entry.assigned is not None and entry.assigned.to == self.assigned))
            and self.text.casefold() in row.searched
        )


@frozen
class Row:
    """A request in a list. ``flags`` are words for what an analyst has to know before opening it."""

    entry: OverviewEntry
    area: str
    flags: tuple[str, ...]

    @property
    def since(self) -> str | None:
        """The time from which its age is counted: the delivery of one that waits, else its state's."""
        entry = self.entry
        return entry.delivered if is_waiting(entry) and entry.delivered else entry.since

    @cached_property
    def searched(self) -> str:
        """The text that a search looks through."""
        entry = self.entry
        told = (entry.name, entry.project, *entry.data_sets, entry.assigned and entry.assigned.to)
        return "\n".join(one for one in told if one).casefold()


@frozen
class Page:
    """One page of a list: ``total`` requests in all on ``pages`` pages; ``more`` says that others stand elsewhere."""

    view: View
    rows: tuple[Row, ...]
    total: int
    number: int = 1
    pages: int = 1

    @property
    def title(self) -> str:
        """The list in words."""
        return TITLES[self.view]

    @property
    def more(self) -> int:
        """The number of requests that are not on this page."""
        return self.total - len(self.rows)


@frozen
class BoardView:
    """The board at one moment: each list in its order, and the values that it can be narrowed to, with their numbers."""

    time: str
    lists: Mapping[View, tuple[Row, ...]]
    areas: Mapping[str, int]
    projects: tuple[str, ...]
    people: tuple[str, ...]
    problems: tuple[str, ...] = ()
    by_name: Mapping[str, Row] = field(default_factory=dict)

    def page(self, choice: Choice) -> Page:
        """The page that was asked for; the last one if there are fewer."""
        rows = self._rows(choice)
        pages = max(1, ceil(len(rows) / PAGE_SIZE))
        number = min(choice.page, pages)
        return Page(choice.view, rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE], len(rows), number, pages)

    def few(self, choice: Choice) -> Page:
        """The first few of a list, to stand below another one."""
        rows = self._rows(choice)
        return Page(choice.view, rows[:_FEW], len(rows))

    def all(self, choice: Choice) -> tuple[Row, ...]:
        """Everything that was asked for, whatever the page."""
        return self._rows(choice)

    def _rows(self, choice: Choice) -> tuple[Row, ...]:
        rows = self.lists[choice.view]
        found = tuple(row for row in rows if choice.takes(row)) if choice.is_narrowed else rows
        key = _KEYS.get(choice.order)
        return found if key is None else tuple(sorted(found, key=key))

    @property
    def shown(self) -> dict[str, Row]:
        """The requests that stand in any of the lists, by name."""
        return {row.entry.name: row for rows in self.lists.values() for row in rows}


def _by_size(row: Row) -> int:
    """The largest is the first; what nobody knows the size of stands behind what is empty."""
    size = row.entry.size
    return 1 if size is None else -size


_KEYS: Mapping[Order, Callable[[Row], Any]] = {Order.SIZE: _by_size, Order.NAME: lambda row: row.entry.name}


def board_view(overview: Overview) -> BoardView:
    """Sort the requests of an overview into the lists of the board."""
    rows = [_row(entry) for entry in overview.entries]
    waiting = [row for row in rows if is_waiting(row.entry)]
    arriving = [row for row in rows if row.entry.section is Section.MOVING]
    judged = [row for row in rows if row.entry.verdict and _is_late(row.entry.verdict.time, overview.time)]
    troubled = [row for row in rows if row.entry.section in (Section.NEEDS_PERSON, Section.STALLED)]
    waiting.sort(key=lambda row: (row.since or "", row.entry.name))
    judged.sort(key=lambda row: row.entry.verdict.time if row.entry.verdict else "", reverse=True)
    arriving.sort(key=lambda row: (row.since or "", row.entry.name))
    troubled.sort(key=lambda row: (_rank(row.entry), row.entry.since or "", row.entry.name))
    lists = {
        View.WAITING: tuple(waiting),
        View.ARRIVING: tuple(arriving),
        View.JUDGED: tuple(judged),
        View.OPERATOR: tuple(troubled),
    }
    told = [row for listed in lists.values() for row in listed]
    return BoardView(
        overview.time,
        lists,
        dict(sorted(Counter(row.area for row in waiting if row.area).items())),
        tuple(sorted({row.entry.project for row in told if row.entry.project})),
        tuple(sorted({row.entry.assigned.to for row in told if row.entry.assigned})),
        tuple(f"{one.path} cannot be listed: {one.error.message}" for one in overview.unlisted if one.error),
        {row.entry.name: row for row in rows},
    )


def is_waiting(entry: OverviewEntry) -> bool:
    """Tell whether a request is in QA and nobody has judged it, whatever else is the matter with it."""
    return entry.state == "in-qa" and entry.verdict is None


def _row(entry: OverviewEntry) -> Row:
    return Row(entry, PurePath(entry.qa).parent.name if entry.qa is not None else "", tuple(_flags(entry)))


def _flags(entry: OverviewEntry) -> list[str]:
    flags = [TROUBLES[entry.trouble]] if entry.trouble else []
    if is_waiting(entry) and entry.weblog is None:
        flags.append("no weblog")
    if entry.deliveries is not None and entry.deliveries > 1:
        flags.append("delivered twice" if entry.deliveries == 2 else f"delivered {entry.deliveries} times")
    if entry.is_edited:
        flags.append("edited since delivery")
    return flags


def _is_late(time: str, now: str) -> bool:
    seconds = seconds_since(time, now)
    return seconds is not None and seconds < _LATELY


_WORST = list(Trouble)


def _rank(entry: OverviewEntry) -> int:
    return _WORST.index(entry.trouble) if entry.trouble else len(_WORST)


def narrowed_to_page(choice: Choice, number: int) -> Choice:
    """The same list, another page of it."""
    return replace(choice, page=number)


def project_choices(names: Sequence[str], chosen: str) -> list[str]:
    """The projects of a form's list; one that was asked for and is not there stays in it."""
    return sorted({*names, chosen} - {""})
