"""Decide: a pure function from what was seen, the capability and the wish to a plan, or to a refusal that says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.engine import refusals
from conveyor.engine.plan import Operation, Plan, Step, StepName
from conveyor.engine.survey import EntryKind, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.capabilities.capability import Capability
    from conveyor.engine.survey import DirectorySurvey, Survey


def make_plan(survey: Survey, capability: Capability, operation: Operation) -> Plan:
    """Make the plan that fulfils a wish from where things are now.

    Raises a :class:`~conveyor.errors.ConveyorError` that says why there is none; a plan that is returned has passed
    every check that can be made without changing anything.
    """
    refusals.check_places(survey, operation)
    for directory in survey.directories:
        refusals.check_copy(survey, directory)
        refusals.check_directory(survey, directory, operation)
    if operation is Operation.DELIVER:
        steps = tuple(_delivery(survey, capability))
        refusals.check_weblog(survey, capability, steps)
        warnings = tuple(_weblog_warnings(survey, capability)) if steps else ()
    else:
        steps = tuple(_retrieval(survey))
        if operation is Operation.QA_FAIL:
            steps += tuple(_verdict(survey, capability))
        warnings = tuple(_left_over(survey))
    refusals.check_mounts(survey, steps)
    refusals.check_permissions(survey, operation, steps)
    return Plan(operation, steps, warnings)


def _delivery(survey: Survey, capability: Capability) -> Iterator[Step]:
    if survey.state is State.IN_QA:
        return
    if survey.weblog is not None and capability.weblog is not None:
        yield Step(StepName.CACHE_WEBLOG, f"{capability.weblog.directory}/{survey.weblog}")
    if survey.verdict:
        yield Step(StepName.CLEAR_VERDICT)
    yield Step(StepName.OPEN_QA_FOLDER)
    for one in survey.directories:
        step, at = _settled(one, "qa")
        yield from step
        if at == "spool":
            yield Step(StepName.DELIVER, one.name)
    for one in survey.directories:
        if one.data_at and one.state is not State.IN_QA:
            yield Step(StepName.LINK, one.name)
    if survey.has_leftovers:
        yield Step(StepName.TIDY)
    yield Step(StepName.WRITE_READY)


def _retrieval(survey: Survey) -> Iterator[Step]:
    settled = [(one, *_settled(one, "spool")) for one in survey.directories]
    out = [one for one, _, at in settled if at == "qa"]
    bridged = any(one.qa is EntryKind.BRIDGE for one in survey.directories)
    if not (out or bridged or survey.under_way or survey.ready_is_ours):
        return
    if survey.ready_is_ours:
        yield Step(StepName.WITHDRAW_READY)
    if out or any(steps for _, steps, _ in settled):
        yield Step(StepName.OPEN_QA_FOLDER)
    for _, steps, _ in settled:
        yield from steps
    for one in out:
        yield Step(StepName.RETRIEVE, one.name)
    if survey.has_leftovers:
        yield Step(StepName.TIDY)
    yield Step(StepName.CLOSE_QA_FOLDER)


def _settled(one: DirectorySurvey, wanted: str) -> tuple[tuple[Step, ...], str | None]:
    """The step that leaves one of a copy and its source, if there are two, and where the data is then.

    What somebody has written to since is never dropped. Where both are as they were, it is the one at the wanted end.
    """
    copy = one.copy
    if copy is None:
        return (), one.data_at
    other = "spool" if copy.at == "qa" else "qa"
    if copy.in_place and not copy.copy_changed and (copy.source_changed or wanted == other):
        return (Step(StepName.RECALL_COPY, one.name),), other
    return (Step(StepName.FINISH_COPY, one.name),), copy.at


def _verdict(survey: Survey, capability: Capability) -> Iterator[Step]:
    if not survey.verdict:
        yield Step(StepName.RECORD_VERDICT)
    if capability.weblog is not None and not capability.weblog.keep_after_qa_fail and survey.weblog_cached:
        yield Step(StepName.FORGET_WEBLOG)


def _weblog_warnings(survey: Survey, capability: Capability) -> Iterator[str]:
    if capability.weblog is None:
        return
    if survey.weblog is None:
        patterns = ", ".join(capability.weblog.patterns)
        yield f"no weblog to cache: nothing in {capability.weblog.directory} matches {patterns}"
    if survey.weblogs_passed_over:
        others = ", ".join(survey.weblogs_passed_over)
        yield f"several weblogs in {capability.weblog.directory}: took the newest, {survey.weblog}; passed over {others}"


def _left_over(survey: Survey) -> Iterator[str]:
    if survey.unexpected:
        names = ", ".join(survey.unexpected)
        yield f"left in {survey.places.qa}, since Conveyor did not put it there: {names}"
