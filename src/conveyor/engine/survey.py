"""Look: the state of each directory of a request, read from the file system and from nothing else."""

from __future__ import annotations

import functools
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.capabilities.marker import MARKER_LIMIT, is_marker_of
from conveyor.engine.area_marker import unmarked_areas
from conveyor.engine.copy_progress import progress_is_left
from conveyor.engine.endpoints import Location, is_bridge_text
from conveyor.engine.event_log import last_attempt
from conveyor.engine.lingering import is_lingering_link, over
from conveyor.engine.links import find_left_behind
from conveyor.engine.staging import CopySurvey, find_uncommitted_copy, foreign_entries
from conveyor.engine.way_over import trial_is_left
from conveyor.filesystem.posix import Kind
from conveyor.layout import HISTORY, META_DIR, PEER, PEER_SUFFIX, PROJECTS, RETAGGING, STAGED, VERDICT, temporary_name
from conveyor.values import frozen
from conveyor.weblog.cache_look import NOT_CACHED, inspect_cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.capabilities.capability import Capability, Directory
    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.filesystem.posix import Hindrance
    from conveyor.request.places import Places
    from conveyor.weblog.cache_look import CacheState

_REMAINING = (*STAGED, PEER_SUFFIX)


class EntryKind(StrEnum):
    """The kinds of what may stand at one end under a directory's name."""

    NOTHING = "nothing"
    DIRECTORY = "directory"
    LINK = "link"  # a link of ours that leads to the other end
    BRIDGE = "bridge"  # the same for the time of a conveyance: it leads to the data from both ends
    STRAY_LINK = "stray link"
    OTHER = "other"


class State(StrEnum):
    """The states of a directory, or of a whole request."""

    IN_SPOOL = "in-spool"
    IN_QA = "in-qa"
    IN_TRANSIT = "in-transit"
    MISSING = "missing"
    BROKEN = "broken"


class Ownership(StrEnum):
    """Whose an end's folder is, by its ``.conveyor/peer``."""

    NONE = "none"
    OURS = "ours"
    STRAY = "stray"


@frozen
class DirectorySurvey:
    """One directory, seen at both ends, and what an interrupted run left of it in ``.conveyor``: above all a copy.

    ``is_retagging``: its project IDs are not all what they have to be where it is. ``strangers`` are in
    ``.conveyor`` too, and somebody else's.
    """

    name: str
    required: bool
    spool: EntryKind
    qa: EntryKind
    qa_is_ours: bool
    movable: bool = True
    copy: CopySurvey | None = None
    has_leftovers: bool = False
    is_retagging: bool = False
    foreign: tuple[Path, ...] = ()
    link_to: str | None = None

    @property
    def data_at(self) -> Location | None:
        """The end that has the data; None if it is at neither or cannot be told.

        Of a copy and its source it is the one that somebody may have written to; else the copy.
        """
        match self.spool, self.qa:
            case EntryKind.DIRECTORY, EntryKind.DIRECTORY if self.copy is None or self.copy.diverged:
                return None
            case EntryKind.DIRECTORY, EntryKind.DIRECTORY if self.copy:
                return self.copy.at.other if self.copy.source_changed else self.copy.at
            case EntryKind.DIRECTORY, _:
                return Location.SPOOL
            case EntryKind.LINK | EntryKind.BRIDGE, EntryKind.DIRECTORY:
                return Location.QA
            case EntryKind.NOTHING, EntryKind.DIRECTORY if self.qa_is_ours:
                return Location.QA
        return None

    @functools.cached_property
    def state(self) -> State:
        if self.foreign:
            return State.BROKEN
        match self.spool, self.qa:
            case EntryKind.DIRECTORY, EntryKind.DIRECTORY:
                return State.IN_TRANSIT if self.copy and not self.copy.diverged else State.BROKEN
            case EntryKind.DIRECTORY, EntryKind.BRIDGE | EntryKind.LINK:
                return State.IN_TRANSIT
            case EntryKind.DIRECTORY, _:
                return State.IN_SPOOL
            case EntryKind.LINK, EntryKind.DIRECTORY:
                return State.IN_QA
            case EntryKind.BRIDGE, EntryKind.DIRECTORY:
                return State.IN_TRANSIT
            case EntryKind.NOTHING, EntryKind.DIRECTORY if self.qa_is_ours:
                return State.IN_TRANSIT
            case EntryKind.NOTHING, EntryKind.BRIDGE | EntryKind.LINK:
                return State.BROKEN
            case EntryKind.NOTHING, _:
                return State.MISSING
        return State.BROKEN


