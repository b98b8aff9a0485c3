"""The workspace as the doctor finds it: the areas, held open, and the requests."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.api.area_listings import QaFolder, list_area, qa_folders
from conveyor.api.operations import resolve_request
from conveyor.api.overview import Overview, overview
from conveyor.api.request_state import Glance, glance_at
from conveyor.capabilities.registry import Registry
from conveyor.engine.context import Environment
from conveyor.engine.survey import Ownership
from conveyor.errors import ConveyorError
from conveyor.filesystem.mounts import mount_of, mounts
from conveyor.request.metadata import read_metadata
from conveyor.request.places import Roots, find_roots
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.filesystem.mounts import Mount
    from conveyor.filesystem.posix import DirFd, Entry, FileSystem
    from conveyor.settings.sources import Config

SPOOL, QA, CACHE = "spool area", "QA area", "weblog cache"


@frozen
class Options:
    """Options of one run: ``flags`` are those that the advised commands need too, ``mount_table`` says what is mounted."""

    config: Config
    environment: Environment = field(default_factory=Environment)
    metadata: Sequence[Path] = ()
    capability: str | None = None
    probe: bool = True
    flags: Sequence[str] = ()
    mount_table: Callable[[], list[Mount]] = mounts


@frozen
class Area:
    """One root: ``handle`` and ``entry`` are None if it could not be opened and searched, and ``failure`` says why.

    ``label`` is its name, or its path if two areas have one name. ``needed`` is true if one of the requests that are
    checked goes there. If the weblog cache is still to be made, ``stands_for`` is its path, and the area is the directory
    that it will be made in. ``mount`` is the mount that the area is on; None if the kernel does not tell.
    """

    kind: str
    path: Path
    handle: DirFd | None
    entry: Entry | None
    failure: OSError | None
    needed: bool = True
    stands_for: Path | None = None
    label: str = ""
    mount: Mount | None = None


@frozen
class RequestUnderTest:
    """One request that is checked: what was seen of it, or the ``error`` that kept it from being looked at.

    ``spool`` and ``qa`` are its places, and ``capability`` its capability's name, as far as they are known. ``is_listed`` is
    true if it was found by a listing, and not named.
    """

    metadata: Path
    glance: Glance | None = None
    spool: Path | None = None
    qa: Path | None = None
    capability: str | None = None
    error: ConveyorError | None = None
    is_listed: bool = False

    @property
    def name(self) -> str:
        """The request's name and capability, or the path of its metadata file."""
        return f"{self.qa.name} ({self.capability})" if self.qa is not None and self.capability else str(self.metadata)

    @property
    def is_out(self) -> bool:
        """Tell whether the request says in spool that it is in QA; False if that cannot be told."""
        return self.glance is not None and self.glance.survey.spool.ownership is not Ownership.NONE

    @property
    def has_qa_folder(self) -> bool:
        """Tell whether there is a QA folder of the request's name."""
        return self.glance is not None and self.glance.survey.qa.kind is not None


@frozen
class Workspace:
    """What is there when the doctor comes. ``mounted`` was read after the areas were opened, which may mount them.

    ``listed`` is what was found where no request is named; None if some are, or if the spool area is not there.
    ``folders`` are the QA folders in the areas.
    """

    options: Options
    areas: tuple[Area, ...]
    requests: tuple[RequestUnderTest, ...]
    mounted: tuple[Mount, ...]
    listed: Overview | None = None
    folders: tuple[QaFolder, ...] = ()

    @property
    def environment(self) -> Environment:
        return self.options.environment

    def requests_of(self, area: Area) -> list[RequestUnderTest]:
        """The requests that go to a QA area."""
        return [one for one in self.requests if one.qa is not None and one.qa.parent == area.path]


@contextlib.contextmanager
def open_workspace(options: Options) -> Iterator[Workspace]:
    """Open the areas and find the requests.

    Raises :class:`~conveyor.errors.ConfigurationError` if neither metadata files nor a spool root are given.
    """
    roots = list(_roots(options))
    listed = None if options.metadata else _listed(options)
    requests = tuple(_requests(options, listed))
    with ExitStack() as opened:
        areas = [area for one in roots for area in _areas(options, one, requests, opened)]
        mounted = tuple(options.mount_table())
        folders = listed.folders if listed is not None else tuple(_qa_folders(options, areas))
        yield Workspace(options, tuple(_placed(areas, mounted)), requests, mounted, listed, folders)


