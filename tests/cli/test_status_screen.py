"""The screen of a workspace: what stands on it at 60, 80 and 120 columns, and what is chosen for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.api.area_listings import Listing
from conveyor.api.overview import Overview
from conveyor.api.overview_entry import Assignment, Attempt, OverviewEntry, Section, Trouble
from conveyor.api.selection import Selection, age_of, length_of
from conveyor.api.sizes import duration_text
from conveyor.cli.status_screen import Style, screen_lines, tsv_lines
from conveyor.documents.kept_documents import Progress
from conveyor.engine.claim import Holder
from conveyor.engine.host import Process
from conveyor.engine.survey import State
from conveyor.errors import IoFailedError

NOW = "2026-03-05T12:00:00.000+00:00"
_HOLDER = Holder(Process("nmpost007", "m", "b", "n", 4711, "1"), "2026-03-05T11:25:00.000+00:00")
_COPY = Progress("rawdata", "copy", 10, 412 * 10**9, 100, 1200 * 10**9, 380 * 10**6, 2100, NOW)


def entry(name: str, **known: object) -> OverviewEntry:
    """An entry of a calibration at home, with what is known besides."""
    at_home = OverviewEntry(name, f"/w/spool/{name}/metadata.json", state=State.IN_SPOOL, capability="calibration")
    return replace(at_home, **known)  # type: ignore[arg-type]


ENTRIES = (
    entry("tmp106xdi5o", project="13B-014", state=State.BROKEN, trouble=Trouble.DANGLING,
          detail="the links of products lead to nothing", since="2026-03-05T09:50:00+00:00"),
    entry("tmp1hget7my", state=None, capability=None, trouble=Trouble.UNREADABLE, detail="metadata.json is not JSON"),
    entry("tmpamt2g4ux", project="23A-007", state=State.IN_TRANSIT, trouble=Trouble.STALLED,
          detail="a delivery was interrupted, 1 of 3 directories done", since="2026-03-05T11:25:00+00:00"),
    entry("tmpd7wvs5f", project="22B-101", state=State.IN_TRANSIT, holder=_HOLDER, holder_is_alive=True,
          progress=_COPY, since=_HOLDER.since),
    entry("tmp4o2xcsoh", project="13B-014", state=State.IN_QA, delivered="2026-03-02T08:00:00+00:00",
          since="2026-03-02T08:00:00+00:00", age_in_qa=273_600.0, size=1_400_000_000_000, weblog="/w/weblog-cache/x",
          assigned=Assignment("da02", "ops", NOW)),
    entry("tmpathome"),
    entry("tmpcomputes", state=State.BROKEN, is_computing=True),
)  # fmt: skip
FOUND = Overview(NOW, Listing(Path("/w/spool")), (Listing(Path("/w/qa2")),), ENTRIES, {"std_calibrtion": 1, "vlass": 2})

SCREENS = {
    60: """\
/w  7 requests   ✗ 2 need a person   ! 1 stalled
  ▶ 1 moving   ● 1 waits for QA, oldest 3 d 4 h   1 in spool
  1 computing
✗ NEED A PERSON
  tmp106xdi5o  the links of products lead to no…  2 h 10 min
  tmp1hget7my  metadata.json is not JSON
! STALLED: begun, and nobody alive works on them
  tmpamt2g4ux  a delivery was interrupted, 1 of 3 d…  35 min
▶ MOVING
  tmpd7wvs5f  rawdata 34 % of 1.2 TB, 380 MB/s, 35 …  35 min
● WAIT FOR QA, oldest first
  tmp4o2xcsoh  weblog, for da02                      3 d 4 h
not shown: 3 of other workflows (std_calibrtion 1, vlass 2)
""",
    80: """\
/w  7 requests   ✗ 2 need a person   ! 1 stalled   ▶ 1 moving
  ● 1 waits for QA, oldest 3 d 4 h   1 in spool   1 computing
✗ NEED A PERSON
  tmp106xdi5o  13B-014  calibration  the links of products lead to …  2 h 10 min
  tmp1hget7my  ?        ?            metadata.json is not JSON
! STALLED: begun, and nobody alive works on them
  tmpamt2g4ux  23A-007  calibration  a delivery was interrupted, 1 of 3…  35 min
▶ MOVING
  tmpd7wvs5f  22B-101  calibration  rawdata 34 % of 1.2 TB, 380 MB/s, 3…  35 min
● WAIT FOR QA, oldest first
  tmp4o2xcsoh  13B-014  calibration  1.4 TB, weblog, for da02            3 d 4 h
not shown: 3 of other workflows (std_calibrtion 1, vlass 2)
""",
    120: """\
/w  7 requests   ✗ 2 need a person   ! 1 stalled   ▶ 1 moving   ● 1 waits for QA, oldest 3 d 4 h   1 in spool
  1 computing
✗ NEED A PERSON
  tmp106xdi5o  13B-014  calibration  the links of products lead to nothing                                    2 h 10 min
  tmp1hget7my  ?        ?            metadata.json is not JSON
! STALLED: begun, and nobody alive works on them
  tmpamt2g4ux  23A-007  calibration  a delivery was interrupted, 1 of 3 directories done                          35 min
▶ MOVING
  tmpd7wvs5f  22B-101  calibration  rawdata 34 % of 1.2 TB, 380 MB/s, 35 min left, nmpost007                      35 min
