"""What the doctor found: frozen values, which the layers above print as text or as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from conveyor.errors import UnfitError


class Severity(StrEnum):
    """How bad a finding is; only an error makes the exit status another than 0."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Group(StrEnum):
    """What a finding is about."""

    HOST = "host"
    WORKSPACE = "workspace"
    TRIALS = "trials"
    REQUESTS = "requests"
    LITTER = "litter"


@dataclass(frozen=True)
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


def ok(check: str, subject: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Severity.OK, subject, what)


def info(check: str, subject: str, what: str, advice: str = "", *commands: str) -> Finding:
    """Worth knowing; nothing has to be done."""
    return Finding(check, Severity.INFO, subject, what, advice, commands)


def warning(check: str, subject: str, what: str, advice: str = "", *commands: str) -> Finding:
    """Conveyances work, but somebody should look."""
    return Finding(check, Severity.WARNING, subject, what, advice, commands)


def error(check: str, subject: str, what: str, advice: str = "", *commands: str) -> Finding:
    """Conveyances are refused or fail until this is mended."""
    return Finding(check, Severity.ERROR, subject, what, advice, commands)


@dataclass(frozen=True)
class Report:
    """All that the doctor found, in order."""

    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are that bad."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def error(self) -> UnfitError | None:
        """The error that the findings come to; None where none of them is one."""
        errors = self.count(Severity.ERROR)
        if not errors:
            return None
        return UnfitError(f"the doctor found {errors} error{'s' if errors > 1 else ''}")