def _qa_folders(options: Options, areas: Sequence[Area]) -> Iterator[QaFolder]:
    fs = options.environment.fs
    try:
        capabilities = [one.capability for one in Registry(options.config).everything() if one.capability]
    except ConveyorError:  # what is wrong is told with the capabilities
        return
    for area in areas:
        if area.kind == QA and area.handle is not None:
            here = [one for one in capabilities if one.qa_area == area.path.name]
            with contextlib.suppress(OSError):  # it could be opened a moment ago: the checks of the area say more
                yield from qa_folders(fs, list_area(fs, area.path), here)


def _roots(options: Options) -> Iterator[Roots]:
    settings = options.config.values
    if settings.spool_root is not None or not options.metadata:
        yield find_roots(settings)
        return
    found: dict[Roots, None] = {}
    for path in options.metadata:
        with contextlib.suppress(ConveyorError):  # what is wrong with it is told with the request
            found[find_roots(settings, read_metadata(path).destinationDirectory)] = None
    yield from found


def _listed(options: Options) -> Overview | None:
    try:
        return overview(options.config, options.capability, host=options.environment.host, for_plan=True)
    except ConveyorError:  # what is wrong with the spool area is told with the area
        return None


def _requests(options: Options, listed: Overview | None) -> Iterator[RequestUnderTest]:
    yield from (_listed_request(one) for one in (listed.entries if listed is not None else ()))
    yield from (_request(options, path) for path in options.metadata)


def _listed_request(entry: OverviewEntry) -> RequestUnderTest:
    spool, qa = (Path(path) if path is not None else None for path in (entry.spool, entry.qa))
    return RequestUnderTest(
        Path(entry.metadata), entry.glance, spool, qa, entry.capability, entry.error, is_listed=True
    )


def _request(options: Options, path: Path) -> RequestUnderTest:
    environment, under_test = options.environment, RequestUnderTest(path.absolute())
    try:
        request = resolve_request(path, options.capability, options.config)
        places, capability = request.places, request.capability
        under_test = replace(under_test, spool=places.spool, qa=places.qa, capability=capability.name)
        lifetime = request.cache_lifetime
        glance = glance_at(environment.fs, places, capability, environment.host, for_plan=True, cache_lifetime=lifetime)
    except Exception as failure:  # noqa: BLE001 - a bug that one request meets must not hide the others
        return replace(under_test, error=ConveyorError.from_exception(failure))
    return replace(under_test, glance=glance)


def _areas(options: Options, roots: Roots, requests: Sequence[RequestUnderTest], opened: ExitStack) -> Iterator[Area]:
    fs = options.environment.fs
    yield _area(fs, opened, SPOOL, roots.spool)
    needed = {one.qa.parent for one in requests if one.qa is not None}
    for path in (roots.qa / name for name in _qa_areas(options.config)):
        yield _area(fs, opened, QA, path, needed=path in needed)
    cache = _area(fs, opened, CACHE, roots.weblog_cache)
    if isinstance(cache.failure, FileNotFoundError) and not roots.weblog_cache.is_symlink():
        cache = _area(fs, opened, CACHE, roots.weblog_cache.parent, stands_for=roots.weblog_cache)
    yield cache


def _qa_areas(config: Config) -> list[str]:
    try:
        registered = Registry(config).everything()
    except ConveyorError:  # what is wrong is told with the capabilities
        return []
    return sorted({entry.capability.qa_area for entry in registered if entry.capability})


def _area(
    fs: FileSystem, opened: ExitStack, kind: str, path: Path, *, needed: bool = True, stands_for: Path | None = None
) -> Area:
    try:
        handle = opened.enter_context(fs.open_root(path))
        return Area(kind, path, handle, fs.lstat(handle, "."), None, needed, stands_for)
    except OSError as failure:
        return Area(kind, path, None, None, failure, needed, stands_for)


def _placed(areas: Sequence[Area], mounted: Sequence[Mount]) -> Iterator[Area]:
    """The areas with labels that tell them apart, and with their mounts."""
    names = [area.path.name for area in areas]
    for area in areas:
        label = area.path.name if names.count(area.path.name) == 1 else str(area.path)
        yield replace(area, label=label, mount=mount_of(area.path, mounted))
