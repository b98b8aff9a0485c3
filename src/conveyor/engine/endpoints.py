"""The two ends of a conveyance, held open: the request's folder in spool, and its folder in the QA area.

Each end has a directory of Conveyor's own, ``.conveyor``, and in it ``peer``, a file that names the other end. While a
directory moves there is ``<name>.peer`` too, a link to its place at the other end. So the text ``.conveyor/<name>.peer``,
the *bridge*, leads from either end to the other: a reader who has read a bridge and not yet followed it arrives at the
data, whichever way they went in the meantime. No link leads to a directory that holds a way back, at no time: for a tool
that follows links there is no loop.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import posixpath
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

from conveyor.errors import ConflictError, ConveyorError, ServerGoneError
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions
from conveyor.layout import META_DIR, PEER, PEER_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.filesystem.treecopy.estimate import Estimate
    from conveyor.request.places import Places

_PEER_LIMIT = 16 * 1024  # bytes; a path has 4096 at most
_OUT = "../../"  # from .conveyor to the area
#: From a place in an end, by its way from there, up to the area.
_UP = {"": "../", META_DIR: "../../", "..": ""}
_LOOKS_LIKE_GONE = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR})


class Location(StrEnum):
    """The two places that a conveyance runs between."""

    SPOOL = "spool"
    QA = "qa"

    @property
    def other(self) -> Location:
        return Location.QA if self is Location.SPOOL else Location.SPOOL

    @property
    def label(self) -> str:
        """The place's name in messages."""
        return "QA" if self is Location.QA else "spool"


def bridge_text(name: str) -> str:
    """The link text that leads to a directory's data from both ends."""
    return f"{META_DIR}/{name}{PEER_SUFFIX}"


def is_bridge_text(name: str, text: str) -> bool:
    """Tell if a link with this text is a bridge: one of today's, or of release 0.1.0, whose ``peer`` is a link."""
    return text in (bridge_text(name), f"{META_DIR}/{PEER}/{name}")


def read_peer(fs: FileSystem, meta: DirFd) -> str | None:
    """Return the way that ``peer`` names in a ``.conveyor``, from there or absolute; None if there is no ``peer``.

    A power cut may leave an empty file. It names nothing, and nothing was moved yet.
    """
    match fs.kind(meta, PEER):
        case Kind.LINK:
            return fs.readlink(meta, PEER)
        case Kind.FILE:
            return fs.read_line(meta, PEER, limit=_PEER_LIMIT) or None
    return None


@dataclass
class CopySettings:
    """Options and monitor of the tree operations: one for both ends.

    ``counted`` are the directories that were counted before the first of them is copied, ``idle`` those that nobody wrote to
    then. ``warn`` takes what the user has to know of a conveyance that goes on.
    """

    options: CopyOptions = field(default_factory=CopyOptions)
    monitor: CopyMonitor = field(default_factory=CopyMonitor)
    counted: dict[str, Estimate] = field(default_factory=dict)
    idle: set[str] = field(default_factory=set)
    warn: Callable[[str], object] = lambda _: None


@dataclass
class Endpoint:
    """One end: ``folder`` and, in it, ``inner`` (``.conveyor``); each None while it is not there."""

    location: Location
    path: Path
    fs: FileSystem = field(repr=False)
    handle: DirFd | None = None
    meta_handle: DirFd | None = None
    copying: CopySettings = field(default_factory=CopySettings, repr=False)

    @property
    def root(self) -> DirFd:
        """The end's directory, which the plan has made sure of. Raises ConflictError if there is none now."""
        if self.handle is None:
            raise ConflictError(
                f"the {self.location.label} folder {self.path} was there a moment ago, and is none any more"
            )
        return self.handle

    @property
    def meta(self) -> DirFd:
        """The end's ``.conveyor``, as ``here``."""
        if self.meta_handle is None:
            raise ConflictError(f"{self.path / META_DIR} was there a moment ago, and is no folder any more")
        return self.meta_handle

    def kind(self, name: str) -> Kind | None:
        """The kind of what stands under a name at this end; None if nothing does."""
        return self.fs.kind(self.handle, name) if self.handle else None

    def meta_kind(self, name: str) -> Kind | None:
        """The kind of what stands under a name in this end's ``.conveyor``; None if nothing does."""
        return self.fs.kind(self.meta_handle, name) if self.meta_handle else None

    def unused_meta_name(self, numbered: Callable[[int], str]) -> str:
        """The first of some names, numbered from 1 on, under which nothing stands in this end's ``.conveyor``."""
        return next(name for name in map(numbered, count(1)) if self.meta_kind(name) is None)

    def open_meta(self) -> None:
        """Open ``.conveyor`` if it is there and a folder; a link in its place is not followed."""
        if self.meta_handle is None and self.handle is not None and self.kind(META_DIR) is Kind.DIRECTORY:
            with contextlib.suppress(FileNotFoundError):  # a refused conveyance takes its folder back at any moment
                self.meta_handle = self.fs.open_directory(self.handle, META_DIR)

    def make_meta(self) -> bool:
        """Make sure of ``.conveyor``; True if it was made."""
        made = False
        with contextlib.suppress(FileExistsError):
            self.fs.mkdir(self.root, META_DIR)
            made = True
        self.open_meta()
        return made

    def peer(self) -> Path | None:
        """The path that this end's ``peer`` names, its last name apart without links; None if there is no ``peer``."""
        text = read_peer(self.fs, self.meta_handle) if self.meta_handle else None
        if text is None:
            return None
        # This end and its .conveyor are directories, which were opened as such: '..' leads out of them.
        start = self.path.parent if text.startswith(_OUT) else self.path / META_DIR
        above, name = posixpath.split(posixpath.join(start, text.removeprefix(_OUT)))
        return self.fs.real(_path(above)) / name

    def close(self) -> None:
        for folder in (self.meta_handle, self.handle):
            if folder is not None:
                folder.close()
        self.meta_handle = self.handle = None


