"""The time of day, as documents and messages have it."""

from __future__ import annotations

from datetime import UTC, datetime

#: The form of times for people: the log, the doctor and messages have this one.
FOR_PEOPLE = "%Y-%m-%dT%H:%M:%SZ"


def now() -> str:
    """Return this moment in UTC, to the millisecond (RFC 3339), as documents have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def for_people(time: str) -> str:
    """Return a time of a document as messages have it, with its age; what is no time stays as it is."""
    try:
        moment = datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, OverflowError):
        return time
    return f"{moment.strftime(FOR_PEOPLE)} ({_age((datetime.now(UTC) - moment).total_seconds())})"


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds between two times of documents, 0 if a clock was ahead; None if one of them is no time."""
    try:
        passed = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    except (ValueError, TypeError):  # the second: one of them has no offset
        return None
    return max(0.0, passed.total_seconds())


def _age(seconds: float) -> str:
    """Return an age in the largest unit of which there are two: ``35 min ago``; a clock that is ahead says ``just now``."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"
