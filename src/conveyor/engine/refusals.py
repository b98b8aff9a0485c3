"""The refusals of conveyances, before anything is touched: each with its own message and hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.engine.area_marker import unmarked_error
from conveyor.engine.endpoints import Location
from conveyor.engine.plan import Operation
from conveyor.engine.steps import CacheWeblog, Deliver, Retrieve
from conveyor.engine.survey import EntryKind, Ownership, State
from conveyor.engine.written import diverged_error
from conveyor.errors import (
    BothSidesError,
    ConflictError,
    DirectoryMissingError,
    LinkForeignError,
    NotInQaError,
    NotPermittedError,
    QaAreaMissingError,
    ReadOnlyError,
    UnmovableError,
    WeblogMissingError,
)
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.posix import Hindrance, Kind
from conveyor.layout import META_DIR, OUTGOING, PEER

if TYPE_CHECKING:
    from conveyor.capabilities.capability import Capability
    from conveyor.engine.steps.base import Step
    from conveyor.engine.survey import DirectorySurvey, EndpointSurvey, Survey


def check_places(survey: Survey, operation: Operation) -> None:
    """Refuse if the QA area, the QA folder or Conveyor's own directories are not what they have to be."""
    places, spool, qa = survey.places, survey.spool, survey.qa
    needs_area = operation is Operation.DELIVER or any(
        one.state not in (State.IN_SPOOL, State.MISSING) for one in survey.directories
    )
    if survey.area.unmarked and needs_area:
        raise unmarked_error(survey.area.unmarked[0])
    if not survey.area.found and needs_area:
        raise QaAreaMissingError(f"the QA area {places.qa_area} is not there")
    for end in (spool, qa):
        if end.meta_blocked:
            raise ConflictError(f"{end.path / META_DIR} is not a folder, and Conveyor keeps its own files there")
    if qa.kind not in (None, Kind.DIRECTORY):
        is_link = qa.kind is Kind.LINK
        raise ConflictError(
            f"{places.qa} is a {qa.kind}, where the request's QA folder has to be",
            hint="put the folder itself in the place of the link, then run the same command" if is_link else None,
        )
    if qa.ownership is Ownership.STRAY:
        raise ConflictError(
            f"the QA folder {places.qa} belongs to another request: {places.qa / META_DIR / PEER} leads to "
            f"{qa.peer or 'another place'}, not to {places.spool}",
            hint="retrieve that request first; if it is gone, find out whose data it is before you move it away: was the "
            "workspace moved? then a link to it in its old place is all that is needed",
        )
    if spool.ownership is Ownership.STRAY:
        raise _out_elsewhere(survey)
    if survey.marker is Ownership.STRAY and operation is Operation.DELIVER:
        raise ConflictError(
            f"{places.qa / survey.marker_name} stands there already, and is not a receipt of this request"
        )


def _out_elsewhere(survey: Survey) -> ConflictError:
    places, peer = survey.places, survey.spool.peer
    hint = "was it delivered with another capability or QA root? retrieve it with that one first"
    if peer is not None and peer.name != places.request:
        hint = (
            f"was its directory renamed, or copied from that of {peer.name!r}? if renamed, give it its name back; a copy of "
            f"a request that is out has no use for {places.spool / META_DIR / PEER}: remove that file there"
        )
    return ConflictError(f"{places.spool} was delivered to {peer or 'another place'}, not to {places.qa}", hint=hint)


def check_verdict(survey: Survey) -> None:
    """Refuse a verdict on a request that is not in QA, unless it was recorded when the request came home."""
    if survey.state is State.IN_SPOOL and not survey.verdict:
        where = "is home already" if survey.was_conveyed else "was never delivered"
        raise NotInQaError(f"{survey.places.request} {where}: no verdict is recorded")


