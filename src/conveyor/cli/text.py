"""Outcomes as text for people."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from typing import TYPE_CHECKING

from conveyor.api.sizes import size_text, to_tidy_text
from conveyor.clock import for_people

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conveyor.api.overview_entry import Attempt, OverviewEntry
    from conveyor.documents.kept_documents import Progress
    from conveyor.engine.outcome import Outcome
    from conveyor.engine.verification import Verified
    from conveyor.filesystem.in_use import Occupant

_DONE = {
    "deliver": "delivered to {qa}",
    "retrieve": "retrieved to {spool}",
    "qa-fail": "retrieved to {spool}; QA failed",
    "pass": "passed its QA; it stays in {qa} until it is retrieved",
    "assign": "assigned",
    "note": "noted",
}
_ALREADY = {
    "deliver": "already delivered, in {qa}",
    "retrieve": "already home",
    "qa-fail": "already home; QA failed",
}


def name_of(outcome: Outcome) -> str:
    """Return a request's name and capability, or its metadata file if they are not known."""
    if outcome.request is None:
        return outcome.metadata or "?"
    return f"{outcome.request} ({outcome.capability})" if outcome.capability else outcome.request


def outcome_lines(outcome: Outcome) -> tuple[list[str], list[str]]:
    """Return the lines of a conveyance's outcome for stdout, and those for stderr."""
    name, error, errors = name_of(outcome), outcome.error, _error_lines(outcome)
    if outcome.dry_run:
        steps = (f"  {step.meaning}{', by ' if step.detail else ''}{step.detail}" for step in outcome.steps)
        lines = [f"{name}: {_planned(outcome)}", *steps]
    elif error is not None:
        result = "stopped half-way" if outcome.changed else "refused, nothing changed"
        lines = [f"{name}: {result}: {error.code} ({_where(outcome)})"]
    else:
        text = (_ALREADY if outcome.already else _DONE)[outcome.command]
        lines = [f"{name}: {text.format(qa=outcome.qa, spool=outcome.spool)}"]
        if outcome.command == "deliver" and outcome.weblog:
            lines.append(f"  weblog: {outcome.weblog}")
            lines += [f"  weblog page: {outcome.weblog_page}"] if outcome.weblog_page else []
    lines += [f"  warning: {warning}" for warning in outcome.warnings]
    return lines, errors


def sum_line(outcomes: Sequence[Outcome]) -> str:
    """Return one line about what came of all requests: how many were conveyed, were so already, and were not."""
    return ", ".join(f"{count} {result}" for result, count in Counter(map(_result, outcomes)).most_common())


_SUMMED = {
    "deliver": "delivered",
    "retrieve": "retrieved",
    "qa-fail": "failed",
    "pass": "passed",
    "assign": "assigned",
    "note": "noted",
}


