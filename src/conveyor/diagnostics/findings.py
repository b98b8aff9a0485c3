"""Findings and the report of them: frozen values, which the layers above print as text or as JSON."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.errors import ConveyorError, UnfitError
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator


class Severity(StrEnum):
    """Severity of a finding; only an error makes the exit status another than 0."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Group(StrEnum):
    """Section of the report. The values are words of the JSON document, and stay."""

    HOST = "host"
    WORKSPACE = "workspace"
    PROBES = "trials"
    REQUESTS = "requests"
    ORPHANS = "litter"


@frozen
class Finding:
    """One finding: which check, how bad, of what, what it means, and what to do about it.

    ``commands`` are those to run, one of them at a time, each a line for a shell.
    """

    check: str
    severity: Severity
    subject: str
    what: str
    advice: str = ""
    commands: tuple[str, ...] = ()
    group: Group = Group.HOST


def ok(subject: str, what: str) -> Finding:
    """All is well. The name of the check is put in later, by :func:`guarded`, and the group by the list of checks."""
    return Finding("", Severity.OK, subject, what)


def info(subject: str, what: str, advice: str = "", *commands: str) -> Finding:
    """Worth knowing; nothing has to be done."""
    return Finding("", Severity.INFO, subject, what, advice, commands)


def warning(subject: str, what: str, advice: str = "", *commands: str) -> Finding:
    """Conveyances work, but somebody should look."""
    return Finding("", Severity.WARNING, subject, what, advice, commands)


def error(subject: str, what: str, advice: str = "", *commands: str) -> Finding:
    """Conveyances are refused or fail until this is mended."""
    return Finding("", Severity.ERROR, subject, what, advice, commands)


def guarded(findings: Iterator[Finding], check: str, subject: str, failed: str = "") -> Iterator[Finding]:
    """Put the name of a check into its findings, unless they have one; a check that fails ends in one more finding.

    ``subject`` is that of this last finding, and ``failed`` begins its text.
    """
    try:
        for finding in findings:
            yield finding if finding.check else replace(finding, check=check)
    except Exception as failure:  # noqa: BLE001 - a check that fails, even by a bug of ours, must not hide the others
        reason = ConveyorError.from_exception(failure)
        yield replace(error(subject, failed + reason.message, reason.hint), check=check)


@frozen
class Report:
    """All findings, in order."""

    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Count the findings of one severity."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def error(self) -> UnfitError | None:
        """The error that the findings result in; None if none of them is one."""
        errors = self.count(Severity.ERROR)
        return UnfitError(f"the doctor found {errors} error{'s' if errors > 1 else ''}") if errors else None
