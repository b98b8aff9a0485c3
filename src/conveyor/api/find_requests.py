"""The requests of a workspace: what is in the spool area and in each QA area, listed once, each entry failing for itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.api.operations import has_no_capability, resolve_request
from conveyor.capabilities.marker import MARKER_LIMIT, read_receipt
from conveyor.capabilities.registry import Registry
from conveyor.engine.area_marker import is_marked, unmarked_error
from conveyor.engine.context import looking_only
from conveyor.engine.endpoints import Endpoint, Location, peer_of
from conveyor.errors import (
    ConfigurationError,
    ConveyorError,
    MetadataMissingError,
    RequestMissingError,
)
from conveyor.filesystem.posix import Kind
from conveyor.layout import METADATA
from conveyor.request.metadata import Metadata, read_metadata
from conveyor.request.places import find_roots

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from conveyor.capabilities.capability import Capability
    from conveyor.engine.context import Request
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.settings.sources import Config

#: What mke2fs makes in the root of a file system, for e2fsck alone: mklost+found(8).
_NO_REQUEST = frozenset({"lost+found"})
_NO_WORKFLOW = "no workflow"


@dataclass(frozen=True)
class Listing:
    """The directories in one area; ``error`` says why they are not known. One that is not there has none."""

    path: Path
    names: tuple[str, ...] = ()
    error: ConveyorError | None = None
    is_there: bool = True


@dataclass(frozen=True)
class QaFolder:
    """A directory in a QA area that Conveyor made, or that cannot be looked at (``error``).

    ``home`` is the request's directory in spool, ``capability`` the one that it was delivered with, ``delivered`` when
    (UTC); each None if nothing in the folder tells.
    """

    path: Path
    home: Path | None = None
    capability: str | None = None
    delivered: str | None = None
    error: ConveyorError | None = None

    @property
    def is_renamed(self) -> bool:
        """Tell whether it has not the name of its request any more."""
        return self.home is not None and self.home.name != self.path.name


@dataclass(frozen=True)
class FoundRequest:
    """One request: ``request`` is None if nothing leads to it, and ``error`` says what is wrong with it."""

    name: str
    metadata: Path
    request: Request | None = None
    error: ConveyorError | None = None


@dataclass(frozen=True)
class FoundRequests:
    """The areas, and the requests that are Conveyor's.

    These are the requests that a capability claims, and whatever is out, whoever delivered it. ``not_shown`` counts the
    others by their workflow: most requests in spool have nothing to do with QA.
    """

    spool: Listing
    qa: tuple[Listing, ...]
    folders: tuple[QaFolder, ...]
    requests: tuple[FoundRequest, ...]
    not_shown: Mapping[str, int] = field(default_factory=dict)

    @property
    def unlisted(self) -> tuple[Listing, ...]:
        """The areas that could not be listed."""
        return tuple(one for one in (self.spool, *self.qa) if one.error is not None)

    @property
    def not_shown_text(self) -> str:
        """The others in words: ``not shown: 3 of other workflows (std_calibrtion 1, vlass 2)``."""
        workflows = ", ".join(f"{name} {count}" for name, count in sorted(self.not_shown.items()))
        return f"not shown: {sum(self.not_shown.values())} of other workflows ({workflows})"


def find_requests(config: Config, capability: str | None = None, fs: FileSystem | None = None) -> FoundRequests:
    """List the areas of a workspace, and find the requests in them.

    ``capability`` is that of all requests in spool, whatever their metadata say. Raises
    :class:`~conveyor.errors.ConfigurationError` if no spool root is set, or it is not there.
    """
    fs, roots, registry = fs or looking_only(), find_roots(config.values), Registry(config)
    needs_marker = config.values.require_area_marker
    spool = list_area(fs, roots.spool, needs_marker=needs_marker)
    if not spool.is_there:
        raise ConfigurationError(f"the spool root {spool.path} is not there", hint="is it mounted on this host?")
    areas, folders = _qa_areas(fs, roots.qa, registry, needs_marker=needs_marker)
    finder = _Finder(config, registry, capability, fs)
    out = _by_request(folder for folder in folders if _is_of(folder, spool))
    names = sorted({*spool.names, *out})
    requests = [found for name in names if (found := finder.find(spool.path / name / METADATA, out.get(name)))]
    return FoundRequests(spool, tuple(areas), tuple(folders), tuple(requests), finder.not_shown)


def list_area(fs: FileSystem, path: Path, *, needs_marker: bool = False) -> Listing:
    """List the directories in an area that may be requests or QA folders; hidden ones are neither."""
    try:
        with fs.open_root(path) as area:
            names = fs.list_directories(area)
            if needs_marker and not is_marked(fs, area):
                return Listing(path, error=unmarked_error(path))
    except FileNotFoundError:
        return Listing(path, is_there=False)
    except OSError as error:
        return Listing(path, error=ConveyorError.from_os_error(error))
    return Listing(path, tuple(one for one in names if not one.startswith(".") and one not in _NO_REQUEST))


def qa_folders(fs: FileSystem, listing: Listing, capabilities: Sequence[Capability]) -> Iterator[QaFolder]:
    """Look into each directory of a QA area to which these capabilities deliver; what others made there is passed over.

    Raises :class:`OSError` if the area cannot be opened.
    """
    if not listing.names:
        return
    with fs.open_root(listing.path) as area:
        for name in listing.names:
            try:
                folder = _qa_folder(fs, area, name, capabilities)
            except OSError as error:
                folder = QaFolder(listing.path / name, error=ConveyorError.from_os_error(error))
            if folder is not None:
                yield folder


@dataclass
class _Finder:
    """What finds the requests: the registry is made once for all of them, and ``not_shown`` counts what is left out."""

    config: Config
    registry: Registry
    capability: str | None
    fs: FileSystem
    not_shown: Counter[str] = field(default_factory=Counter)

    def find(self, metadata: Path, folder: QaFolder | None) -> FoundRequest | None:
        """Find the request of a metadata file in spool; None if it is nothing of Conveyor's, whose workflow is counted."""
        try:
            return self._found(metadata, folder)
        except Exception as failure:  # noqa: BLE001 - a bug that one request meets must not hide the others
            return FoundRequest(metadata.parent.name, metadata, None, ConveyorError.from_exception(failure))

    def _found(self, path: Path, folder: QaFolder | None) -> FoundRequest | None:
        name, problem = path.parent.name, folder.error if folder else None
        try:
            metadata = read_metadata(path)
        except MetadataMissingError:
            if not self._is_out(path.parent, folder):
                return None
            metadata, problem = Metadata(destinationDirectory=path.parent), problem or _lost_error(path)
        delivered_with = folder.capability if folder else None
        try:
            request = resolve_request(metadata, self.capability or delivered_with, self.config, self.registry)
        except RequestMissingError as error:
            return FoundRequest(name, path, None, _gone_error(folder, path.parent) if folder else error)
        except ConveyorError as error:
            if has_no_capability(error) and not self._is_out(path.parent, folder):
                self.not_shown[metadata.workflowName or _NO_WORKFLOW] += 1
                return None
            return FoundRequest(name, path, None, problem or error)
        return FoundRequest(name, path, request, problem)

    def _is_out(self, directory: Path, folder: QaFolder | None) -> bool:
        """Tell whether a request is out, by its QA folder or by its directory in spool."""
        if folder is not None:
            return True
        with self.fs.open_root(directory.parent) as area:
            return peer_of(self.fs, area, directory.name) is not None