def length_text(seconds: float) -> str:
    """Return a length of time in its two largest units: ``3 h 12 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    left, parts = round(seconds), []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def _result(outcome: Outcome) -> str:
    if outcome.error is not None:
        return "would be refused" if outcome.dry_run else "stopped half-way" if outcome.changed else "refused"
    if outcome.dry_run:
        if outcome.command == "pass":
            return "to record"
        return "to convey" if outcome.steps else "with nothing to do"
    done = _SUMMED[outcome.command]
    return f"{done} already" if outcome.already else done


def update_line(outcome: Outcome | None, done: int, total: int, note: str = "") -> str:
    """Return one line about several requests: about one that is done, or the note about all of them."""
    if outcome is None:
        return note
    result = f"[{outcome.error.code}]" if outcome.error else (_ALREADY if outcome.already else _DONE)[outcome.command]
    return f"{done} of {total}: {name_of(outcome)}: {result.format(qa=outcome.qa, spool=outcome.spool)}"


def unlock_lines(outcome: Outcome) -> tuple[list[str], list[str]]:
    """Return the lines of an unlocking for stdout, and those for stderr."""
    if (error := outcome.error) is not None:
        return [f"{name_of(outcome)}: not unlocked [{error.code}]"], _error_lines(outcome)
    result = "unlocked" if outcome.changed else "nothing to unlock: no live process holds it"
    lines = [f"{name_of(outcome)}: {result}, {_where(outcome)}"]
    return lines + [f"  warning: {warning}" for warning in outcome.warnings], []


def tidy_lines(outcome: Outcome) -> tuple[list[str], list[str]]:
    """Return the lines of a tidying for stdout, and those for stderr."""
    if (error := outcome.error) is not None:
        return [f"{name_of(outcome)}: not tidied [{error.code}]"], _error_lines(outcome)
    lines = [f"{name_of(outcome)}: {'tidied' if outcome.changed else 'nothing to tidy'}, {_where(outcome)}"]
    return lines + [f"  warning: {warning}" for warning in outcome.warnings], []


def _error_lines(outcome: Outcome) -> list[str]:
    """Return the error, its hint and its notes as lines for stderr."""
    if (error := outcome.error) is None:
        return []
    name = name_of(outcome)
    is_named = re.search(rf"(^|\s){re.escape(name)}($|[\s:;,])", error.message)
    return [
        f"conveyor: {error.message}" if is_named else f"conveyor: {name}: {error.message}",
        f"  hint: {error.hint}",
        *(line for note in getattr(error, "__notes__", ()) for line in note.splitlines()),
    ]


def _planned(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"would be refused, {_where(outcome)} [{outcome.error.code}]"
    if outcome.command == "pass":
        return "the verdict would be recorded, " + _where(outcome)
    return "would do this:" if outcome.steps else "nothing to do, " + _where(outcome)


def _where(outcome: Outcome) -> str:
    return f"now {outcome.state}" if outcome.state else "state unknown"


def status_lines(outcome: Outcome, entry: OverviewEntry | None = None) -> tuple[list[str], list[str]]:
    """Return the lines of a request's status for stdout, and those for stderr; with what its ``entry`` says beside."""
    name = name_of(outcome)
    if (error := outcome.error) is not None and outcome.state is None:
        return [f"{name}: unknown [{error.code}]"], _error_lines(outcome)
    width = max((len(directory) for directory in outcome.directories), default=0)
    lines = [f"{name}: {outcome.state}" + (", QA failed" if outcome.verdict else "")]
    lines += [f"  {directory:{width}}  {state}" for directory, state in outcome.directories.items()]
    if outcome.progress is not None:
        doing = _DOING.get(outcome.progress.phase, outcome.progress.phase)
        lines.append(f"  {doing} {outcome.progress.directory}: {_amounts(outcome.progress)}")
    if outcome.weblog:
        lines.append(f"  weblog in {outcome.weblog}")
        lines += [f"  weblog page: {outcome.weblog_page}"] if outcome.weblog_page else []
    lines += _said_of(entry) if entry is not None else []
    lines += [f"  warning: {warning}" for warning in outcome.warnings]
    return lines, _error_lines(outcome)


def _said_of(entry: OverviewEntry) -> list[str]:
    """Return what an overview says of a request: what is wrong, who did what, and the command to run next."""
    trouble = "its workflow is computing" if entry.is_computing else entry.trouble
    attempt, judged, assigned = entry.last_attempt, entry.verdict, entry.assigned
    facts = {
        "project": entry.project,
        "trouble": f"{trouble}: {entry.detail}" if trouble and entry.detail else trouble,
        "since": for_people(entry.since) if entry.since else None,
        "last": attempt and _attempt_text(attempt),
        "assigned": assigned and assigned.to,
        "size": size_text(entry.size) if entry.size is not None else None,
        "to tidy": to_tidy_text(entry.to_tidy) if entry.to_tidy else None,
        "verdict": judged and ": ".join(filter(None, (judged.verdict, judged.reason))),
        "next": shlex.join(entry.next_command) or None,
    }
    return [f"  {label}: {fact}" for label, fact in facts.items() if fact]


def _attempt_text(attempt: Attempt) -> str:
    who = f" by {attempt.account}" if attempt.account else ""
    where = f" on {attempt.host}" if attempt.host else ""
    return f"{attempt.command}{who}{where}, {for_people(attempt.time)}: {attempt.result}"


def users_lines(outcome: Outcome) -> tuple[list[str], list[str]]:
    """Return the lines of those who have something of a request open for stdout, and those for stderr."""
    name, users, error = name_of(outcome), outcome.users, outcome.error
    code = f" [{error.code}]" if error is not None else ""
    if error is not None and outcome.state is None:
        return [f"{name}: not looked for{code}"], _error_lines(outcome)
    lines = [f"{name}: {f'{len(users)} in use' if users else 'nobody was seen'}, {_where(outcome)}{code}"]
    widths = [max(map(len, column), default=0) for column in ([one.path for one in users], map(_use_text, users))]
    lines += [f"  {one.path:{widths[0]}}  {_use_text(one):{widths[1]}}  {one.process}" for one in users]
    return lines + [f"  warning: {warning}" for warning in outcome.warnings], _error_lines(outcome)


def _use_text(user: Occupant) -> str:
    if user.kind == "directory":
        return "working directory"
    return user.kind if user.writes is None else f"{user.kind} for {'writing' if user.writes else 'reading'}"