def check_directory(survey: Survey, one: DirectorySurvey, operation: Operation) -> None:
    """Refuse if a directory is missing, doubled, or represented by something that is not Conveyor's."""
    spool, qa = survey.places.spool / one.name, survey.places.qa / one.name
    match one.spool, one.qa:
        case EntryKind.DIRECTORY, EntryKind.DIRECTORY if one.copy is None:
            if one.qa_is_ours:
                raise BothSidesError(
                    f"{one.name} is a real directory at both ends: {spool} and {qa}",
                    hint="compare the two: if each has what the other lacks, a joined file system (mergerfs) cut it in "
                    "two: bring them together; else keep the right one, move the other away; then run the same command",
                )
            raise ConflictError(f"the QA folder has a directory of that name already, and it is not ours: {qa}")
        case (EntryKind.DIRECTORY, EntryKind.DIRECTORY | EntryKind.NOTHING | EntryKind.BRIDGE | EntryKind.LINK) | (
            (EntryKind.LINK | EntryKind.BRIDGE),
            EntryKind.DIRECTORY,
        ):
            return
        case EntryKind.DIRECTORY, _ if operation is Operation.DELIVER:
            raise ConflictError(f"something stands in the way in the QA folder, and it is not ours: {qa}")
        case EntryKind.NOTHING, EntryKind.DIRECTORY if not one.qa_is_ours:
            raise ConflictError(
                f"the QA folder has a directory of that name, and it is not ours: {qa} (and there is no {spool})"
            )
        case EntryKind.NOTHING, EntryKind.BRIDGE | EntryKind.LINK:
            raise DirectoryMissingError(f"{one.name} is at neither end; only a link of ours is left: {qa}")
        case EntryKind.NOTHING, _ if one.required and one.qa is not EntryKind.DIRECTORY:
            raise DirectoryMissingError(f"the required directory {one.name} is missing: there is no {spool}")
        case ((EntryKind.LINK | EntryKind.BRIDGE), _):
            raise LinkForeignError(
                f"{spool} is a link to {qa}, and there is no directory there",
                hint="find the directory (was the QA folder moved or unmounted?), put it back, run the same command",
            )
        case EntryKind.STRAY_LINK, EntryKind.DIRECTORY:
            raise LinkForeignError(f"{spool} is a link that points elsewhere: {one.link_to!r}, not {qa}")
        case EntryKind.STRAY_LINK, _:
            raise LinkForeignError(_stray(survey, one))
        case EntryKind.OTHER, _:
            raise ConflictError(f"{spool} is neither a directory nor a link")


def _stray(survey: Survey, one: DirectorySurvey) -> str:
    spool = survey.places.spool / one.name
    with error_context("stat", spool):
        where = "elsewhere" if spool.exists() else "nowhere"
    return f"{spool} is itself a symbolic link that points {where}: {one.link_to!r}"


def check_copy(survey: Survey, one: DirectorySurvey) -> None:
    """Refuse if an interrupted run left a copy and its source, and somebody has written to both since; and if it
    died while it took out what somebody had just put in the directory's place."""
    if one.foreign:
        raise ConflictError(
            f"{one.foreign[0]} is somebody else's: it stood in the place of {one.name} when a run died",
            hint="move it to where it belongs, then run the same command",
        )
    if one.copy is not None and one.copy.diverged:
        copied, origin = survey.places.qa, survey.places.spool
        if one.copy.at is Location.SPOOL:
            copied, origin = origin, copied
        source = origin / one.name if one.copy.in_place else origin / META_DIR / (one.name + OUTGOING)
        raise diverged_error(copied / one.name, source)


def check_mounts(survey: Survey, steps: tuple[Step, ...]) -> None:
    """Refuse if a file system is mounted in a directory: what is in it is not the request's, to move, copy or remove."""
    if steps and survey.mounted:
        points = ", ".join(repr(str(point)) for point in survey.mounted)
        raise ConflictError(
            f"a file system is mounted in what would be conveyed: {points}",
            hint="unmount it, then run the same command",
        )


def check_weblog(survey: Survey, capability: Capability, steps: tuple[Step, ...]) -> None:
    """Refuse a delivery without the weblog that its capability requires."""
    weblog = capability.weblog
    if steps and weblog is not None and weblog.required and survey.weblog.newest is None:
        where = survey.places.spool / weblog.directory
        why = "; ".join((f"nothing matches {', '.join(weblog.patterns)}", *survey.weblog.not_taken))
        raise WeblogMissingError(f"no weblog in {where}: {why}")
    if survey.weblog.blocked and any(isinstance(step, CacheWeblog) for step in steps):
        raise ConflictError(f"{survey.places.weblog} is there already, and is no weblog that Conveyor cached")


def check_hindrances(survey: Survey, steps: tuple[Step, ...]) -> None:
    """Refuse if no account may change a directory that the plan changes."""
    if steps and survey.hindrances:
        path, hindrance = survey.hindrances[0]
        kind = ReadOnlyError if hindrance is Hindrance.READ_ONLY else UnmovableError
        raise kind(f"{path} is {hindrance}", hint=f"{hindrance.remedy}; then run the same command")


def check_closed(end: EndpointSurvey) -> None:
    """Refuse if the account may not write at an end: another account's ``.conveyor`` holds every later run up."""
    if end.closed is not None:
        raise NotPermittedError(f"this account may not write in {end.closed}")


def check_permissions(survey: Survey, operation: Operation, steps: tuple[Step, ...]) -> None:
    """Refuse if the account may not change a directory that the plan changes."""
    if not steps:
        return
    places, qa = survey.places, survey.qa
    check_closed(survey.spool)
    if operation is Operation.DELIVER and qa.kind is None and not survey.area.writable:
        raise NotPermittedError(f"this account may not write in the QA area {places.qa_area}")
    check_closed(qa)
    moving = {step.subject for step in steps if isinstance(step, Deliver | Retrieve)}
    for one in survey.directories:
        if one.name in moving and not one.movable:
            end = places.spool if one.data_at is Location.SPOOL else places.qa
            raise NotPermittedError(
                f"{end / one.name} is not writable for this account, so it cannot be moved to another folder",
                hint=f"chmod u+w {end / one.name} as its owner, then run the same command",
            )
