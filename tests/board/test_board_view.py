"""The lists of the board: what stands in which, in which order, and what a reader narrows them to."""

from __future__ import annotations

import pytest

from conveyor.api.overview_entry import Assignment, Judgement, Trouble
from conveyor.board.board_pages import Surroundings, list_page
from conveyor.board.board_view import Choice, Order, View
from conveyor.board.board_words import age_words, duration_words
from conveyor.board.weblog_links import WeblogLinks
from conveyor.engine.survey import State
from support.boards import everything, view_of, waiting


def _names(view: View, *entries: object, **choice: str) -> list[str]:
    found = view_of(*entries)  # type: ignore[arg-type]
    return [row.entry.name for row in found.all(Choice(view, **choice))]  # type: ignore[arg-type]


def test_what_waits_stands_oldest_first() -> None:
    """The request that was delivered first is the first of those that wait."""
    late, early = waiting("late"), waiting("early", delivered="2026-11-20T08:00:00+00:00")
    assert _names(View.WAITING, late, early) == ["early", "late"]


def test_each_request_stands_where_it_belongs() -> None:
    """What was judged waits no longer, trouble stands apart, and what is in spool stands in no list."""
    judged = waiting("judged", verdict=Judgement("pass", "2026-11-28T10:00:00+00:00"))
    long_ago = waiting("long ago", verdict=Judgement("fail", "2026-01-01T10:00:00+00:00"), state=State.IN_SPOOL)
    stalled = waiting("stalled", state=State.IN_TRANSIT, trouble=Trouble.STALLED)
    left = waiting("left", trouble=Trouble.LEFT_OVER)
    entries = [judged, long_ago, stalled, left, waiting("in spool", state=State.IN_SPOOL)]
    assert _names(View.JUDGED, *entries) == ["judged"]
    assert set(_names(View.OPERATOR, *entries)) == {"stalled", "left"}
    assert _names(View.WAITING, *entries) == ["left"]
    assert view_of(*entries).shown.keys() == {"judged", "stalled", "left"}


def test_flags_say_what_to_know_before() -> None:
    """No weblog, deliveries and edits are words."""
    (row,) = view_of(waiting("r", weblog=None, deliveries=2, is_edited=True)).lists[View.WAITING]
    assert row.flags == ("no weblog", "delivered twice", "edited since delivery")


def test_lists_are_narrowed() -> None:
    """By text in name, project, data set or person, by project, by area and by person."""
    one = waiting("tmpone", project="20A-346", assigned=Assignment("da02", None, ""), data_sets=("sb1.eb2",))
    two = waiting("tmptwo")
    for choice in ({"text": "ONE"}, {"text": "20a"}, {"text": "EB2"}, {"project": "20A-346"}, {"assigned": "da02"}):
        assert _names(View.WAITING, one, two, **choice) == ["tmpone"]
    assert _names(View.WAITING, one, two, area="image-qa") == []


def test_a_list_has_the_order_that_is_asked_for() -> None:
    """Its own, by size with the largest first and the unknown last, and by name; all pages have the same order."""
    ages = [f"2026-11-{day}T08:00:00+00:00" for day in (20, 21, 22, 23)]
    sizes = [None, 5, 0, 9]
    entries = [waiting(f"r{3 - n}", delivered=ages[n], size=sizes[n]) for n in range(4)]
    expected = {Order.OWN: "3210", Order.SIZE: "0213", Order.NAME: "0123"}
    for order, names in expected.items():
        view = view_of(*entries)
        assert "".join(row.entry.name[1:] for row in view.page(Choice(order=order)).rows) == names
        assert Choice.parse(Choice(order=order).query[1:]).order is order


def test_a_size_is_shown_for_people_and_to_the_byte() -> None:
    """A size has a unit, and its bytes beside it; where it is not known words say so."""
    around = Surroundings(WeblogLinks("http://localhost:8087/"), lambda one: one.query)
    page = list_page(view_of(waiting("a", size=1_400_000_000_000), waiting("b")), Choice(), around).decode()
    assert '<data value="1400000000000" title="1,400,000,000,000 bytes">1.4 TB</data>' in page
    assert "size not known" in page


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=x",
        "page=99999999",
        "view=what",
        "page=%D9%A1",
        "a=1&b=2",
        "text=" + "x" * 5000,
        "&&&=",
        "&".join(f"text={number}" for number in range(1000)),
        "order=what",
        "page=-1",
    ],
)
def test_a_senseless_address_is_the_first_page(query: str) -> None:
    """Whatever an address asks for that there is not, an answer comes."""
    choice = Choice.parse(query)
    assert (choice.view, choice.page) == (View.WAITING, 1)
    assert len(choice.text) <= 200


def test_an_address_says_what_was_chosen() -> None:
    """A choice and its address are one another's inverse."""
    choice = Choice(View.JUDGED, "qa2", "13B-014", "da 02", 'a&b="<\udcff', 3)
    assert Choice.parse(choice.query[1:].replace("%FF", "%3F")).page == 3
    assert Choice.parse(Choice(View.JUDGED, "qa2", "13B", "da 02", 'a&"<', 3).query[1:]).text == 'a&"<'
    assert Choice().query == ""


def test_ten_thousand_requests_make_a_small_first_page() -> None:
    """The first page of 10,000 requests has less than 100 kB, and says how many there are."""
    view = view_of(*everything(10_000))
    page = list_page(view, Choice(), Surroundings(WeblogLinks("http://localhost:8087/"), lambda one: one.query))
    assert len(page) < 100_000
    assert b"Page 1 of 50, 2500 requests" in page
    assert view.page(Choice(page=1000)).number == 50


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (5, "now"),
        (125, "2 min"),
        (3_600, "1 h"),
        (7_500, "2 h 5 min"),
        (273_700, "3 d 4 h"),
        (86_400, "1 d"),
    ],
)
def test_ages_are_words(seconds: float | None, words: str) -> None:
    """An age has its two largest units."""
    assert age_words(seconds) == words


def test_what_is_left_is_about() -> None:
    """A time that is left is a guess, and called one."""
    assert [duration_words(one) for one in (None, 20, 2_100)] == ["", "less than a minute", "about 35 min"]
