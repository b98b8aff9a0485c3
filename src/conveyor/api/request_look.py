"""A look at one name of the areas: the request and the QA folder that have it, and what an overview says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conveyor.api.area_listings import QaFolder, look_into_qa_folder
from conveyor.api.choice import of_workflow
from conveyor.api.operations import has_no_capability
from conveyor.api.overview_entry import OverviewEntry, Trouble
from conveyor.api.request_state import entry_of, glance_at
from conveyor.engine.endpoints import read_peer
from conveyor.engine.event_log import last_attempt
from conveyor.engine.host import Host
from conveyor.errors import CapabilityUnknownError, ConveyorError, MetadataMissingError
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.snapshot import Snapshot
from conveyor.layout import META_DIR, METADATA
from conveyor.request.metadata import Metadata, read_own_metadata
from conveyor.request.naming import is_name
from conveyor.request.places import Locator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from conveyor.capabilities.capability import Capability
    from conveyor.capabilities.registry import Registry
    from conveyor.filesystem.posix import DirFd
    from conveyor.settings.model import Settings

_NO_WORKFLOW = "no workflow"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen under one name: an entry; or the ``workflow`` of a request that is nothing of Conveyor's.

    ``folders`` are the QA folders of that name that are of another request, or of none that is in spool.
    """

    name: str
    entry: OverviewEntry | None = None
    workflow: str | None = None
    folders: tuple[QaFolder, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """A name to look at: the QA areas that have a directory of it, and whether the spool area has one."""

    name: str
    areas: tuple[Path, ...]
    in_spool: bool


class RequestLook:
    """Looks at one name after the other. ``areas`` are the QA areas with their capabilities.

    ``time`` (UTC) is that of the overview. ``for_plan``: an entry says too what would refuse the next conveyance.
    ``has_names``: commands take a request's name.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        spool: Path,
        areas: Mapping[Path, Sequence[Capability]],
        capability: str | None = None,
        *,
        host: Host | None = None,
        time: str | None = None,
        for_plan: bool = False,
        has_names: bool = False,
    ) -> None:
        self._locator = Locator(settings)
        self._registry = registry
        self._spool = spool
        self._areas = areas
        self._capability = capability
        self._for_plan = for_plan
        self._has_names = has_names
        self._time = time
        self._cache_lifetime = settings.cache_lifetime
        self._fs = Snapshot()
        self._host = host or Host()
        self._known: dict[tuple[str | None, str | None], Capability | ConveyorError] = {}

    def close(self) -> None:
        """Close the areas."""
        self._fs.close()

    def at(self, subject: Subject) -> Seen:
        """Look at what has a name. Whatever goes wrong is in the entry."""
        try:
            return self._at(subject)
        except Exception as failure:  # noqa: BLE001 - a bug that one request meets must not hide the others
            return Seen(subject.name, self._unreadable(subject.name, ConveyorError.from_exception(failure)))
        finally:
            self._fs.renew()

    def _at(self, subject: Subject) -> Seen:
        found = [self._folder(area, subject.name) for area in subject.areas]
        folders = tuple(one for one in found if one is not None)
        if not subject.in_spool:
            return Seen(subject.name, folders=folders)
        own = next((one for one in folders if not one.is_renamed), None)
        entry, workflow = self._request(subject.name, own)
        return Seen(subject.name, entry, workflow, tuple(one for one in folders if one is not own))

    def _folder(self, area: Path, name: str) -> QaFolder | None:
        try:
            with self._fs.open_root(area) as opened:
                return look_into_qa_folder(self._fs, opened, name, self._areas[area])
        except (ConveyorError, OSError) as error:
            return QaFolder(area / name, error=ConveyorError.from_exception(error))

    def _request(self, name: str, own: QaFolder | None) -> tuple[OverviewEntry | None, str | None]:
        """Return the entry of a request in spool, or the workflow of one that is nothing of Conveyor's."""
        directory = self._fs.open_directory(self._fs.open_root(self._spool), name)
        problem = own.error if own is not None else None
        try:
            metadata = read_own_metadata(self._fs, directory)
        except MetadataMissingError:
            if own is None and not self._is_out(directory):
                return None, None
            metadata = Metadata(destinationDirectory=directory.path)
            problem = problem or _lost_error(directory.path / METADATA)
        capability = self._choose(metadata, own, directory)
        if isinstance(capability, ConveyorError):
            if has_no_capability(capability) and own is None and not self._is_out(directory):
                return None, metadata.workflowName or _NO_WORKFLOW
            return self._unreadable(name, problem or capability, metadata), None
        try:
            is_there = metadata.destinationDirectory == directory.path  # which is open
            places = self._locator.locate(metadata, capability.qa_area, is_there=is_there)
        except ConveyorError as error:
            return self._unreadable(name, problem or error, metadata), None
        try:
            glance = glance_at(
                self._fs,
                places,
                capability,
                self._host,
                for_plan=self._for_plan,
                cache_lifetime=self._cache_lifetime,
            )
        except (ConveyorError, OSError) as failure:
            unreadable = self._unreadable(name, ConveyorError.from_exception(failure), metadata)
            return replace(unreadable, capability=capability.name, qa=str(places.qa)), None
        named = name if self._has_names and is_name(name) else None
        entry = entry_of(glance, capability, metadata, problem, for_plan=self._for_plan, named=named, time=self._time)
        return entry, None

    def _choose(self, metadata: Metadata, own: QaFolder | None, directory: DirFd) -> Capability | ConveyorError:
        """Return the capability that is named, else the one that the request is out with, else the one of its workflow."""
        named = self._capability or (own.capability if own is not None else None)
        if named is None and self._is_out(directory):
            last = last_attempt(self._fs, self._fs.open_directory(directory, META_DIR))
            named = last.capability if last is not None else None
        key = named, metadata.workflowName
        if key not in self._known:
            try:
                self._known[key] = self._find(named, metadata)
            except ConveyorError as error:
                self._known[key] = error
        return self._known[key]

    def _find(self, named: str | None, metadata: Metadata) -> Capability:
        if named is not None:
            try:
                return self._registry.find(named)
            except CapabilityUnknownError:  # it had another name when the request was delivered
                if self._capability is not None:
                    raise
        return of_workflow(metadata, self._registry)

    def _is_out(self, directory: DirFd) -> bool:
        """Tell whether a request is out by its directory in spool."""
        if self._fs.kind(directory, META_DIR) is not Kind.DIRECTORY:
            return False
        return read_peer(self._fs, self._fs.open_directory(directory, META_DIR)) is not None

    def _unreadable(self, name: str, error: ConveyorError, metadata: Metadata | None = None) -> OverviewEntry:
        path = self._spool / name
        return OverviewEntry(
            name,
            str(path / METADATA),
            spool=str(path),
            project=metadata.project_code if metadata else None,
            workflow=metadata.workflowName if metadata else None,
            trouble=Trouble.UNREADABLE,
            detail=error.message,
            error=error,
        )


def _lost_error(path: Path) -> MetadataMissingError:
    return MetadataMissingError(
        f"{path.parent.name} is out, and its metadata file {path} is gone",
        hint="put the file back, or write one with its destinationDirectory, wherever you like, and name that with -c",
    )