def _qa_areas(
    fs: FileSystem, root: Path, registry: Registry, *, needs_marker: bool
) -> tuple[list[Listing], list[QaFolder]]:
    """List the QA areas of all capabilities, and look into each directory there. One that is not there has nothing."""
    try:
        registered = [one.capability for one in registry.everything() if one.capability]
    except (ConveyorError, OSError) as error:
        return [Listing(root, error=ConveyorError.from_exception(error))], []
    areas: list[Listing] = []
    folders: list[QaFolder] = []
    for name in sorted({one.qa_area for one in registered}):
        listing = list_area(fs, root / name, needs_marker=needs_marker)
        try:
            folders += qa_folders(fs, listing, [one for one in registered if one.qa_area == name])
        except OSError as error:
            listing = replace(listing, error=ConveyorError.from_os_error(error))
        areas.append(listing)
    return areas, folders


def _qa_folder(fs: FileSystem, area: DirFd, name: str, capabilities: Sequence[Capability]) -> QaFolder | None:
    end = Endpoint(Location.QA, area.path / name, fs, fs.open_directory(area, name))
    try:
        end.open_meta()
        home = end.peer()
        by_marker = _by_marker(end, home.name if home else name, capabilities)
    finally:
        end.close()
    if by_marker is None:
        return QaFolder(end.path, home) if home else None
    return replace(by_marker, home=home or by_marker.home)


def _by_marker(end: Endpoint, request: str, capabilities: Sequence[Capability]) -> QaFolder | None:
    """What the marker in a QA folder says; None if there is none of the request's."""
    for one in capabilities:
        if end.kind(one.marker.name) is not Kind.FILE:
            continue
        content = end.fs.read(end.root, one.marker.name, limit=MARKER_LIMIT)
        if one.marker.is_ours(content, request):
            receipt = read_receipt(content)
            if receipt is None:  # a marker of the capability's own
                return QaFolder(end.path, None, one.name)
            return QaFolder(end.path, Path(receipt["spool"]), receipt["capability"], receipt["delivered"])
    return None


def _by_request(folders: Iterable[QaFolder]) -> dict[str, QaFolder]:
    """The QA folder of each request; one that somebody renamed is its request's if there is no other."""
    found: dict[str, QaFolder] = {}
    for folder in folders:
        if not folder.is_renamed:
            found[folder.path.name] = folder
        elif folder.home is not None:
            found.setdefault(folder.home.name, folder)
    return found


def _is_of(folder: QaFolder, spool: Listing) -> bool:
    """Tell whether a QA folder is of a request in this spool area: another workspace may have the same QA area."""
    if folder.home is None or folder.home.name in spool.names:
        return True
    above = folder.home.parent
    try:
        return above == spool.path.resolve() or not above.is_dir()
    except (OSError, RuntimeError):  # it cannot be told: rather shown than not
        return True


def _gone_error(folder: QaFolder, spool: Path) -> ConveyorError:
    return folder.error or RequestMissingError(
        f"the QA folder {folder.path} is of a request that is gone: there is no {folder.home or spool}",
        hint="it may hold the only copy of the data: look at it, and ask who removed the request",
    )


def _lost_error(path: Path) -> MetadataMissingError:
    return MetadataMissingError(
        f"{path.parent.name} is out, and its metadata file {path} is gone",
        hint="put the file back, or write one with its destinationDirectory, wherever you like, and name that with -c",
    )
