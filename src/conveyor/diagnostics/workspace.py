"""What the doctor looks at: the workspace's areas, held open, and the requests."""

from __future__ import annotations

import contextlib
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from conveyor.api.requests import capture_errors, every_request, has_no_capability, new_outcome, resolve_request
from conveyor.capabilities.registry import Registry
from conveyor.engine.context import Environment
from conveyor.errors import ConveyorError
from conveyor.filesystem.mounts import mounts
from conveyor.request.metadata import read_metadata
from conveyor.request.places import Roots, find_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from conveyor.engine.context import Request
    from conveyor.engine.outcome import Outcome
    from conveyor.filesystem.mounts import Mount
    from conveyor.filesystem.posix import DirFd, Entry
    from conveyor.settings.sources import Config

SPOOL, QA, CACHE = "spool area", "QA area", "weblog cache"


@dataclass(frozen=True)
class Area:
    """One root: ``folder`` and ``entry`` are None where it could not be opened and searched, and ``failure`` says why.

    ``label`` is its name, or its path where two areas have one name. ``needed`` says whether one of the requests that are
    looked at goes there. Where the weblog cache is still to be made, ``stands_for`` is its path, and the area is the folder
    that it will be made in.
    """

    kind: str
    path: Path
    folder: DirFd | None
    entry: Entry | None
    failure: OSError | None
    needed: bool = True
    stands_for: Path | None = None
    label: str = ""


@dataclass(frozen=True)
class Case:
    """One request that is looked at: ``error`` says why it could not be told what it is."""

    metadata: Path
    request: Request | None
    error: ConveyorError | None


@dataclass(frozen=True)
class Options:
    """One visit. ``options`` are those that the advised commands need too; ``clock`` gives nanoseconds since the epoch."""

    config: Config
    environment: Environment = field(default_factory=Environment)
    metadata: Sequence[Path] = ()
    capability: str | None = None
    may_try: bool = True
    options: Sequence[str] = ()
    clock: Callable[[], int] = time.time_ns
    mount_table: Callable[[], list[Mount]] = mounts


@dataclass(frozen=True)
class Workspace:
    """What is there when the doctor comes. ``mounted`` was read after the areas were opened, which may mount them."""

    visit: Options
    roots: tuple[Roots, ...]
    areas: tuple[Area, ...]
    cases: tuple[Case, ...]
    mounted: tuple[Mount, ...]


@contextlib.contextmanager
def open_workspace(visit: Options) -> Iterator[Workspace]:
    """Open the areas and find the requests. Raises :class:`~conveyor.errors.ConfigurationError` where there is nothing
    to go by."""
    roots = tuple(_roots(visit))
    with ExitStack() as opened:
        cases = tuple(_cases(visit))
        areas = []
        for area in (area for one in roots for area in _areas(visit, one, cases)):
            areas.append(area)
            if area.folder is not None:
                opened.enter_context(area.folder)
        yield Workspace(visit, roots, tuple(_labelled(areas)), cases, tuple(visit.mount_table()))


def _roots(visit: Options) -> Iterator[Roots]:
    settings = visit.config.values
    if settings.spool_root is not None or not visit.metadata:
        yield find_roots(settings)
        return
    found: dict[Roots, None] = {}
    for path in visit.metadata:
        with contextlib.suppress(ConveyorError):  # what is wrong with it is told with the request
            found[find_roots(settings, read_metadata(path).destinationDirectory)] = None
    yield from found


def _cases(visit: Options) -> Iterator[Case]:
    for path in visit.metadata or _every_request(visit):
        case = _case(visit, path)
        if visit.metadata or not has_no_capability(case.error):  # most requests in spool have nothing to do with QA
            yield case


def _case(visit: Options, path: Path) -> Case:
    found: list[Request] = []

    def prepared(outcome: Outcome) -> Outcome:
        request, outcome = resolve_request(path, visit.capability, visit.config, outcome)
        found.append(request)
        return outcome

    outcome = capture_errors(prepared, new_outcome("doctor", path))
    return Case(path.absolute(), found[0] if found else None, outcome.error)


def _every_request(visit: Options) -> list[Path]:
    try:
        return every_request(visit.config)
    except (ConveyorError, OSError):  # what is wrong with the spool area is told with the area
        return []


def _areas(visit: Options, roots: Roots, cases: Sequence[Case]) -> Iterator[Area]:
    yield _area(visit, SPOOL, roots.spool)
    needed = {case.request.places.qa_area for case in cases if case.request}
    for name in _qa_areas(visit.config):
        path = roots.qa / name
        yield _area(visit, QA, path, needed=path in needed)
    cache = _area(visit, CACHE, roots.weblog_cache)
    if isinstance(cache.failure, FileNotFoundError) and not roots.weblog_cache.is_symlink():
        yield _area(visit, CACHE, roots.weblog_cache.parent, stands_for=roots.weblog_cache)
    else:
        yield cache


def _labelled(areas: Sequence[Area]) -> Iterator[Area]:
    names = [area.path.name for area in areas]
    for area in areas:
        yield replace(area, label=area.path.name if names.count(area.path.name) == 1 else str(area.path))


def _qa_areas(config: Config) -> list[str]:
    try:
        registered = Registry(config).everything()
    except ConveyorError:  # what is wrong is told with the capabilities
        return []
    return sorted({entry.capability.qa_area for entry in registered if entry.capability})


def _area(visit: Options, kind: str, path: Path, *, needed: bool = True, stands_for: Path | None = None) -> Area:
    folder, entry, failure = None, None, None
    try:
        folder = visit.environment.fs.open_root(path)
        entry = visit.environment.fs.lstat(folder, ".")
    except OSError as caught:
        failure = caught
        if folder is not None:
            folder.close()
            folder = None
    return Area(kind, path, folder, entry, failure, needed, stands_for)