@frozen
class EndpointSurvey:
    """One end of a request: what stands at its ``path``, and whose it is.

    ``closed`` is what this account may not write in, of the two that it has to, the folder itself and its ``.conveyor``.
    ``meta_blocked`` says that something stands in the place of ``.conveyor`` that is no directory. ``peer`` is the path that
    it names as the other end; a QA folder's, if it is stray.
    """

    path: Path
    kind: Kind | None
    closed: Path | None
    ownership: Ownership
    meta_blocked: bool = False
    peer: Path | None = None


@frozen
class AreaSurvey:
    """The QA area: whether it is there, and whether this account may make folders in it.

    ``unmarked`` are the areas, spool's too, that lack a marker which the settings require.
    """

    found: bool
    writable: bool
    unmarked: tuple[Path, ...] = ()


@frozen
class WeblogSurvey:
    """The weblog tars of a request, and its place in the cache.

    ``newest`` is the tar to cache, by name, and ``passed_over`` are the older ones; ``not_taken`` says what looks like one,
    and why it is none. The cache has a weblog that Conveyor ``cached``, whose first page is ``page``; or one that ``lost``
    something; or something that Conveyor did not make (``blocked``).
    """

    newest: str | None = None
    passed_over: tuple[str, ...] = ()
    not_taken: tuple[str, ...] = ()
    cached: bool = False
    page: Path | None = None
    lost: bool = False
    blocked: bool = False


_NO_WEBLOG = WeblogSurvey()


@frozen
class Survey:
    """Everything that a plan is made from.

    ``marker`` says whether the marker of the QA area, ``marker_name``, stands in the QA folder, and whether it is of this
    request. ``has_trial``: a run that died while it looked for the ways has left in the area what it tried them with, and
    nothing of the request has moved. ``unexpected`` are names in the QA folder that are not Conveyor's, ``mounted`` the
    places below the request on which a file system is mounted, ``left_behind`` what earlier conveyances could not remove of
    what they copied, ``lingering`` what of that stayed for readers on other hosts, and need not any more.
    ``was_conveyed``: the history has an earlier conveyance that did something. ``was_out``: the request was in QA, or may
    have been. ``hindrances`` keep what this account may write to from being written to, by their paths.
    """

    places: Places
    directories: tuple[DirectorySurvey, ...]
    spool: EndpointSurvey
    qa: EndpointSurvey
    area: AreaSurvey
    marker: Ownership
    marker_name: str
    verdict: bool
    weblog: WeblogSurvey
    has_leftovers: bool
    has_trial: bool = False
    unexpected: tuple[str, ...] = ()
    mounted: tuple[Path, ...] = ()
    was_conveyed: bool = False
    was_out: bool = False
    hindrances: tuple[tuple[Path, Hindrance], ...] = ()
    left_behind: tuple[Path, ...] = ()
    lingering: tuple[Path, ...] = ()

    @functools.cached_property
    def state(self) -> State:
        """The state of the request as a whole. A required directory that is at neither end makes it ``broken``."""
        states = {directory.state for directory in self.directories}
        lost = any(one.state is State.MISSING and one.required for one in self.directories)
        if State.BROKEN in states or lost or Ownership.STRAY in (self.qa.ownership, self.spool.ownership):
            return State.BROKEN
        states.discard(State.MISSING)
        delivered = self.marker is Ownership.OURS
        if states == {State.IN_QA} and delivered and not self.has_leftovers:
            return State.IN_QA
        if states <= {State.IN_SPOOL} and not delivered and not self.under_way:
            return State.IN_SPOOL
        return State.IN_TRANSIT

    @property
    def under_way(self) -> bool:
        """Tell whether Conveyor's own links and directories stand at either end: from a delivery to the way home."""
        return self.has_leftovers or Ownership.OURS in (self.qa.ownership, self.spool.ownership)


