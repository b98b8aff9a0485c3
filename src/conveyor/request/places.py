"""The places of a request, from settings and metadata: its directory in spool, its QA folder, its cached weblog."""

from __future__ import annotations

import errno
import functools
import posixpath
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.errors import ConfigurationError, MetadataInvalidError, RequestMissingError
from conveyor.filesystem.mounts import is_at_or_below
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conveyor.request.metadata import Metadata
    from conveyor.settings.model import Settings

USUAL_SPOOL = "spool"
USUAL_WEBLOG_CACHE = "weblog-cache"


@frozen
class Places:
    """The places of one request. ``spool`` and ``qa`` are its two endpoints.

    ``relative_links`` chooses the text of the links between them, ``require_area_marker`` says that the areas have to be
    marked. ``spool_root`` is the spool area that an operator set; the
    request's directory is opened in it by its name alone, so that a directory of the metadata's own path that is swapped for
    a link meanwhile cannot lead to another request.
    """

    request: str
    spool: Path
    qa_area: Path
    weblog_cache: Path
    relative_links: bool
    spool_root: Path | None = None
    require_area_marker: bool = False

    @property
    def spool_area(self) -> Path:
        """The directory in which the request's directory in spool is opened."""
        return self.spool_root or self.spool.parent

    @functools.cached_property
    def qa(self) -> Path:
        """The QA folder."""
        return self.qa_area / self.request

    @functools.cached_property
    def weblog(self) -> Path:
        """The request's directory in the weblog cache."""
        return self.weblog_cache / self.request


@frozen
class Roots:
    """The roots of a workspace: the spool area, the directory that holds the QA areas, the weblog cache."""

    spool: Path
    qa: Path
    weblog_cache: Path


def find_roots(settings: Settings, request: Path | None = None) -> Roots:
    """Find the roots of the workspace that the settings name, or that contains a request's directory in spool.

    Raises :class:`~conveyor.errors.ConfigurationError` if the layout is unusual and nothing is set, or if neither a request
    nor a spool root is given.
    """
    spool = settings.spool_root or (request.parent if request else None)
    if spool is None:
        raise ConfigurationError(
            "no metadata file is given, and no spool root is set to look for them in",
            hint="name a request's metadata.json, or set CONVEYOR_SPOOL_ROOT (or spool_root in the configuration file)",
        )
    workspace = spool.parent if settings.spool_root or spool.name == USUAL_SPOOL else None
    qa = settings.qa_root or workspace
    if qa is None:
        raise _unusual_error(request or spool, "qa_root", "the folder that holds the QA areas")
    weblog_cache = settings.weblog_cache or (workspace / USUAL_WEBLOG_CACHE if workspace else None)
    if weblog_cache is None:
        raise _unusual_error(request or spool, "weblog_cache", "the folder that weblogs are cached in")
    return Roots(spool, qa, weblog_cache)


def usual_spool_above(place: Path, areas: Sequence[str]) -> Path | None:
    """Return the spool area of the workspace that a directory is in, if it has the usual layout; None if there is none.

    That is the nearest directory from there upwards that has ``spool`` and one of the QA ``areas`` in it.
    """
    for above in (place, *place.parents):
        try:
            if (above / USUAL_SPOOL).is_dir() and any((above / area).is_dir() for area in areas):
                return above / USUAL_SPOOL
        except OSError:  # closed to this account
            continue
    return None


@frozen
class _Areas:
    """The areas of the requests of one directory, for one QA area: as they are named, and their real paths."""

    qa: Path
    weblog_cache: Path
    relative_links: bool
    real_spool: Path
    real_root: Path | None
    real_qa: Path
    real_cache: Path

    @functools.cached_property
    def is_root(self) -> bool:
        """Tell whether the directory is the spool root, if one is set, and the areas are apart from one another."""
        is_in_root = self.real_root is None or self.real_root == self.real_spool
        return is_in_root and not _overlap(self.real_qa, self.real_cache)

    @functools.cached_property
    def _texts(self) -> tuple[str, str, str]:
        return f"{self.real_spool}/".replace("//", "/"), f"{self.real_qa}/", f"{self.real_cache}/"

    def may_overlap(self, name: str) -> bool:
        """Tell whether a request of this name and an area are in one another, by the text of their paths."""
        spool, qa, cache = self._texts
        place = f"{spool}{name}/"
        return place.startswith((qa, cache)) or qa.startswith(place) or cache.startswith(place)