def verify_lines(outcome: Outcome) -> tuple[list[str], list[str]]:
    """Return the lines of a verification for stdout, and those for stderr."""
    name, error = name_of(outcome), outcome.error
    if error is not None and not outcome.verified:
        return [f"{name}: not verified, {_where(outcome)} [{error.code}]"], _error_lines(outcome)
    width = max((len(one.directory) for one in outcome.verified), default=0)
    code = f" [{error.code}]" if error is not None else ""
    lines = [f"{name}: {_verification(outcome)}{code}"]
    for one in outcome.verified:
        lines.append(f"  {one.directory:{width}}  {_verified_text(one)}")
        lines += [f"    {word:7}  {path or '.'}" for key, word in _CHANGES.items() for path in getattr(one, key)]
    return lines, _error_lines(outcome)


def verify_sum_line(outcomes: Sequence[Outcome]) -> str:
    """Return one line about the verification of all requests: how many ended with which result."""
    return ", ".join(f"{count} {result}" for result, count in Counter(map(_verified_in_short, outcomes)).most_common())


def _verified_in_short(outcome: Outcome) -> str:
    if any(one.rotted for one in outcome.verified):
        return "corrupted"
    return "not corrupted" if {one.result for one in outcome.verified} == {"verified"} else "not verified"


def _verification(outcome: Outcome) -> str:
    """The result for all directories together: only what was compared is said to be whole."""
    if not outcome.verified:
        return f"{_where(outcome)}, there is nothing to verify"
    if any(one.rotted for one in outcome.verified):
        return "corrupted"
    if any(one.manifest == "damaged" for one in outcome.verified):
        return "not verified: a manifest is damaged"
    unproven = [one for one in outcome.verified if one.result == "not-verified"]
    if not unproven:
        return "nothing is corrupted"
    reasons = {_reason(one) for one in unproven}
    why = "; ".join(sorted(reasons)) if all(reasons) else ""
    if len(unproven) == len(outcome.verified) or outcome.error is not None:
        return f"not verified: {why}" if why else "not verified"
    return f"nothing is corrupted of what was compared; not verified: {', '.join(one.directory for one in unproven)} ({why})"


def _reason(one: Verified) -> str:
    """The reason why a directory is not verified, shortly; nothing if that takes more words."""
    if one.manifest == "none":
        return "moved, not copied"
    return "cloned, not copied" if one.cloned else "its digests were recorded just now" if one.recorded else ""


#: The keys of what became of a path, and the words for them.
_CHANGES = {"rotted": "corrupted", "missing": "missing", "changed": "changed", "touched": "touched", "new": "new"}


_UNPROVEN = {
    "none": "moved, not copied: there is nothing to compare it with",
    "damaged": "not verified: its manifest cannot be believed",
    "unknown-format": "not verified: its manifest has a format that this release does not know",
}


def _verified_text(one: Verified) -> str:
    if one.manifest != "whole":
        return _UNPROVEN[one.manifest]
    counts = [f"{len(getattr(one, key)):,} {word}" for key, word in _CHANGES.items() if getattr(one, key)]
    read = f"; {one.files:,} files read, {size_text(one.bytes)}" if one.files or not one.cloned else ""
    cloned = f"; {one.cloned:,} cloned, not verified, {size_text(one.cloned_bytes)}" if one.cloned else ""
    recorded = f"; {one.recorded:,} of them recorded just now, {size_text(one.recorded_bytes)}" if one.recorded else ""
    unchanged = "nobody wrote to it" if one.cloned or one.recorded else "as it was copied"
    return f"{', '.join(counts) or unchanged}{read}{recorded}{cloned}"


#: The phases of a copy as what is done.
_DOING = {
    "survey": "counting",
    "copy": "copying",
    "check": "checking",
    "read back": "reading back",
    "remove": "removing",
    "verify": "verifying",
}


def progress_text(progress: Progress) -> str:
    """Return the progress of a copy as a line."""
    return f"{progress.phase}, {_amounts(progress)}"


def _amounts(progress: Progress) -> str:
    parts = [f"{progress.files:,}" + (f" of {progress.total_files:,}" if progress.total_files else "") + " files"]
    if progress.bytes or progress.total_bytes:
        total = f" of {size_text(progress.total_bytes)}" if progress.total_bytes else ""
        parts.insert(0, size_text(progress.bytes) + total)
    if progress.rate:
        parts.append(f"{size_text(progress.rate)}/s")
    if progress.seconds_left is not None:
        minutes, seconds = divmod(progress.seconds_left, 60)
        parts.append(f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left")
    return ", ".join(parts)
