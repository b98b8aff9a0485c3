"""Decide: a pure function from what was seen, the capability and the operation to a plan, or to a refusal that says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from conveyor.engine import refusals
from conveyor.engine.endpoints import Location
from conveyor.engine.plan import Operation, Plan
from conveyor.engine.steps import (
    CacheWeblog,
    CleanUp,
    ClearVerdict,
    CloseQaFolder,
    CompleteCopy,
    Deliver,
    HookStep,
    LinkRest,
    OpenQaFolder,
    PutFinalLink,
    RecordVerdict,
    RemoveCachedWeblog,
    RemoveLeftBehind,
    RemoveMarker,
    Retrieve,
    RollBackCopy,
    SettleProjects,
    WriteMarker,
)
from conveyor.engine.survey import EntryKind, Ownership, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.capabilities.capability import Capability
    from conveyor.capabilities.hook import Hook
    from conveyor.engine.steps.base import Step
    from conveyor.engine.survey import DirectorySurvey, Survey


def make_plan(survey: Survey, capability: Capability, operation: Operation, hooks: tuple[Hook, ...] = ()) -> Plan:
    """Make the plan that brings about an operation from where things are now.

    ``hooks`` are those of the capability that have something to do. Raises a :class:`~conveyor.errors.ConveyorError` that
    says why there is no plan; a plan that is returned has passed every check that can be made without changing anything.
    """
    refusals.check_places(survey, operation)
    for directory in survey.directories:
        refusals.check_copy(survey, directory)
        refusals.check_directory(survey, directory, operation)
    match operation:
        case Operation.DELIVER:
            steps = tuple(_delivery(survey, capability, hooks))
            refusals.check_weblog(survey, capability, steps)
            warnings = tuple(_weblog_warnings(survey, capability)) if steps else ()
        case Operation.RETRIEVE:
            steps = tuple(_retrieval(survey, capability, hooks))
            warnings = tuple(_unexpected(survey))
        case Operation.QA_FAIL:
            refusals.check_verdict(survey)
            steps = (*_retrieval(survey, capability, hooks, verdict=True), *_forgetting(survey, capability))
            warnings = tuple(_unexpected(survey))
        case _:
            assert_never(operation)
    steps = steps or tuple(_tidying(survey))
    refusals.check_mounts(survey, steps)
    refusals.check_hindrances(survey, steps)
    refusals.check_permissions(survey, operation, steps)
    return Plan(operation, steps, warnings)


def needs_hooks(survey: Survey, operation: Operation) -> bool:
    """Tell whether an operation has anything to do from here, so that hooks have to be asked."""
    done = State.IN_QA if operation is Operation.DELIVER else State.IN_SPOOL
    return survey.state is not done


def _delivery(survey: Survey, capability: Capability, hooks: tuple[Hook, ...]) -> Iterator[Step]:
    if survey.state is State.IN_QA:
        if not survey.weblog.cached and not survey.weblog.blocked:  # somebody has removed it, or a part of it
            yield from _caching(survey, capability)
        return
    yield from map(HookStep, hooks)
    yield from _caching(survey, capability)
    if survey.verdict:
        yield ClearVerdict()
    yield OpenQaFolder()
    yield LinkRest()
    for one in survey.directories:
        step, at = _settled(one, Location.QA)
        yield from step
        if at is Location.SPOOL:
            yield Deliver(one.name)
        elif one.is_retagging:
            yield SettleProjects(one.name)
    for one in survey.directories:
        if one.data_at and one.state is not State.IN_QA:
            yield PutFinalLink(one.name)
    yield CleanUp()
    yield from _left_behind(survey)
    yield WriteMarker(marker=capability.marker.name)


def _caching(survey: Survey, capability: Capability) -> Iterator[Step]:
    if survey.weblog.newest is not None and capability.weblog is not None:
        yield CacheWeblog(f"{capability.weblog.directory}/{survey.weblog.newest}")


def _retrieval(
    survey: Survey, capability: Capability, hooks: tuple[Hook, ...], *, verdict: bool = False
) -> Iterator[Step]:
    """The way home. Hooks run, and a verdict is recorded, when all is home and before the last trace goes, so that an
    interrupted one is seen."""
    settled = [(one, *_settled(one, Location.SPOOL)) for one in survey.directories]
    out = [one for one, _, at in settled if at is Location.QA]
    bridged = any(one.qa in (EntryKind.BRIDGE, EntryKind.LINK) for one in survey.directories)
    delivered = survey.marker is Ownership.OURS
    if not (out or bridged or survey.under_way or delivered):
        return
    if delivered:
        yield RemoveMarker(marker=capability.marker.name)
    if out or any(steps for _, steps, _ in settled):
        yield OpenQaFolder()
    for _, steps, _ in settled:
        yield from steps
    for one in out:
        yield Retrieve(one.name)
    for one, _, at in settled:
        if at is Location.SPOOL and one.is_retagging:
            yield SettleProjects(one.name)
    if survey.has_leftovers or survey.has_trial:
        yield CleanUp()
    yield from _left_behind(survey)
    yield from map(HookStep, hooks)
    if verdict and not survey.verdict:
        yield RecordVerdict()
    yield CloseQaFolder()


def _tidying(survey: Survey) -> Iterator[Step]:
    """The steps where all is at its goal already, and a run has left something that is nobody's data."""
    if survey.has_trial:
        yield CleanUp()
    yield from _left_behind(survey)


def _left_behind(survey: Survey) -> Iterator[Step]:
    """The step that removes what stayed before, or could not be removed, unless this account may not even try."""
    if (survey.left_behind or survey.lingering) and survey.spool.closed is None and survey.qa.closed is None:
        yield RemoveLeftBehind()


def _settled(one: DirectorySurvey, wanted: Location) -> tuple[tuple[Step, ...], Location | None]:
    """The step that leaves one of a copy and its source, if there are two, and where the data is then.

    What somebody has written to since is never dropped. If both are as they were, it is the one at the wanted end.
    """
    copy = one.copy
    if copy is None:
        return (), one.data_at
    other = copy.at.other
    if copy.in_place and not copy.copy_changed and (copy.source_changed or wanted is other):
        return (RollBackCopy(one.name),), other
    return (CompleteCopy(one.name),), copy.at


def _forgetting(survey: Survey, capability: Capability) -> Iterator[Step]:
    has_weblog = survey.weblog.cached or survey.weblog.lost
    if capability.weblog is not None and not capability.weblog.keep_after_qa_fail and has_weblog:
        yield RemoveCachedWeblog()


def _weblog_warnings(survey: Survey, capability: Capability) -> Iterator[str]:
    if capability.weblog is None:
        return
    weblog = survey.weblog
    if weblog.newest is None:
        patterns = ", ".join(capability.weblog.patterns)
        why = "; ".join((f"nothing in {capability.weblog.directory} matches {patterns}", *weblog.not_taken))
        yield f"no weblog to cache: {why}"
    if weblog.passed_over:
        others = ", ".join(weblog.passed_over)
        yield f"several weblogs in {capability.weblog.directory}: took the newest, {weblog.newest}; passed over {others}"


def _unexpected(survey: Survey) -> Iterator[str]:
    if survey.unexpected:
        names = ", ".join(survey.unexpected)
        yield f"left in {survey.places.qa}, since Conveyor did not put it there: {names}"
