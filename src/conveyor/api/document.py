"""The one JSON document that a command prints: ``conveyor/1``. Its schema is pinned by a test and shown in the docs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from conveyor.engine.outcome import Outcome, StepOutcome, exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conveyor.diagnostics.findings import Report
    from conveyor.errors import ConveyorError

SCHEMA = "conveyor/1"


def envelope(command: str | None, code: int, error: ConveyorError | None = None, **content: Any) -> dict[str, Any]:
    """What every document has; ``error`` is one that came before any request was looked at."""
    return {
        "schema": SCHEMA,
        "command": command,
        "ok": code == 0,
        "exit_code": code,
        "error": failure(error),
        **content,
    }


def requests_document(command: str, outcomes: Sequence[Outcome], *, dry_run: bool = False) -> dict[str, Any]:
    """The document of a command that looked at requests."""
    return envelope(
        command,
        exit_code(list(outcomes)),
        dry_run=dry_run,
        requests=[request(outcome) for outcome in outcomes],
    )


def outcome_of(command: str, part: dict[str, Any]) -> Outcome:
    """The outcome that one request's part of a document tells, as another process wrote it.

    Raises :class:`KeyError`, :class:`ValueError` or :class:`TypeError` where it is none.
    """
    from conveyor.engine.steps import STEPS
    from conveyor.engine.survey import State
    from conveyor.errors import tree

    kinds = {kind.code: kind for kind in tree()}
    steps_by_name = {step.name: step for step in STEPS}
    error, steps = part["error"], part["steps"]
    return Outcome(
        command,
        part["metadata"],
        request=part["request"],
        capability=part["capability"],
        state=part["state"] and State(part["state"]),
        changed=part["changed"],
        directories={name: State(state) for name, state in part["directories"].items()},
        steps=tuple(
            StepOutcome(
                one["step"],
                one["subject"],
                # Of a step of a capability's own, only the name is known here.
                steps_by_name[one["step"]](one["subject"]).describe() if one["step"] in steps_by_name else one["step"],
                one["outcome"],
                one["detail"],
            )
            for one in steps
        ),
        warnings=tuple(part["warnings"]),
        spool=part["spool"],
        qa=part["qa"],
        weblog=part["weblog"],
        error=error and kinds[error["code"]](error["message"], hint=error["hint"]),
    )


def doctor_document(report: Report) -> dict[str, Any]:
    """The document of what the doctor found."""
    error = report.error
    findings = [
        {
            "group": str(one.group),
            "check": one.check,
            "severity": str(one.severity),
            "subject": one.subject,
            "what": one.what,
            "advice": one.advice,
            "commands": list(one.commands),
        }
        for one in report.findings
    ]
    return envelope("doctor", error.exit_code if error else 0, error, findings=findings)


def request(outcome: Outcome) -> dict[str, Any]:
    """One request's part of the document."""
    return {
        "request": outcome.request,
        "metadata": outcome.metadata,
        "capability": outcome.capability,
        "state": outcome.state and str(outcome.state),
        "changed": outcome.changed,
        "directories": {name: str(state) for name, state in outcome.directories.items()},
        "spool": outcome.spool,
        "qa": outcome.qa,
        "weblog": outcome.weblog,
        "progress": outcome.progress and asdict(outcome.progress),
        "verified": [asdict(one) for one in outcome.verified],
        "steps": [
            {"step": step.step, "subject": step.subject, "outcome": step.outcome, "detail": step.detail}
            for step in outcome.steps
        ],
        "warnings": list(outcome.warnings),
        "error": failure(outcome.error),
    }


def failure(error: ConveyorError | None) -> dict[str, str] | None:
    """An error's part of the document."""
    return {"code": error.code, "message": error.message, "hint": error.hint} if error else None
