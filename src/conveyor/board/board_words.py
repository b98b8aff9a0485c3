"""Words for what the board shows: ages, times and states."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from conveyor.api.overview_entry import Trouble
from conveyor.engine.survey import State

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))

TROUBLES = {
    Trouble.UNREADABLE: "cannot be looked at",
    Trouble.ORPHANED: "its directory in spool is gone",
    Trouble.RENAMED: "its QA folder was renamed",
    Trouble.DANGLING: "a link leads to nothing",
    Trouble.NEEDS_PERSON: "needs an operator",
    Trouble.STALLED: "stalled: nobody works on it",
    Trouble.REFUSED: "the last conveyance was refused",
    Trouble.LEFT_OVER: "left-over files",
}


STATES = {
    State.IN_SPOOL: "in spool",
    State.IN_QA: "in QA",
    State.IN_TRANSIT: "on the way",
    State.MISSING: "not there",
    State.BROKEN: "not in order",
}


def age_words(seconds: float | None) -> str:
    """An age in its two largest units, ``3 d 4 h``; under a minute it is ``now``, and unknown it is nothing."""
    if seconds is None:
        return ""
    for (unit, length), (smaller, part) in pairwise(_UNITS):
        if seconds >= length:
            rest = int(seconds % length // part)
            return f"{seconds // length:.0f} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds // 60:.0f} min" if seconds >= 60 else "now"


def duration_words(seconds: float | None) -> str:
    """A time that is left, ``about 35 min``; nothing if it is unknown."""
    if seconds is None:
        return ""
    words = age_words(seconds)
    return "less than a minute" if words == "now" else f"about {words}"


def moment(time: str | None) -> datetime | None:
    """A time of a document; None if it is none."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC) if time else None
    except (ValueError, OverflowError):
        return None


def seconds_since(time: str | None, until: str) -> float | None:
    """The seconds from one time of a document to another; None if one of them is none."""
    begin, end = moment(time), moment(until)
    return max(0.0, (end - begin).total_seconds()) if begin and end else None


def exact(time: str | None) -> str:
    """A time of a document as people read it, in UTC: ``2021-09-10 20:36 UTC``."""
    found = moment(time)
    return found.strftime("%Y-%m-%d %H:%M UTC") if found else (time or "")
