"""Times for people have one form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from conveyor.clock import for_people


@pytest.mark.parametrize(
    ("age", "says"),
    [
        (-60, "just now"),
        (1, "just now"),
        (35, "35 s ago"),
        (35 * 60, "35 min ago"),
        (7_200, "2 h ago"),
        (3 * 86_400, "3 d ago"),
    ],
)
def test_a_time_is_told_in_utc_with_its_age(age: int, says: str) -> None:
    """The age has the largest unit of which there are two."""
    moment = datetime.now(UTC) - timedelta(seconds=age)
    text = for_people(moment.astimezone().isoformat(timespec="milliseconds"))
    assert text == f"{moment:%Y-%m-%dT%H:%M:%SZ} ({says})"


def test_what_is_no_time_stays() -> None:
    """A claim that somebody wrote may say anything."""
    for text in ("an unknown time", "9999-12-31T23:59:59-14:00"):
        assert for_people(text) == text