def survey(endpoints: Endpoints, capability: Capability, *, thorough: bool = False, for_plan: bool = True) -> Survey:
    """Read the state of a request at both ends, changing nothing. Raises :class:`OSError` if it cannot be read.

    A survey that is ``thorough`` counts what a cached weblog has. One that is not ``for_plan`` asks for nothing that could
    only refuse a plan: permissions, flags, mounts and markers are as if all were well.
    """
    endpoints.open_qa()
    places, fs, qa = endpoints.places, endpoints.fs, endpoints.qa
    qa_ownership, spool_ownership = _ownership(endpoints, qa), _ownership(endpoints, endpoints.spool)
    marker = _marker(endpoints, capability)
    ours = Ownership.OURS in (qa_ownership, marker)
    names = [one.name for one in capability.directories]
    staged = {
        name for end in (endpoints.spool, qa) if end.meta_handle is not None for name in fs.listdir(end.meta_handle)
    }
    directories = tuple(
        _directory(endpoints, one, staged, ours=ours, for_plan=for_plan) for one in capability.directories
    )
    cache = inspect_cache(fs, places, thorough=thorough)
    entry = fs.lstat(endpoints.area, places.request) if endpoints.area else None
    was_conveyed = _was_conveyed(endpoints.spool)
    return Survey(
        places=places,
        directories=directories,
        spool=EndpointSurvey(
            places.spool,
            Kind.DIRECTORY,
            _closed(endpoints.spool) if for_plan else None,
            spool_ownership,
            _is_blocked(endpoints.spool),
            endpoints.spool.peer() if for_plan else None,
        ),
        qa=EndpointSurvey(
            places.qa,
            entry.kind if entry and not endpoints.is_lingering(places.request) else None,
            _closed(qa) if for_plan else None,
            qa_ownership,
            _is_blocked(qa),
            qa.peer() if for_plan and qa_ownership is Ownership.STRAY else None,
        ),
        area=AreaSurvey(
            endpoints.area is not None,
            endpoints.area is not None and (not for_plan or fs.can_write(endpoints.area)),
            tuple(unmarked_areas(fs, places, endpoints.area)) if for_plan else (),
        ),
        marker=marker,
        marker_name=capability.marker.name,
        verdict=endpoints.spool.meta_kind(VERDICT) is not None,
        weblog=_weblog(endpoints, capability, directories, cache, for_plan=for_plan),
        has_leftovers=cache.has_leftovers
        or qa.kind(temporary_name(capability.marker.name)) is not None
        or endpoints.spool.meta_kind(temporary_name(VERDICT)) is not None
        or any(end.meta_kind(temporary_name(PEER)) is not None for end in (endpoints.spool, qa))
        or progress_is_left(endpoints.spool)
        or any(one.has_leftovers for one in directories),
        has_trial=for_plan and trial_is_left(endpoints),
        unexpected=_unexpected(endpoints, capability, marker) if qa_ownership is not Ownership.STRAY else (),
        left_behind=tuple(_left_behind(endpoints, names)),
        lingering=tuple(one.end.meta.path / one.inner_name for one in over(endpoints, names)) if staged else (),
        mounted=tuple(_mounted(endpoints, [META_DIR, *names])) if for_plan else (),
        was_conveyed=was_conveyed,
        was_out=was_conveyed or qa.handle is not None or _has_traces(endpoints.spool),
        hindrances=tuple(_hindrances(endpoints, names)) if for_plan else (),
    )


