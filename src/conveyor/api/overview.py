"""One look at a workspace: a frozen entry a request, from the file system and the histories, and from nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING

from conveyor.api.area_listings import Listing, QaFolder, list_area
from conveyor.api.look_at_all import look_at_all
from conveyor.api.operations import new_outcome, resolve_request
from conveyor.api.overview_entry import OverviewEntry, Trouble
from conveyor.api.request_look import RequestLook, Subject
from conveyor.api.request_state import entry_of, glance_at
from conveyor.capabilities.registry import Registry
from conveyor.clock import now
from conveyor.engine.context import looking_only
from conveyor.engine.host import Host
from conveyor.engine.outcome import Outcome
from conveyor.engine.survey import State
from conveyor.errors import ConfigurationError, ConveyorError, RequestMissingError
from conveyor.filesystem.snapshot import Snapshot
from conveyor.layout import METADATA
from conveyor.request.metadata import read_metadata
from conveyor.request.naming import typed_name
from conveyor.request.places import find_roots
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from conveyor.capabilities.capability import Capability
    from conveyor.filesystem.posix import FileSystem
    from conveyor.settings.sources import Config


@frozen
class Overview:
    """A workspace at a ``time`` (UTC): its areas, and an entry for each request that is Conveyor's, in order of names.

    These are the requests that a capability claims, and whatever is out, whoever delivered it. ``not_shown`` counts the
    others by their workflow. ``folders`` are the QA folders that are not of the request whose name they have.
    """

    time: str
    spool: Listing
    qa: tuple[Listing, ...]
    entries: tuple[OverviewEntry, ...]
    not_shown: Mapping[str, int] = field(default_factory=dict)
    folders: tuple[QaFolder, ...] = ()

    @property
    def unlisted(self) -> tuple[Listing, ...]:
        """The areas that could not be listed."""
        return tuple(one for one in (self.spool, *self.qa) if one.error is not None)

    @property
    def not_shown_text(self) -> str:
        """The others in words: ``not shown: 3 of other workflows (std_calibrtion 1, vlass 2)``."""
        workflows = ", ".join(f"{name} {count}" for name, count in sorted(self.not_shown.items()))
        return f"not shown: {sum(self.not_shown.values())} of other workflows ({workflows})"


def overview(
    config: Config,
    capability: str | None = None,
    *,
    host: Host | None = None,
    for_plan: bool = False,
    on_seen: Callable[[int, int], None] = lambda *_: None,
) -> Overview:
    """Look at a workspace, changing nothing.

    ``capability`` is that of all requests in spool, whatever their metadata say. ``host`` tells who is alive. ``for_plan``:
    entries have all that was seen, with what would refuse the next conveyance. ``on_seen`` is told now and then how many
    names of how many have been looked at. Raises :class:`~conveyor.errors.ConfigurationError` if no spool root is set, or it
    is not there.
    """
    time, settings, registry, fs = now(), config.values, Registry(config), looking_only()
    roots = find_roots(settings)
    spool = list_area(fs, roots.spool, needs_marker=settings.require_area_marker)
    if not spool.is_there:
        raise ConfigurationError(f"the spool root {spool.path} is not there", hint="is it mounted on this host?")
    areas, qa = _qa_areas(fs, roots.qa, registry, needs_marker=settings.require_area_marker)
    subjects = list(_subjects(spool, qa))
    make_look = partial(
        RequestLook,
        settings,
        registry,
        roots.spool,
        areas,
        capability,
        host=host,
        time=time,
        for_plan=for_plan,
        has_names=config.spool_of_names is not None,
    )
    seen = list(look_at_all(make_look, subjects, lambda count: on_seen(count, len(subjects))))
    folders = [folder for one in seen for folder in one.folders if _is_of(folder, spool)]
    entries = _with_folders({one.name: one.entry for one in seen if one.entry is not None}, folders, spool)
    return Overview(
        time,
        spool,
        qa,
        tuple(entries[name] for name in sorted(entries)),
        Counter(one.workflow for one in seen if one.workflow is not None),
        tuple(folders),
    )


def _qa_areas(
    fs: FileSystem, root: Path, registry: Registry, *, needs_marker: bool
) -> tuple[dict[Path, list[Capability]], tuple[Listing, ...]]:
    """List the QA areas of all capabilities. One that is not there has nothing."""
    try:
        registered = [one.capability for one in registry.everything() if one.capability]
    except (ConveyorError, OSError) as error:
        return {}, (Listing(root, error=ConveyorError.from_exception(error)),)
    areas = {
        root / name: [one for one in registered if one.qa_area == name]
        for name in sorted({one.qa_area for one in registered})
    }
    return areas, tuple(list_area(fs, path, needs_marker=needs_marker) for path in areas)


def _subjects(spool: Listing, qa: Sequence[Listing]) -> Iterator[Subject]:
    areas: dict[str, list[Path]] = {name: [] for name in spool.names}
    for listing in qa:
        for name in listing.names:
            areas.setdefault(name, []).append(listing.path)
    in_spool = set(spool.names)
    yield from (Subject(name, tuple(areas[name]), name in in_spool) for name in sorted(areas))


def _is_of(folder: QaFolder, spool: Listing) -> bool:
    """Tell whether a QA folder is of a request in this spool area: another workspace may have the same QA area."""
    if folder.home is None or folder.home.name in spool.names:
        return True
    above = folder.home.parent
    try:
        return above == spool.path.resolve() or not above.is_dir()
    except (OSError, RuntimeError):  # it cannot be told: rather shown than not
        return True


def _with_folders(
    entries: dict[str, OverviewEntry], folders: Iterable[QaFolder], spool: Listing
) -> dict[str, OverviewEntry]:
    """Add what QA folders tell that have another name than their request, or whose request is gone."""
    for folder in folders:
        name = folder.home.name if folder.home is not None else folder.path.name
        entry = entries.get(name)
        if entry is None:
            entries[name] = _without_request(name, folder, spool)
        elif folder.is_renamed and entry.trouble in (Trouble.DANGLING, Trouble.NEEDS_PERSON):
            entries[name] = _renamed(entry, folder)
    return entries


def _without_request(name: str, folder: QaFolder, spool: Listing) -> OverviewEntry:
    """Return the entry of a QA folder whose request is gone, or is not known to be there."""
    unknown = folder.error or spool.error
    error = unknown or RequestMissingError(
        f"the QA folder {folder.path} is of a request that is gone: there is no {folder.home or spool.path / name}",
        hint="it may hold the only copy of the data: look at it, and ask who removed the request",
    )
    return OverviewEntry(
        name,
        str(spool.path / name / METADATA),
        qa=str(folder.path),
        capability=folder.capability,
        trouble=Trouble.UNREADABLE if unknown is not None else Trouble.ORPHANED,
        detail=error.message,
        since=folder.delivered,
        delivered=folder.delivered,
        next_command=("ls", "-la", str(folder.path)),
        error=error,
    )


def _renamed(entry: OverviewEntry, folder: QaFolder) -> OverviewEntry:
    if entry.qa is None or any(state is State.IN_QA for state in entry.directories.values()):
        return entry  # a copy that stands beside its original
    detail = f"its QA folder was renamed: it is {folder.path} now"
    command = ("mv", str(folder.path), entry.qa)
    return replace(entry, trouble=Trouble.RENAMED, detail=detail, next_command=command)


def look_at(path: Path, capability: str | None, config: Config, spool: Path | None = None) -> OverviewEntry:
    """Look at the request of one metadata file, wherever that is. What goes wrong is in the entry.

    ``spool`` is the spool area whose requests have names; None: that of the settings.
    """
    fs, entry = Snapshot(), OverviewEntry(str(path), str(path))
    try:
        metadata = read_metadata(path)
        request = resolve_request(metadata, capability, config)
        places, chosen = request.places, request.capability
        entry = replace(entry, name=places.request, spool=str(places.spool), capability=chosen.name)
        lifetime, named = request.cache_lifetime, typed_name(path, spool or config.spool_of_names)
        glance = glance_at(fs, places, chosen, Host(), for_plan=False, cache_lifetime=lifetime)
        return replace(entry_of(glance, chosen, metadata, None, named=named), metadata=str(path))
    except Exception as failure:  # noqa: BLE001 - one request's bug must not stop the others
        error = ConveyorError.from_exception(failure)
        return replace(entry, trouble=Trouble.UNREADABLE, detail=error.message, error=error)
    finally:
        fs.close()


def outcome_of(entry: OverviewEntry) -> Outcome:
    """Return an entry as the outcome of a status."""
    is_known = entry.state is not None
    return Outcome(
        "status",
        entry.metadata,
        request=entry.name if entry.spool is not None or entry.qa is not None else None,
        capability=entry.capability,
        state=entry.state,
        directories=entry.directories,
        warnings=entry.warnings,
        spool=entry.spool if is_known else None,
        qa=entry.qa if is_known else None,
        weblog=entry.weblog,
        weblog_page=entry.weblog_page,
        verdict="qa-fail" if entry.qa_failed else None,
        progress=entry.progress,
        error=entry.error,
    )


def outcomes_of(found: Overview) -> Iterator[Outcome]:
    """Return an overview as the outcomes of a status: what could not be listed or looked at is one with its error."""
    yield from (new_outcome("status", one.path, one.error) for one in found.unlisted)
    yield from map(outcome_of, found.entries)


def failures_of(found: Overview) -> list[Outcome]:
    """Return the outcomes that have an error: what the exit status of a status follows from."""
    return list(outcomes_of(replace(found, entries=tuple(one for one in found.entries if one.error is not None))))