● WAIT FOR QA, oldest first
  tmp4o2xcsoh  13B-014  calibration  1.4 TB, weblog, for da02                                                    3 d 4 h
not shown: 3 of other workflows (std_calibrtion 1, vlass 2)
""",
}


@pytest.mark.parametrize("width", SCREENS)
def test_a_screen_is_as_wide_as_the_terminal(width: int) -> None:
    """From 60 columns on everything is said; the project goes first where there is little room."""
    assert "\n".join([*screen_lines(FOUND, ENTRIES, Style(width)), ""]) == SCREENS[width]


def test_nothing_is_said_by_a_colour_or_a_symbol_alone() -> None:
    """Without symbols and with colours the words are the same."""
    plain = list(screen_lines(FOUND, ENTRIES, Style(80, has_symbols=False)))
    assert plain[0] == "/w  7 requests   x 2 need a person   ! 1 stalled   > 1 moving"
    assert not any(mark in line for line in plain for mark in "✗▶●")
    coloured = list(screen_lines(FOUND, ENTRIES, Style(80, has_colour=True)))
    assert coloured[2] == "\x1b[1;31m✗ NEED A PERSON\x1b[0m"


def test_a_section_shows_as_many_as_fit_and_says_how_to_see_the_rest() -> None:
    """Of two hundred that wait, the oldest are shown; with a choice all are."""
    waiting = [entry(f"tmp{number:03}", state=State.IN_QA, age_in_qa=float(number)) for number in range(200)]
    found = replace(FOUND, entries=tuple(waiting), not_shown={})
    chosen = Selection().of(waiting, NOW)
    lines = list(screen_lines(found, chosen, Style(80, 24)))
    assert len(lines) <= 24
    assert lines[2].startswith("  tmp199")
    assert lines[-1] == "  … 188 more: conveyor status --state in-qa"
    assert len(list(screen_lines(found, chosen, Style(80, 24), is_narrow=True))) == 202


def test_an_area_that_cannot_be_listed_comes_first_and_nothing_is_well() -> None:
    """What is not known is not called well."""
    found = Overview(NOW, Listing(Path("/w/spool"), error=IoFailedError("Input/output error")), (), ())
    text = "\n".join(screen_lines(found, (), Style()))
    assert text.startswith("✗ /w/spool cannot be listed: Input/output error")
    assert "nothing needs attention" not in text
    assert "no requests" not in text
    well = replace(FOUND, entries=(entry("tmpathome"),), not_shown={})
    assert list(screen_lines(well, (), Style())) == ["/w  1 request   1 in spool   nothing needs attention"]


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection(states=("in-qa", "in-transit"), order="name"), ["tmp4o2xcsoh", "tmpamt2g4ux", "tmpd7wvs5f"]),
        (Selection(troubles=("stalled",)), ["tmpamt2g4ux"]),
        (Selection(projects=("13B-014",), order="size"), ["tmp4o2xcsoh", "tmp106xdi5o"]),
        (Selection(assigned=("da02",)), ["tmp4o2xcsoh"]),
        (Selection(older_than=3 * 3600, order="age"), ["tmp4o2xcsoh"]),
        (Selection(limit=2), ["tmp106xdi5o", "tmp1hget7my"]),
    ],
)
def test_entries_are_chosen(selection: Selection, names: list[str]) -> None:
    """Each choice leaves what fits, in its order."""
    assert [one.name for one in selection.of(ENTRIES, NOW)] == names


def test_a_section_is_the_worst_that_is_so() -> None:
    """Trouble goes before a holder, and a holder that is dead holds nothing."""
    sections = [one.section for one in ENTRIES]
    assert sections == [
        *(Section.NEEDS_PERSON, Section.NEEDS_PERSON, Section.STALLED, Section.MOVING, Section.IN_QA),
        *(Section.IN_SPOOL, Section.COMPUTING),
    ]
    dead = replace(ENTRIES[3], holder_is_alive=False, state=State.IN_QA)
    assert dead.section is Section.IN_QA
    assert age_of(entry("x"), NOW) is None


def test_lines_for_programs() -> None:
    """A line an entry with as many values as the first one has names; nothing in a value breaks a line."""
    odd = entry("x", detail="a\tb\nc", last_attempt=Attempt("deliver", "failed", NOW))
    first, *rest = tsv_lines([*ENTRIES, odd], NOW)
    assert {line.count("\t") for line in rest} == {first.count("\t")}
    values = ["tmp4o2xcsoh", "13B-014", "calibration", "in-qa", "", "2026-03-02T08:00:00+00:00", "273600"]
    assert rest[4].split("\t")[:7] == values


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("90 min", 5400), ("2d", 172_800), ("1d 12h", 129_600)])
def test_lengths_of_time(text: str, seconds: float) -> None:
    """A length of time is read as people write it; what does not fit as a whole is refused."""
    assert length_of(text) == seconds
    for wrong in ("", "2", "2 days ago", "2d!"):
        with pytest.raises(ValueError, match="no length of time"):
            length_of(wrong)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (2460, "41 min"), (86_400, "1 d"), (273_600, "3 d 4 h")]
)
def test_lengths_of_time_for_people(seconds: float, text: str) -> None:
    """The two largest units say enough."""
    assert duration_text(seconds) == text