def _was_conveyed(spool: Endpoint) -> bool:
    """Tell whether the history has a conveyance that did anything: one that was refused leaves a line as well."""
    if spool.meta_handle is None:
        return False
    try:
        last = last_attempt(spool.fs, spool.meta_handle)
    except OSError:  # no conveyance depends on it
        return True
    return last is not None and last.begun is not None


def _has_traces(spool: Endpoint) -> bool:
    """Tell whether there is a ``.conveyor`` without a history: nobody knows what was done then."""
    return spool.meta_handle is not None and spool.meta_kind(HISTORY) is None


def _marker(endpoints: Endpoints, capability: Capability) -> Ownership:
    """Tell whether the marker stands in the QA folder, and is of this request or somebody's file of that name."""
    marker, qa = capability.marker, endpoints.qa
    match qa.kind(marker.name):
        case None:
            return Ownership.NONE
        case Kind.FILE:
            content = endpoints.fs.read(qa.root, marker.name, limit=MARKER_LIMIT)
            return Ownership.OURS if is_marker_of(marker, content, endpoints.places.request) else Ownership.STRAY
    return Ownership.STRAY


def _directory(
    endpoints: Endpoints, directory: Directory, staged: set[str], *, ours: bool, for_plan: bool
) -> DirectorySurvey:
    """Look at one directory; ``staged`` are the names in ``.conveyor`` of both ends."""
    name = directory.name
    spool, qa = _seen(endpoints, endpoints.spool, name), _seen(endpoints, endpoints.qa, name)
    is_link = endpoints.spool.kind(name) is Kind.LINK
    if not (staged or is_link or for_plan):
        return _without_traces(name, directory.required, spool, qa, qa_is_ours=ours)
    home = endpoints.spool if spool is EntryKind.DIRECTORY else endpoints.qa
    remains = bool(staged) and any(name + ending in staged for ending in _REMAINING)
    pair = find_uncommitted_copy(endpoints, name) if remains else None  # its mark is one of these
    is_retagging = endpoints.spool.meta_kind(name + RETAGGING) is not None
    return DirectorySurvey(
        name=name,
        required=directory.required,
        spool=spool,
        qa=qa,
        qa_is_ours=ours,
        # Moving a directory to another parent changes its '..' entry, so the kernel wants it writable.
        movable=not for_plan or home.kind(name) is not Kind.DIRECTORY or endpoints.fs.can_write(home.root, name),
        copy=pair.survey() if pair else None,
        has_leftovers=remains or is_retagging or endpoints.spool.meta_kind(temporary_name(name + PROJECTS)) is not None,
        is_retagging=is_retagging,
        foreign=foreign_entries(endpoints, name) if remains else (),
        link_to=endpoints.fs.readlink(endpoints.spool.root, name) if is_link else None,
    )


#: A directory of which nothing of Conveyor's is left: the same of most requests, and so made once.
_without_traces = functools.lru_cache(DirectorySurvey)


def _seen(endpoints: Endpoints, end: Endpoint, name: str) -> EntryKind:
    kind = end.kind(name)
    if kind is None:
        return EntryKind.NOTHING
    if kind is Kind.DIRECTORY:
        return EntryKind.DIRECTORY
    if kind is not Kind.LINK:
        return EntryKind.OTHER
    text = endpoints.fs.readlink(end.root, name)
    if is_bridge_text(name, text):
        return EntryKind.BRIDGE
    if endpoints.is_final_link(end, name, text):
        return EntryKind.LINK
    if is_lingering_link(name, text):
        return EntryKind.NOTHING
    return EntryKind.STRAY_LINK


def _ownership(endpoints: Endpoints, end: Endpoint) -> Ownership:
    match endpoints.peer_leads_over(end):
        case None:
            return Ownership.NONE
        case True:
            return Ownership.OURS
    return Ownership.STRAY