class Locator:
    """What finds the places of many requests: what they have in common is looked at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._areas: dict[tuple[str, str], _Areas] = {}

    def locate(self, metadata: Metadata, qa_area: str, *, is_there: bool = False) -> Places:
        """Find the places of a request; see :func:`locate`. ``is_there``: its directory is known to be one."""
        spool = metadata.destinationDirectory
        if not is_there:
            _check_there(spool)
        key = str(spool).removesuffix(spool.name), qa_area
        if key not in self._areas:
            self._areas[key] = _find_areas(self._settings, spool, qa_area)
        areas = self._areas[key]
        if not areas.is_root or areas.may_overlap(spool.name):
            place = areas.real_spool / spool.name  # it is no link itself
            if areas.real_root is not None:
                _check_in_root(place, areas.real_root)
            _check_apart(place, areas.real_qa, areas.real_cache)
        return Places(
            request=spool.name,
            spool=spool,
            qa_area=areas.qa,
            weblog_cache=areas.weblog_cache,
            relative_links=areas.relative_links,
            spool_root=self._settings.spool_root,
            require_area_marker=self._settings.require_area_marker,
        )


def _find_areas(settings: Settings, spool: Path, qa_area: str) -> _Areas:
    roots = find_roots(settings, spool)
    qa, real_spool = roots.qa / qa_area, _real(spool.parent)
    real_qa = _real(qa)
    one_workspace = real_qa.parent == real_spool.parent  # a relative link then survives a new mount
    return _Areas(
        qa=qa,
        weblog_cache=roots.weblog_cache,
        relative_links=settings.links == "relative" or (settings.links == "auto" and one_workspace),
        real_spool=real_spool,
        real_root=_real(settings.spool_root) if settings.spool_root is not None else None,
        real_qa=real_qa,
        real_cache=_real(roots.weblog_cache),
    )


def locate(metadata: Metadata, settings: Settings, qa_area: str) -> Places:
    """Find a request's places for a capability whose QA area is called ``qa_area``.

    Raises :class:`~conveyor.errors.RequestMissingError` if the parent processing directory does not exist,
    :class:`~conveyor.errors.MetadataInvalidError` if it is a link, not directly in the spool root, or in one of the areas,
    and :class:`~conveyor.errors.ConfigurationError` if the layout is unusual and nothing is set, or if the areas lie in one
    another.
    """
    return Locator(settings).locate(metadata, qa_area)


def _check_there(spool: Path) -> None:
    kind = _kind(spool)
    if kind == stat.S_IFLNK:
        raise MetadataInvalidError(
            f"the destinationDirectory is a symbolic link: {spool} -> {spool.readlink()}",
            hint="name the real parent processing directory in the metadata",
        )
    if kind is None:
        raise RequestMissingError(f"the destinationDirectory names a directory that is not there: {spool}")
    if kind != stat.S_IFDIR:
        raise MetadataInvalidError(f"the destinationDirectory is not a directory: {spool}")


def _kind(path: Path) -> int | None:
    """Return the kind of what stands at a path, as its mode has it; None if nothing does."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _check_in_root(real: Path, root: Path) -> None:
    if real.parent == root:
        return
    if root not in real.parents:
        raise MetadataInvalidError(
            f"the destinationDirectory is outside the spool root: {real} is not below {root}",
            hint="is this the metadata of another installation? 'conveyor config' shows the spool root",
        )
    raise MetadataInvalidError(
        f"the destinationDirectory is no request of the spool root: {real} is not directly in {root}",
        hint="a request's directory stands in the spool root itself; 'conveyor config' shows it",
    )


def _check_apart(request: Path, area: Path, cache: Path) -> None:
    """Refuse a request that is an area, is in one or has one in it: its directories could be other requests."""
    areas = {"the QA area": area, "the weblog cache": cache}
    for name, place in areas.items():
        if _overlap(request, place):
            raise MetadataInvalidError(
                f"the destinationDirectory and {name} are in one another: {request} and {place}",
                hint="which of the two is wrong? 'conveyor config' shows the settings that name the areas",
            )
    if _overlap(*areas.values()):
        raise ConfigurationError(f"{' and '.join(areas)} are in one another: {area} and {cache}")


def _overlap(one: Path, other: Path) -> bool:
    return is_at_or_below(one, other) or is_at_or_below(other, one)


def _real(path: Path) -> Path:
    """Resolve the links of a path; a loop of links stays in it as it is, without an error."""
    return Path(posixpath.realpath(path))


def _unusual_error(spool: Path, setting: str, meaning: str) -> ConfigurationError:
    return ConfigurationError(
        f"{spool} is not in a folder named '{USUAL_SPOOL}', so {meaning} cannot be derived",
        hint=f"set CONVEYOR_{setting.upper()} (or {setting} in the configuration file), or CONVEYOR_SPOOL_ROOT",
    )
