"""A workspace on one screen: a summary, then what needs a person, what is stalled, what moves, and what waits for QA."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from conveyor.api.overview_entry import Section, Trouble
from conveyor.api.selection import age_of
from conveyor.api.sizes import duration_text, size_text, to_tidy_text
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conveyor.api.overview import Overview
    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.documents.kept_documents import Progress

_NARROW, _WIDE = 60, 160
_UNKNOWN_SIZE = (100, 24)  # of a terminal: columns, lines
#: A section has this many rows at least.
_FEWEST = 3
#: The lines of a screen that are no rows: the summary, four titles, four lines for the rest, what may go, what is not shown.
_OTHER_LINES = 12
_TITLES = {
    Section.NEEDS_PERSON: ("✗", "x", "31", "NEED A PERSON"),
    Section.STALLED: ("!", "!", "33", "STALLED: begun, and nobody alive works on them"),
    Section.MOVING: ("▶", ">", "36", "MOVING"),
    Section.IN_QA: ("●", "o", "32", "WAIT FOR QA, oldest first"),
    Section.COMPUTING: (" ", " ", "0", "COMPUTING: their workflow has not written everything yet"),
    Section.IN_SPOOL: (" ", " ", "0", "IN SPOOL"),
}
_COUNTED = {
    Section.NEEDS_PERSON: ("needs a person", "need a person"),
    Section.STALLED: ("stalled", "stalled"),
    Section.MOVING: ("moving", "moving"),
    Section.IN_QA: ("waits for QA", "wait for QA"),
    Section.IN_SPOOL: ("in spool", "in spool"),
    Section.COMPUTING: ("computing", "computing"),
}
#: What people type to see the rest of a section.
_REST = {
    Section.NEEDS_PERSON: f"--trouble {','.join(one for one in Trouble if one is not Trouble.STALLED)}",
    Section.STALLED: f"--trouble {Trouble.STALLED}",
    Section.MOVING: "--sort section --limit 0",
    Section.IN_QA: "--state in-qa",
    Section.COMPUTING: "--state broken",
    Section.IN_SPOOL: "--state in-spool",
}


@frozen
class Style:
    """How a screen looks: its ``width`` and ``height`` in characters, and whether there are colours and symbols."""

    width: int = 100
    height: int = 24
    has_colour: bool = False
    has_symbols: bool = True

    def symbol(self, section: Section) -> str:
        """Return the mark of a section; its words say the same."""
        return _TITLES[section][0 if self.has_symbols else 1]

    def painted(self, text: str, section: Section) -> str:
        """Return text in the colour of a section."""
        code = _TITLES[section][2]
        return f"\x1b[1;{code}m{text}\x1b[0m" if self.has_colour and code != "0" else text


def style_of_terminal() -> Style:
    """Return the style that fits stdout, and what people have set: ``COLUMNS``, ``NO_COLOR``, ``TERM``."""
    size = shutil.get_terminal_size(_UNKNOWN_SIZE)
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    return Style(
        width=min(max(size.columns, _NARROW), _WIDE),
        height=size.lines,
        has_colour=is_terminal and not is_plain,
        has_symbols=encoding.startswith("utf") and os.environ.get("TERM") != "dumb",
    )


def screen_lines(
    found: Overview, chosen: Sequence[OverviewEntry], style: Style, *, is_narrow: bool = False
) -> Iterator[str]:
    """Yield the lines of a screen: the summary is of all entries, the rows are of the ``chosen`` ones.

    Of a choice that ``is_narrow`` all rows are shown, else as many of each section as fit.
    """
    for area in found.unlisted:
        if area.error is not None:
            text = f"{style.symbol(Section.NEEDS_PERSON)} {area.path} cannot be listed: {area.error.message}"
            yield from _wrapped(text, style.width, "  ")
            yield from _wrapped(f"  {area.error.hint}", style.width, "  ")
    yield from _summary(found, style)
    present = [section for section in Section if is_narrow or section not in (Section.IN_SPOOL, Section.COMPUTING)]
    sections = {section: [one for one in chosen if one.section is section] for section in present}
    sections = {section: entries for section, entries in sections.items() if entries}
    most = max(_FEWEST, (style.height - _OTHER_LINES) // max(1, len(sections)))
    for section, entries in sections.items():
        shown = entries if is_narrow or len(entries) <= most else entries[:most]
        title = f"{style.symbol(section)} {_TITLES[section][3]}"
        yield style.painted(title, section)
        yield from _rows(shown, section, found.time, style)
        if len(shown) < len(entries):
            yield f"  … {len(entries) - len(shown)} more: conveyor status {_REST[section]}"
    if to_tidy := sum(one.to_tidy for one in found.entries):
        yield f"  {to_tidy_text(to_tidy)}: conveyor tidy"
    if is_narrow and not chosen:
        yield "none of them is like that"
    if found.not_shown:
        yield from _wrapped(found.not_shown_text, style.width, "  ")


def _summary(found: Overview, style: Style) -> Iterator[str]:
    counts = Counter(one.section for one in found.entries)
    total = len(found.entries)
    if not total:
        if found.spool.error is None:
            yield f"no requests that Conveyor handles in {found.spool.path}"
        return
    parts = [f"{found.spool.path.parent}  {total} request{'s' * (total != 1)}"]
    for section, words in _COUNTED.items():
        if count := counts[section]:
            oldest = _oldest(found) if section is Section.IN_QA else ""
            parts.append(f"{style.symbol(section)} {count} {words[count != 1]}{oldest}".strip())
    if not counts.keys() & {Section.NEEDS_PERSON, Section.STALLED} and not found.unlisted:
        parts.append("nothing needs attention")
    line = ""
    for part in parts:
        if line and len(line) + 3 + len(part) > style.width:
            yield line
            line = "  " + part
        else:
            line = f"{line}   {part}" if line else part
    yield line


def _oldest(found: Overview) -> str:
    ages = [one.age_in_qa for one in found.entries if one.section is Section.IN_QA and one.age_in_qa is not None]
    return f", oldest {duration_text(max(ages))}" if ages else ""


def _rows(entries: Sequence[OverviewEntry], section: Section, time: str, style: Style) -> Iterator[str]:
    """Yield a line an entry: the columns that fit, what there is to say, and the age at the end."""
    columns: list[Callable[[OverviewEntry], str]] = [lambda one: one.name]
    if style.width >= 70:
        columns.append(lambda one: one.project or "?")
    if style.width >= 80:
        columns.append(lambda one: one.capability or "?")
    cells = [[_clean(column(one)) for column in columns] for one in entries]
    widths = [min(max(len(row[at]) for row in cells), 24) for at in range(len(columns))]
    for one, row in zip(entries, cells, strict=True):
        begin = "  " + "  ".join(_fitted(cell, width) for cell, width in zip(row, widths, strict=True))
        age = age_of(one, time)
        end = duration_text(age) if age is not None else ""
        room = style.width - len(begin) - 2 - (len(end) + 2 if end else 0)
        said = _cut(_clean(_said(one, section, style)), room)
        yield f"{begin}  {said.ljust(room)}  {end}".rstrip() if end else f"{begin}  {said}".rstrip()


def _said(entry: OverviewEntry, section: Section, style: Style) -> str:
    """Return what a row has to say beside who and how long."""
    match section:
        case Section.MOVING:
            doing = progress_words(entry.progress) if entry.progress else "held"
            return f"{doing}, {entry.holder.process.host}" if entry.holder else doing
        case Section.IN_QA:
            parts = [size_text(entry.size)] if entry.size is not None and style.width >= 80 else []
            parts += ["weblog"] if entry.weblog else []
            parts += [f"for {entry.assigned.to}"] if entry.assigned else []
            return ", ".join(parts)
        case Section.IN_SPOOL if entry.verdict is not None:
            return f"{entry.verdict.verdict}: {entry.verdict.reason or ''}".rstrip(": ")
    return entry.detail or ", ".join(entry.warnings)


def progress_words(progress: Progress) -> str:
    """Return the progress of a copy in a few words: how much of it, how fast, and how long it takes yet."""
    parts = []
    if progress.total_bytes:
        parts.append(f"{100 * progress.bytes // progress.total_bytes} % of {size_text(progress.total_bytes)}")
    elif progress.bytes:
        parts.append(size_text(progress.bytes))
    if progress.rate:
        parts.append(f"{size_text(progress.rate)}/s")
    if progress.seconds_left is not None:
        parts.append(f"{duration_text(progress.seconds_left)} left")
    return f"{progress.directory} {', '.join(parts) or progress.phase}"


def tsv_lines(entries: Sequence[OverviewEntry], time: str) -> Iterator[str]:
    """Yield a line an entry for other programs, with tabs between its values, and one with their names before."""
    yield "\t".join(_TSV)
    for one in entries:
        age = age_of(one, time)
        values = (
            *(one.name, one.project, one.capability, one.state, one.trouble, one.since),
            round(age) if age is not None else None,
            *(one.size, one.assigned.to if one.assigned else None, one.qa, one.weblog_page, one.detail),
        )
        yield "\t".join("" if value is None else _clean(str(value)) for value in values)


_TSV = (
    *("request", "project", "capability", "state", "trouble", "since", "age_seconds"),
    *("size_bytes", "assigned", "qa", "weblog_page", "detail"),
)


def _clean(text: str) -> str:
    """Return text on one line, without what would move the cursor or set a colour."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _fitted(text: str, width: int) -> str:
    return _cut(text, width).ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