def _is_blocked(end: Endpoint) -> bool:
    """Tell whether ``.conveyor`` at an end is no directory (somebody's link, a file)."""
    return end.kind(META_DIR) not in (None, Kind.DIRECTORY)


def _closed(end: Endpoint) -> Path | None:
    folders = (folder for folder in (end.handle, end.meta_handle) if folder is not None)
    return next((folder.path for folder in folders if not end.fs.can_write(folder)), None)


def _mounted(endpoints: Endpoints, names: list[str]) -> Iterator[Path]:
    """The mount points in what Conveyor moves, copies or removes."""
    for end in (endpoints.spool, endpoints.qa):
        if end.handle is not None:
            yield from end.fs.mounted(end.handle, [name for name in names if end.kind(name) is Kind.DIRECTORY])


def _hindrances(endpoints: Endpoints, names: list[str]) -> Iterator[tuple[Path, Hindrance]]:
    fs, ends = endpoints.fs, (endpoints.spool, endpoints.qa)
    for directory in (endpoints.area, *(handle for end in ends for handle in (end.handle, end.meta_handle))):
        if directory is not None and (hindrance := fs.hindrance(directory)) is not None:
            yield directory.path, hindrance
    for end in ends:
        for name in names:
            if end.kind(name) is Kind.DIRECTORY and (hindrance := fs.hindrance(end.root, name)) is not None:
                yield end.path / name, hindrance


def _left_behind(endpoints: Endpoints, names: list[str]) -> Iterator[Path]:
    for end in (endpoints.spool, endpoints.qa):
        for one in find_left_behind(end, names):
            yield end.meta.path / one


def _weblog(
    endpoints: Endpoints,
    capability: Capability,
    directories: tuple[DirectorySurvey, ...],
    cache: CacheState,
    *,
    for_plan: bool,
) -> WeblogSurvey:
    """Find the weblog tars in the capability's weblog directory, newest first, and what looks like one.

    They are what a plan may cache; else it is of interest only whether a weblog that is cached has one.
    """
    if not for_plan and cache == NOT_CACHED:
        return _NO_WEBLOG
    page = endpoints.places.weblog / cache.page if cache.page is not None else None
    seen = WeblogSurvey(cached=cache.cached, page=page, lost=cache.lost, blocked=cache.blocked)
    weblog = capability.weblog
    one = next((one for one in directories if weblog and one.name == weblog.directory), None)
    if weblog is None or one is None or one.data_at is None or not (for_plan or cache.cached):
        return seen
    fs, end = endpoints.fs, endpoints.spool if one.spool is EntryKind.DIRECTORY else endpoints.qa
    with fs.open_directory(end.root, weblog.directory) as folder:
        names = fs.listdir(folder)
        matching = {name: fs.lstat(folder, name) for name in names if weblog.matches(name)}
    if not matching and not any(map(weblog.resembles, names)):
        return seen
    files = [(entry.modified, name) for name, entry in matching.items() if entry and entry.kind is Kind.FILE]
    tars = [name for _, name in sorted(files, reverse=True)]
    others = [f"{name} is a {entry.kind}" for name, entry in matching.items() if entry and entry.kind is not Kind.FILE]
    others += [f"{name} is no name of a weblog tar" for name in names if weblog.resembles(name)]
    return replace(seen, newest=tars[0] if tars else None, passed_over=tuple(tars[1:]), not_taken=tuple(others))


def _unexpected(endpoints: Endpoints, capability: Capability, marker: Ownership) -> tuple[str, ...]:
    """The names in the QA folder that are not Conveyor's."""
    qa = endpoints.qa
    if qa.handle is None:
        return ()
    names = {directory.name for directory in capability.directories}
    names |= {META_DIR, temporary_name(capability.marker.name)}
    if marker is Ownership.OURS:
        names.add(capability.marker.name)
    found = (name for name in qa.fs.listdir(qa.handle) if name not in names)
    return tuple(name for name in found if not endpoints.is_link_to_rest(name))
