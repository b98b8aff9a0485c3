"""Look: where each directory of a request is now, read from the file system and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.engine.ends import INNER, READY, VERDICT, bridge_text
from conveyor.engine.progress import progress_is_left
from conveyor.engine.receipt import is_receipt_of
from conveyor.engine.remains import REMAINS, CopySurvey, find_pair, strangers
from conveyor.filesystem.port import Kind, temporary_name
from conveyor.weblog.cache import survey_cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.capabilities.strategy import Capability, Directory
    from conveyor.engine.ends import End, Ends
    from conveyor.request.places import Places

#: What a crash may leave of the receipt, beside the directories in the QA folder, and of the verdict, in ``.conveyor``.
READY_UNFINISHED = temporary_name(READY)
VERDICT_UNFINISHED = temporary_name(VERDICT)


class Seen(StrEnum):
    """What stands at one end under a directory's name."""

    NOTHING = "nothing"
    DIRECTORY = "directory"
    LINK = "link"  # a link of ours that leads to the other end
    BRIDGE = "bridge"  # the same for the time of a conveyance: it leads to the data from both ends
    STRAY_LINK = "stray link"
    OTHER = "other"


class State(StrEnum):
    """Where a directory, or a whole request, is."""

    IN_SPOOL = "in-spool"
    IN_QA = "in-qa"
    IN_TRANSIT = "in-transit"
    MISSING = "missing"
    BROKEN = "broken"


class Mark(StrEnum):
    """Whose an end's folder is, by its ``.conveyor/peer``."""

    NONE = "none"
    OURS = "ours"
    STRAY = "stray"


@dataclass(frozen=True)
class DirectorySurvey:
    """One directory, seen at both ends, and what an interrupted run left of it in ``.conveyor``: above all a copy.

    ``strangers`` are in ``.conveyor`` too, and somebody else's.
    """

    name: str
    required: bool
    spool: Seen
    qa: Seen
    qa_is_ours: bool
    movable: bool = True
    copy: CopySurvey | None = None
    remains: bool = False
    strangers: tuple[Path, ...] = ()
    link_to: str | None = None

    @property
    def data_at(self) -> str | None:
        """The end that has the data: ``spool``, ``qa``, or None where it is at neither or cannot be told.

        Of a copy and its source it is the one that somebody may have written to; else the copy.
        """
        match self.spool, self.qa:
            case Seen.DIRECTORY, Seen.DIRECTORY if self.copy is None or self.copy.torn:
                return None
            case Seen.DIRECTORY, Seen.DIRECTORY if self.copy:
                return "spool" if (self.copy.at == "spool") != self.copy.source_changed else "qa"
            case Seen.DIRECTORY, _:
                return "spool"
            case Seen.LINK | Seen.BRIDGE, Seen.DIRECTORY:
                return "qa"
            case Seen.NOTHING, Seen.DIRECTORY if self.qa_is_ours:
                return "qa"
        return None

    @property
    def state(self) -> State:
        if self.strangers:
            return State.BROKEN
        match self.spool, self.qa:
            case Seen.DIRECTORY, Seen.DIRECTORY:
                return State.IN_TRANSIT if self.copy and not self.copy.torn else State.BROKEN
            case Seen.DIRECTORY, Seen.BRIDGE:
                return State.IN_TRANSIT
            case Seen.DIRECTORY, _:
                return State.IN_SPOOL
            case Seen.LINK, Seen.DIRECTORY:
                return State.IN_QA
            case Seen.BRIDGE, Seen.DIRECTORY:
                return State.IN_TRANSIT
            case Seen.NOTHING, Seen.DIRECTORY if self.qa_is_ours:
                return State.IN_TRANSIT
            case Seen.NOTHING, Seen.BRIDGE:
                return State.BROKEN
            case Seen.NOTHING, _:
                return State.MISSING
        return State.BROKEN


@dataclass(frozen=True)
class Survey:
    """All that a plan is made from."""

    places: Places
    directories: tuple[DirectorySurvey, ...]
    area_found: bool
    area_writable: bool
    qa_kind: Kind | None
    qa_writable: bool
    qa_mark: Mark
    spool_mark: Mark
    spool_writable: bool
    inner_blocked: Path | None
    ready: bool
    ready_is_ours: bool
    verdict: bool
    weblog: str | None
    weblogs_passed_over: tuple[str, ...]
    weblog_cached: bool
    weblog_blocked: bool
    remains: bool
    left_over: tuple[str, ...]
    mounted: tuple[Path, ...] = ()

    @property
    def state(self) -> State:
        """Where the request is as a whole. A required directory that is at neither end makes it ``broken``."""
        states = {directory.state for directory in self.directories}
        lost = any(one.state is State.MISSING and one.required for one in self.directories)
        if State.BROKEN in states or lost or Mark.STRAY in (self.qa_mark, self.spool_mark):
            return State.BROKEN
        states.discard(State.MISSING)
        if states == {State.IN_QA} and self.ready_is_ours and not self.remains:
            return State.IN_QA
        if states <= {State.IN_SPOOL} and not self.ready_is_ours and not self.under_way:
            return State.IN_SPOOL
        return State.IN_TRANSIT

    @property
    def under_way(self) -> bool:
        """Whether Conveyor's own links and folders stand at either end, as they do from a delivery to the way home."""
        return self.remains or Mark.OURS in (self.qa_mark, self.spool_mark)


