"""The doctor's report as text for people. Its own module, since importing it loads every check."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import Group, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conveyor.diagnostics.findings import Finding, Report

_TITLE = {
    Group.HOST: "This host",
    Group.WORKSPACE: "The workspace",
    Group.PROBES: "The file systems, by trying",
    Group.REQUESTS: "The requests",
    Group.ORPHANS: "Litter",
}
_NARROW, _WIDE = 60, 120
_INDENT = 11
#: Subjects of one finding that are named; of more, only their number.
_NAMED = 6


def report_lines(report: Report, *, problems_only: bool = False) -> list[str]:
    """The lines of a report: a section a group, equal findings about several subjects as one, a summary at the end."""
    width = min(max(shutil.get_terminal_size((100, 24)).columns, _NARROW), _WIDE) if sys.stdout else _WIDE
    lines: list[str] = []
    shown: Counter[Severity] = Counter()
    for group, title in _TITLE.items():
        found = [one for one in report.findings if one.group is group and not (problems_only and _is_fine(one))]
        if found:
            lines.append(title)
            for finding, subjects in _merged(found):
                lines += _lines(finding, subjects, width)
                shown[finding.severity] += 1
    if lines or not problems_only:
        lines += textwrap.wrap(_summary(shown), width)
    return lines


def _is_fine(finding: Finding) -> bool:
    return finding.severity in (Severity.OK, Severity.INFO)


def _merged(findings: Iterable[Finding]) -> Iterable[tuple[Finding, list[str]]]:
    """Findings that differ in their subject only, as one with all the subjects, in the place of the first."""
    alike: dict[tuple[object, ...], tuple[Finding, list[str]]] = {}
    for one in findings:
        key = (one.check, one.severity, one.what, one.advice, one.commands)
        alike.setdefault(key, (one, []))[1].append(one.subject)
    return alike.values()


def _lines(finding: Finding, subjects: list[str], width: int) -> Iterator[str]:
    subject = ", ".join(subjects) if len(subjects) <= _NAMED else f"{len(subjects)} of them"
    severity = str(finding.severity) if _is_fine(finding) else finding.severity.upper()
    yield from _wrapped(f"{subject}: {finding.what}", width, f"  {severity:8} ")
    yield from _wrapped(finding.advice, width, " " * _INDENT)
    for command in finding.commands:  # never wrapped, so that it can be copied
        yield " " * (_INDENT + 4) + command


def _wrapped(text: str, width: int, first: str) -> list[str]:
    rest = " " * _INDENT
    wrapper = textwrap.TextWrapper(width, first, rest, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text)


def _summary(shown: Counter[Severity]) -> str:
    counts = [(shown[severity], str(severity)) for severity in (Severity.ERROR, Severity.WARNING)]
    found = [f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count]
    if not found:
        return f"All is well ({shown.total()} checks)."
    return f"{' and '.join(found)}: do what each advises, then run 'conveyor doctor' again."