@functools.lru_cache
def _path(text: str) -> Path:
    """The directory that the ends of many requests are in."""
    return Path(text)


#: The way from one area to another, real paths both: the same for all requests.
_between = functools.lru_cache(posixpath.relpath)


def peer_of(fs: FileSystem, area: DirFd, name: str) -> Path | None:
    """The other endpoint that a directory in an area names; None if it names none. Raises :class:`OSError`."""
    end = Endpoint(Location.SPOOL, area.path / name, fs, fs.open_directory(area, name))
    try:
        end.open_meta()
        return end.peer()
    finally:
        end.close()


def leads_to(folder: Path, text: str, target: Path) -> bool:
    """Tell whether a link with this text in ``folder`` names ``target``, whatever symlinks stand above the two."""
    named = folder / text
    try:
        return named.name == target.name and named.parent.resolve() == target.parent.resolve()
    except (OSError, RuntimeError):  # a loop leads nowhere
        return False


class Endpoints:
    """Both ends of one request, opened by descriptor.

    The spool folder is opened first, and the QA folder by whoever looks at it, with ``open_qa``: a look is of one moment
    only if the turn in spool was read before anything of the other end was.
    """

    def __init__(
        self,
        fs: FileSystem,
        places: Places,
        copying: CopyOptions | None = None,
        cache_lifetime: float | None = None,
    ) -> None:
        self.fs = fs
        self.lingering_before: frozenset[str] | None = None  # in the QA folder, since it was opened
        self._cache_lifetime = cache_lifetime
        self.places = places
        self.copying = CopySettings(copying or CopyOptions())
        self.spool = Endpoint(Location.SPOOL, places.spool, fs, copying=self.copying)
        self.qa = Endpoint(Location.QA, places.qa, fs, copying=self.copying)
        self.area: DirFd | None = None
        self._ways: dict[tuple[Location, str], str] = {}
        self._real: dict[Location, str] = {}  # the directories that the ends are in

    def __enter__(self) -> Self:
        try:
            with self.fs.open_root(self.places.spool_area) as area:
                self.spool.handle = self.fs.open_directory(area, self.places.request)
            self.spool.open_meta()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.qa.close()
        self.spool.close()
        if self.area is not None:
            self.area.close()

    def open_qa(self) -> None:
        """Open the QA folder if it is there; a link or a file in its place stays closed, for the survey to report."""
        if self.area is None:
            try:
                self.area = self.fs.open_root(self.places.qa_area)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    raise
                return
        if self.qa.handle is not None:
            return
        entry = self.fs.lstat(self.area, self.places.request)
        if entry is not None and entry.kind is Kind.DIRECTORY:
            self.qa.handle = self.fs.open_directory(self.area, self.places.request)
            self.qa.open_meta()

    @functools.cached_property
    def cache_lifetime(self) -> float:
        """Seconds for which other hosts may follow what they have cached of either end; by its mount if nobody said."""
        if self._cache_lifetime is not None:
            return self._cache_lifetime
        return max(self.fs.cache_lifetime(end.handle) for end in (self.spool, self.qa) if end.handle is not None)

    def let_read(self, directory: DirFd, name: str) -> None:
        """Let those read what Conveyor made who may read the request's directory, whatever the umask."""
        entry = self.fs.lstat(self.spool.root, ".")
        with contextlib.suppress(PermissionError):  # another account made it
            self.fs.let_read(directory, name, entry.mode if entry else 0)

    def told_error(self, error: OSError) -> ConveyorError:
        """The error that a user sees for one of the operating system.

        That of a server, if an end that this run holds open does not answer any more: it looks like a lack of permission, or
        as if files were gone.
        """
        if error.errno in _LOOKS_LIKE_GONE:
            for end in (self.spool, self.qa):
                try:
                    if end.handle is not None:
                        self.fs.space(end.handle)  # network file systems ask their server for that each time
                except OSError as refused:
                    return ServerGoneError(f"{end.path} could be reached a moment ago: {refused.strerror}")
        return ConveyorError.from_os_error(error)

    def at(self, location: Location) -> Endpoint:
        return self.qa if location is Location.QA else self.spool

    def other(self, end: Endpoint) -> Endpoint:
        return self.at(end.location.other)

    def peer_leads_over(self, end: Endpoint) -> bool | None:
        """Tell whether the ``peer`` of an end leads to the other end; None if there is no ``peer``."""
        text = read_peer(self.fs, end.meta_handle) if end.meta_handle else None
        if text is None:
            return None
        return text == self.peer_text(end) or leads_to(end.path / META_DIR, text, self.other(end).path)

    def link_text(self, end: Endpoint, name: str) -> str:
        """The text of the final link that stands at ``end`` for a directory at the other."""
        return self._text(end, name)

    def is_final_link(self, end: Endpoint, name: str, text: str) -> bool:
        """Tell whether a link with this text at an end leads to what has the same name at the other."""
        return text == self.link_text(end, name) or leads_to(end.path, text, self.other(end).path / name)

    def is_lingering(self, name: str) -> bool:
        """Tell if a link in the QA area stands in the place of a QA folder, since its request is home again."""
        if self.area is None or not (entry := self.fs.lstat(self.area, name)) or entry.kind is not Kind.LINK:
            return False
        text = self.fs.readlink(self.area, name)
        return leads_to(self.places.qa_area, text, self.places.spool.parent / name)

    def links_to_rest(self) -> list[str]:
        """The names of links in the QA folder to what stays in spool under the same name: ``LinkRest`` made them."""
        return [name for name in self.fs.listdir(self.qa.root) if self.is_link_to_rest(name)] if self.qa.handle else []

    def is_link_to_rest(self, name: str) -> bool:
        """Tell if what stands in the QA folder under a name is a link to what has that name in spool."""
        if self.qa.kind(name) is not Kind.LINK:
            return False
        return self.is_final_link(self.qa, name, self.fs.readlink(self.qa.root, name))

    def is_link_of_ours(self, end: Endpoint, name: str, folder: DirFd, stands: str) -> bool:
        """Tell whether what ``stands`` in a folder is the bridge or the final link of the directory ``name`` at an end."""
        entry = self.fs.lstat(folder, stands)
        if entry is None or entry.kind is not Kind.LINK:
            return False
        text = self.fs.readlink(folder, stands)
        return is_bridge_text(name, text) or self.is_final_link(end, name, text)

    def peer_text(self, end: Endpoint) -> str:
        """The way that ``.conveyor/peer`` names at ``end``."""
        return self._text(end, "", META_DIR)

    def peer_link_text(self, end: Endpoint, name: str) -> str:
        """The text of a directory's ``.conveyor/<name>.peer`` at ``end``."""
        return self._text(end, name, META_DIR)

    def lingering_text(self) -> str:
        """The text of a link to spool in the place of the QA folder."""
        return self._text(self.qa, "", "..")

    def _text(self, end: Endpoint, name: str, inner: str = "") -> str:
        key = end.location, inner
        if key not in self._ways:
            self._ways[key] = self._way(end, inner)
        return f"{self._ways[key]}/{name}" if name else self._ways[key]

    def _way(self, end: Endpoint, inner: str) -> str:
        """The way to the other end, from an end or from a directory in it, or absolute."""
        other = self.other(end).path
        if not self.places.relative_links:
            return str(other)
        # Between real paths: a symlink above either end would make '..' mean something else. The ends themselves are
        # folders, held open: what somebody puts in their place at this moment is not asked.
        if not self._real:
            with error_context("stat", other):
                parents = {Location.SPOOL: self.spool.path.parent, Location.QA: self.places.qa_area}
                self._real = {location: str(self.fs.real(parent)) for location, parent in parents.items()}
        between = _between(self._real[end.location.other], self._real[end.location])
        return f"{_UP[inner]}{between}/{other.name}"