def survey(ends: Ends, capability: Capability) -> Survey:
    """Read the state of a request at both ends, changing nothing. Raises :class:`OSError` where it cannot be read."""
    ends.open_qa()
    places, fs, qa = ends.places, ends.fs, ends.qa
    qa_mark, spool_mark = _mark(qa, ends.spool.path), _mark(ends.spool, qa.path)
    ready = qa.kind(READY) is not None
    ready_is_ours = ready and is_receipt_of(fs, qa, places)
    ours = qa_mark is Mark.OURS or ready_is_ours
    directories = tuple(_directory(ends, one, ours=ours) for one in capability.directories)
    weblogs = _weblogs(ends, capability, directories)
    cache = survey_cache(fs, places)
    area_entry = fs.look(ends.area, places.request) if ends.area else None
    return Survey(
        places=places,
        directories=directories,
        area_found=ends.area is not None,
        area_writable=ends.area is not None and fs.writable(ends.area),
        qa_kind=area_entry.kind if area_entry else None,
        qa_writable=qa.folder is None or fs.writable(qa.folder),
        qa_mark=qa_mark,
        spool_mark=spool_mark,
        spool_writable=fs.writable(ends.spool.here),
        inner_blocked=_blocked(ends),
        ready=ready,
        ready_is_ours=ready_is_ours,
        verdict=ends.spool.inner_kind(VERDICT) is not None,
        weblog=weblogs[0] if weblogs else None,
        weblogs_passed_over=tuple(weblogs[1:]),
        weblog_cached=cache.cached,
        weblog_blocked=cache.blocked,
        remains=cache.left
        or qa.kind(READY_UNFINISHED) is not None
        or ends.spool.inner_kind(VERDICT_UNFINISHED) is not None
        or progress_is_left(ends.spool)
        or any(one.remains for one in directories),
        left_over=_left_over(qa, capability, ready_is_ours=ready_is_ours),
        mounted=tuple(_mounted(ends, [INNER, *(one.name for one in capability.directories)])),
    )


def _directory(ends: Ends, directory: Directory, *, ours: bool) -> DirectorySurvey:
    name = directory.name
    spool, qa = _seen(ends, ends.spool, name), _seen(ends, ends.qa, name)
    home = ends.spool if spool is Seen.DIRECTORY else ends.qa
    pair = find_pair(ends, name)
    is_link = ends.spool.kind(name) is Kind.LINK
    remains = any(end.inner_kind(name + ending) for end in (ends.spool, ends.qa) for ending in REMAINS)
    return DirectorySurvey(
        name=name,
        required=directory.required,
        spool=spool,
        qa=qa,
        qa_is_ours=ours,
        # Moving a directory to another parent changes its '..' entry, so the kernel wants it writable.
        movable=home.kind(name) is not Kind.DIRECTORY or ends.fs.writable(home.here, name),
        copy=pair.survey() if pair else None,
        remains=remains,
        strangers=strangers(ends, name) if remains else (),
        link_to=ends.fs.read_link(ends.spool.here, name) if is_link else None,
    )


def _seen(ends: Ends, end: End, name: str) -> Seen:
    kind = end.kind(name)
    if kind is None:
        return Seen.NOTHING
    if kind is Kind.DIRECTORY:
        return Seen.DIRECTORY
    if kind is not Kind.LINK:
        return Seen.OTHER
    text = ends.fs.read_link(end.here, name)
    if text == bridge_text(name):
        return Seen.BRIDGE
    if ends.is_plain_link(end, name, text):
        return Seen.LINK
    return Seen.STRAY_LINK


def _mark(end: End, other: Path) -> Mark:
    match end.peer_leads_to(other):
        case None:
            return Mark.NONE
        case True:
            return Mark.OURS
    return Mark.STRAY


def _blocked(ends: Ends) -> Path | None:
    """A ``.conveyor`` that is no folder (somebody's link, a file)."""
    for end in (ends.spool, ends.qa):
        if end.kind(INNER) not in (None, Kind.DIRECTORY):
            return end.path / INNER
    return None


def _mounted(ends: Ends, names: list[str]) -> Iterator[Path]:
    """Where file systems are mounted in what Conveyor moves, copies or removes."""
    for end in (ends.spool, ends.qa):
        if end.folder is not None:
            yield from end.fs.mounted(end.folder, [name for name in names if end.kind(name) is Kind.DIRECTORY])


def _weblogs(ends: Ends, capability: Capability, directories: tuple[DirectorySurvey, ...]) -> list[str]:
    """The weblog tars in the capability's weblog directory, newest first."""
    weblog = capability.weblog
    one = next((one for one in directories if weblog and one.name == weblog.directory), None)
    if weblog is None or one is None or one.data_at is None:
        return []
    end = ends.spool if one.spool is Seen.DIRECTORY else ends.qa
    with ends.fs.open_folder(end.here, weblog.directory) as folder:
        found = [(name, ends.fs.look(folder, name)) for name in ends.fs.names(folder) if weblog.matches(name)]
    files = [(entry.modified, name) for name, entry in found if entry and entry.kind is Kind.FILE]
    return [name for _, name in sorted(files, reverse=True)]


def _left_over(qa: End, capability: Capability, *, ready_is_ours: bool) -> tuple[str, ...]:
    """What stands in the QA folder and is not ours."""
    if qa.folder is None:
        return ()
    names = {directory.name for directory in capability.directories} | {INNER, READY_UNFINISHED}
    if ready_is_ours:
        names.add(READY)
    return tuple(name for name in qa.fs.names(qa.folder) if name not in names)
