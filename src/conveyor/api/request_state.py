"""The state of a request as an overview has it: what was seen of it, judged as trouble or as none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.api.overview_entry import Assignment, Attempt, Judgement, OverviewEntry, Trouble
from conveyor.capabilities.marker import MARKER_LIMIT, read_receipt
from conveyor.clock import now, seconds_between
from conveyor.engine.claim import claimants
from conveyor.engine.conveyance import broken_because, warnings_of
from conveyor.engine.copy_progress import read_progress
from conveyor.engine.endpoints import Endpoints, Location
from conveyor.engine.event_log import LastAttempt, last_attempt, last_operation
from conveyor.engine.plan import Operation
from conveyor.engine.planner import make_plan
from conveyor.engine.qa_record import read_qa_record
from conveyor.engine.survey import EntryKind, Ownership, State, survey
from conveyor.errors import ConflictError, ConveyorError, DirectoryMissingError
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.snapshot import Snapshot
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from conveyor.layout import METADATA
from conveyor.values import frozen
from conveyor.weblog.cache_look import inspect_cache

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from conveyor.capabilities.capability import Capability
    from conveyor.documents.kept_documents import Progress, QaRecord, Ready
    from conveyor.engine.claim import Holder
    from conveyor.engine.endpoints import Endpoint
    from conveyor.engine.host import Host
    from conveyor.engine.survey import DirectorySurvey, Survey
    from conveyor.filesystem.posix import FileSystem
    from conveyor.request.metadata import Metadata
    from conveyor.request.places import Places
    from conveyor.weblog.cache_look import CacheState

#: Looks at a request that is neither at rest nor held, until two have seen the same: it may move at this moment.
_LOOKS = 4
_COPYING = CopyOptions()  # nothing is copied
_AT_REST = (State.IN_SPOOL, State.IN_QA)
_BEGUN = {
    Operation.DELIVER: "a delivery",
    Operation.RETRIEVE: "a retrieval",
    Operation.QA_FAIL: "a retrieval after a failed QA",
}
_FAILED = ("failed", "refused", "stopped")


@frozen
class Glance:
    """One look at a request: the survey, who claims it and is not dead, or else is, and what is written of it.

    ``record`` is what people said of it, ``begun`` the conveyance that was begun last, of a request that is not at rest.
    ``size`` is in bytes, None if nothing tells it.
    ``is_alive`` is None if that cannot be told from this host, ``is_steady`` false if it changed at each look. One that
    was made for a plan has in ``refusals`` what would refuse a conveyance (None: nothing), and in ``cache`` what a close
    look at its weblog says.
    """

    survey: Survey
    holder: Holder | None
    is_alive: bool | None
    progress: Progress | None
    last: LastAttempt | None
    delivered: str | None
    refusals: Mapping[Operation, ConveyorError | None]
    record: QaRecord | None = None
    begun: Operation = Operation.DELIVER
    cache: CacheState | None = None
    is_steady: bool = True
    size: int | None = None

    @property
    def is_held(self) -> bool:
        """Tell whether somebody holds the request who is not known to be dead."""
        return self.holder is not None and self.is_alive is not False

    @property
    def is_settled(self) -> bool:
        """Tell whether one look is enough: nothing moves, or it is known who moves it."""
        return self.survey.state in _AT_REST or self.is_held


def glance_at(
    fs: FileSystem,
    places: Places,
    capability: Capability,
    host: Host,
    *,
    for_plan: bool,
    cache_lifetime: float | None = None,
) -> Glance:
    """Look at a request, without holding it. Raises :class:`OSError` and :class:`~conveyor.errors.ConveyorError`.

    What is neither at rest nor held may be changing at this moment: it is looked at until two looks saw the same.
    ``cache_lifetime`` is in seconds, that of the mount if it is None.
    """

    def look(*, for_plan: bool = for_plan) -> Glance:
        with Endpoints(fs, places, _COPYING, cache_lifetime) as endpoints:
            return _glance(endpoints, capability, host, for_plan=for_plan)

    seen = look()
    for _ in range(_LOOKS):
        if seen.is_settled:
            break
        if isinstance(fs, Snapshot):
            fs.renew(entirely=True)
        before, seen = seen, look()
        if seen.survey == before.survey:
            break
    else:
        seen = replace(seen, is_steady=False)
    if seen.survey.state is not State.BROKEN or for_plan:
        return seen
    return replace(look(for_plan=True), is_steady=seen.is_steady)  # what broke it has to be said


def _glance(endpoints: Endpoints, capability: Capability, host: Host, *, for_plan: bool) -> Glance:
    fs, spool = endpoints.fs, endpoints.spool
    holders = claimants(spool)
    seen = survey(endpoints, capability, for_plan=for_plan)
    judged = [(host.is_dead(one.process), one) for one in holders]
    is_dead, holder = min(judged, key=lambda one: one[0], default=(False, None))
    is_held = holder is not None and not is_dead
    last = last_attempt(fs, spool.meta_handle) if spool.meta_handle is not None else None
    receipt = _receipt(endpoints, capability) if seen.marker is Ownership.OURS else None
    return Glance(
        survey=seen,
        holder=holder,
        is_alive=None if holder is None else False if is_dead else host.is_alive(holder.process) or None,
        progress=read_progress(spool, holder.token) if holder is not None and is_held else None,
        last=last,
        delivered=receipt["delivered"] if receipt is not None else None,
        refusals=dict(_refusals(seen, capability, for_plan=for_plan)),
        record=_record(fs, spool),
        begun=(None if seen.state in _AT_REST else last_operation(spool)) or Operation.DELIVER,
        cache=inspect_cache(fs, endpoints.places, thorough=True) if for_plan and _has_weblog_in_qa(seen) else None,
        size=_size(receipt, last),
    )


def _size(receipt: Ready | None, last: LastAttempt | None) -> int | None:
    """Return the bytes of a request, as its delivery counted them, else the last conveyance."""
    counted = receipt.get("bytes") if receipt is not None else None
    return counted if counted is not None or last is None else last.size


def _receipt(endpoints: Endpoints, capability: Capability) -> Ready | None:
    return read_receipt(endpoints.fs.read(endpoints.qa.root, capability.marker.name, limit=MARKER_LIMIT))


def _record(fs: FileSystem, spool: Endpoint) -> QaRecord | None:
    """Return what people said of a request; a damaged record says nothing, and hides no request."""
    try:
        return read_qa_record(fs, spool.meta_handle) if spool.meta_handle is not None else None
    except ConflictError:
        return None


def _has_weblog_in_qa(seen: Survey) -> bool:
    return seen.state is State.IN_QA and seen.weblog.newest is not None


def _asked(state: State) -> tuple[Operation, ...]:
    """Return the conveyances that may come next: of a request at rest, the one that leads to the other end."""
    match state:
        case State.IN_SPOOL:
            return (Operation.DELIVER,)
        case State.IN_QA:
            return (Operation.RETRIEVE,)
    return tuple(Operation)


def _refusals(
    seen: Survey, capability: Capability, *, for_plan: bool
) -> Iterator[tuple[Operation, ConveyorError | None]]:
    for operation in _asked(seen.state) if for_plan else ():
        try:
            make_plan(seen, capability, operation)
            yield operation, None
        except ConveyorError as refusal:
            yield operation, refusal


def entry_of(
    glance: Glance,
    capability: Capability,
    metadata: Metadata,
    problem: ConveyorError | None,
    *,
    for_plan: bool = False,
    named: str | None = None,
    time: str | None = None,
) -> OverviewEntry:
    """Return the entry of a request that could be looked at; ``problem`` is what is wrong with it nevertheless.

    ``named`` is what a person types to name it; None: the path of its metadata file. ``time`` is that of the look (UTC).
    """
    seen, places = glance.survey, glance.survey.places
    has_weblog = seen.weblog.cached and seen.weblog.newest is not None
    trouble, detail = (Trouble.NEEDS_PERSON, problem.message) if problem is not None else _trouble(glance)
    spool = str(places.spool)
    path = f"{spool}/{METADATA}"
    return OverviewEntry(
        name=places.request,
        metadata=path,
        spool=spool,
        qa=str(places.qa),
        project=metadata.project_code,
        capability=capability.name,
        workflow=metadata.workflowName,
        state=seen.state,
        directories={one.name: one.state for one in seen.directories},
        trouble=trouble,
        detail=detail,
        is_computing=_is_computing(glance),
        since=_since(glance, trouble),
        delivered=glance.delivered,
        age_in_qa=_age_in_qa(glance, time),
        holder=glance.holder,
        holder_is_alive=glance.is_alive,
        progress=glance.progress,
        size=glance.size,
        weblog=str(places.weblog) if has_weblog else None,
        weblog_page=str(seen.weblog.page) if has_weblog and seen.weblog.page else None,
        qa_failed=seen.verdict,
        verdict=_judgement(glance.record),
        assigned=_assignment(glance.record),
        last_attempt=_attempt(glance.last),
        begun=glance.begun if trouble is Trouble.STALLED else None,
        next_command=_next_command(glance, trouble, named or path),
        to_tidy=len(seen.lingering),
        warnings=tuple(_warnings(glance, capability)),
        data_sets=metadata.fileSetIds,
        error=problem,
        glance=glance if for_plan else None,
    )


def _warnings(glance: Glance, capability: Capability) -> Iterator[str]:
    if glance.is_held:
        yield f"another conveyance holds {glance.survey.places.spool}: {glance.holder}"
    yield from broken_because(glance.survey, capability)
    yield from warnings_of(glance.survey)


def _trouble(glance: Glance) -> tuple[Trouble | None, str]:
    """Return the worst trouble of a request, and what it is in words."""
    seen = glance.survey
    if glance.is_held or _is_computing(glance):
        return None, ""
    if seen.state is State.BROKEN:
        is_looked_into = seen.qa.kind in (None, Kind.DIRECTORY)  # what a link in its place leads to is not
        if dangling := [one.name for one in seen.directories if is_looked_into and _is_dangling(one)]:
            return Trouble.DANGLING, f"the links of {', '.join(dangling)} lead to nothing"
        refusal = next((one for one in glance.refusals.values() if one is not None), None)
        return Trouble.NEEDS_PERSON, refusal.message if refusal is not None else "no conveyance goes on from here"
    if seen.state is State.IN_TRANSIT:
        return Trouble.STALLED, _stalled(glance)
    attempt = _attempt(glance.last)
    if attempt is not None and attempt.outcome in _FAILED:
        why = f": {attempt.error or attempt.reason}" if attempt.error or attempt.reason else ""
        return Trouble.REFUSED, f"{attempt.command} was refused or stopped{why}"
    if seen.left_behind:
        return Trouble.LEFT_OVER, f"could not be removed: {', '.join(map(str, seen.left_behind))}"
    return None, ""


def _is_computing(glance: Glance) -> bool:
    """Tell whether the workflow has not written all directories yet: none was ever conveyed, and one is missing."""
    refusal = glance.refusals.get(Operation.DELIVER)
    is_missing = glance.survey.state is State.BROKEN and isinstance(refusal, DirectoryMissingError)
    return is_missing and not glance.survey.was_out


def _is_dangling(directory: DirectorySurvey) -> bool:
    return directory.spool in (EntryKind.LINK, EntryKind.BRIDGE) and directory.qa is EntryKind.NOTHING


def _stalled(glance: Glance) -> str:
    operation = glance.begun
    there = Location.QA if operation is Operation.DELIVER else Location.SPOOL
    known = [one for one in glance.survey.directories if one.state is not State.MISSING]
    done = sum(one.data_at is there for one in known)  # its link may have to be made final yet
    who = f"; {glance.holder} no longer runs" if glance.holder is not None else ""
    return f"{_BEGUN[operation]} was interrupted, {done} of {len(known)} directories done{who}"


def _attempt(last: LastAttempt | None) -> Attempt | None:
    if last is None:
        return None
    return Attempt(last.command, last.outcome, last.time, last.host, last.account, last.error, last.reason)


def _judgement(record: QaRecord | None) -> Judgement | None:
    if record is None or (said := record["verdict"]) is None:
        return None
    return Judgement(said["verdict"], said["time"], said["by"], said["reason"])


def _assignment(record: QaRecord | None) -> Assignment | None:
    if record is None or (said := record["assigned"]) is None:
        return None
    return Assignment(said["to"], said["by"], said["time"])


def _since(glance: Glance, trouble: Trouble | None) -> str | None:
    """Return the time of the state or the trouble, as far as anything tells."""
    if glance.holder is not None and (trouble is Trouble.STALLED or trouble is None):
        return glance.holder.since
    if glance.survey.state is State.IN_QA and trouble is None and glance.delivered is not None:
        return glance.delivered
    return glance.last.time if glance.last is not None else None


def _age_in_qa(glance: Glance, time: str | None) -> float | None:
    if glance.delivered is None or glance.survey.state is not State.IN_QA:
        return None
    return seconds_between(glance.delivered, time or now())


def _next_command(glance: Glance, trouble: Trouble | None, named: str) -> tuple[str, ...]:
    match trouble:
        case Trouble.STALLED:
            return "conveyor", "resume", named
        case Trouble.LEFT_OVER:
            return "conveyor", "tidy", named
        case None if glance.is_held or _is_computing(glance):
            return ()
        case None if glance.survey.state is State.IN_QA:
            return "conveyor", "retrieve", named
        case None:
            return "conveyor", "deliver", named
    return "conveyor", "doctor", named
