"""The ways that a directory goes from one end to the other, and which one it will go.

That is found by trying in scratch directories at both ends, whose names no other run has. Device numbers say nothing: two
subvolumes of one file system have different ones, and two trees with different project IDs the same.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from conveyor.engine.idleness import in_use_if_refused
from conveyor.engine.links import remove_staged
from conveyor.engine.retagging import handed_on, tagged_moves, wants_retag
from conveyor.engine.staging import manifest
from conveyor.errors import UnmovableError
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import MANIFEST, META_DIR, METADATA, PROBE, PROJECTS, SCRATCH, held_scratch
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.filesystem.project_ids import Project

_Made = TypeVar("_Made")
# The names in the scratch directories of a dry run, beside those of directories: reserved ones, which none of these has.
_TAGGED, _FULL = META_DIR, METADATA


class Way(StrEnum):
    """The way that a directory goes: the less is done, the earlier it is tried."""

    EXCHANGE = "exchange"
    RENAMES = "renames"
    RETAG = "retag"
    CLONE = "clone"
    COPY = "copy"


@frozen
class Foretold:
    """The way that a directory will go.

    ``kept_by`` are its project and the target's, if only that they differ keeps it from being renamed.
    """

    way: Way
    kept_by: tuple[Project, Project] | None = None


def foretell(endpoints: Endpoints, names: list[str], origin: Endpoint) -> dict[str, Foretold]:
    """Find the ways that directories will go. The folder at the other end need not be there yet. Raises :class:`OSError`."""
    fs, folder = endpoints.fs, _folder(endpoints, origin)
    with (
        _unnoticed(fs, origin.root, _scratch(fs, origin.root)) as here,
        _unnoticed(fs, folder, _scratch(fs, folder)) as there,
        fs.full_directory(there, _FULL),
    ):
        trial = _Trial(endpoints, origin, here, _TAGGED, there, _FULL)
        return {name: trial.finely(name) for name in names}


def find_copied(endpoints: Endpoints, names: list[str], origin: Endpoint) -> dict[str, Foretold]:
    """Find the ways as far as what is copied can be told from what is renamed, with little effort; the request is held.

    What a run leaves that dies meanwhile is named after the request, and the next one removes it. Raises :class:`OSError`.
    """
    fs, target = endpoints.fs, endpoints.other(origin)
    if not names:
        return {}
    probe = names[0] + PROBE
    there, full = (_folder(endpoints, origin), held_scratch(endpoints.places.spool))
    if target.meta_handle is not None:
        there, full = target.meta, probe
    for end in (origin, target):
        remove_staged(end, probe)
    with _unnoticed(fs, there, fs.full_directory(there, full)):
        here = origin.meta_handle or origin.root  # a QA folder that was made by hand has no .conveyor yet
        trial = _Trial(endpoints, origin, here, probe, there, full)
        return {name: trial.roughly(name) for name in names}


def trial_is_left(endpoints: Endpoints) -> bool:
    """Tell if a run that held the request died while it looked for the ways."""
    area = endpoints.area
    return area is not None and endpoints.fs.kind(area, held_scratch(endpoints.places.spool)) is not None


def clear_trial(endpoints: Endpoints) -> bool:
    """Remove what such a run left in the QA area; True if there was anything."""
    if endpoints.area is None or not trial_is_left(endpoints):
        return False
    endpoints.fs.remove_full_directory(endpoints.area, held_scratch(endpoints.places.spool))
    return True


def _folder(endpoints: Endpoints, origin: Endpoint) -> DirFd:
    """The folder that a directory goes to, or that will be its parent."""
    target = endpoints.other(origin)
    folder = target.handle or endpoints.area
    if folder is None:
        raise FileNotFoundError(2, "the other end is not there", str(target.path))
    return folder


def copied_way(endpoints: Endpoints, name: str) -> Way:
    """The way of a directory whose copy is complete: ``clone`` if any of its files was not read."""
    from conveyor.filesystem.treecopy.manifest import has_clones

    return Way.CLONE if has_clones(manifest(endpoints, name)) else Way.COPY


def known_ways(endpoints: Endpoints, names: Iterable[str]) -> dict[str, Way]:
    """The ways of the directories that earlier runs moved, if they left a trace: one that was only renamed has none."""
    ways = {}
    for name in names:
        if endpoints.spool.meta_kind(name + PROJECTS) is not None:
            ways[name] = Way.RETAG
        elif endpoints.spool.meta_kind(name + MANIFEST) is not None:
            ways[name] = copied_way(endpoints, name)
    return ways


def check_project_ids(endpoints: Endpoints, name: str, origin: Endpoint, found: Foretold) -> None:
    """Raise :class:`~conveyor.errors.UnmovableError` if the setting refuses what keeps a directory from being renamed."""
    if endpoints.copying.options.project_ids == "refuse" and found.kept_by:
        own, wanted = found.kept_by
        raise UnmovableError(
            f"{origin.path / name} has {own}, and {endpoints.other(origin).path} hands on {wanted}: it cannot be renamed",
            hint="nothing was moved: give both one project ID, or set project_ids to 'retag' or 'copy'",
        )


@contextlib.contextmanager
def _scratch(fs: FileSystem, folder: DirFd) -> Iterator[DirFd]:
    """A directory with a name of its own in a folder, which is removed with all that is in it."""
    from conveyor.filesystem.treecopy.remove_tree import remove_tree

    name = SCRATCH + secrets.token_hex(8)
    fs.mkdir(folder, name)
    try:
        with fs.open_directory(folder, name) as opened:
            yield opened
    finally:
        remove_tree(PathAt(folder, name))


@contextlib.contextmanager
def _unnoticed(fs: FileSystem, folder: DirFd, made: AbstractContextManager[_Made]) -> Iterator[_Made]:
    """Make something in a folder for the time of a block; then set the folder's time back, unless others changed it."""
    before, is_ours = _modified(fs, folder), False
    try:
        with made as value:
            begun = _modified(fs, folder)
            try:
                yield value
            finally:
                is_ours = _modified(fs, folder) == begun
    finally:
        if is_ours:
            with contextlib.suppress(PermissionError):  # another account's folder
                fs.set_directory_time(folder, before)


def _modified(fs: FileSystem, folder: DirFd) -> int:
    entry = fs.lstat(folder, ".")
    return entry.modified if entry else 0


@frozen
class _Trial:
    """A trial of the ways of the directories at ``origin``.

    In the directory ``here`` a directory ``probe`` is made for it; ``there``, ``full`` is one that is not empty.
    """

    endpoints: Endpoints
    origin: Endpoint
    here: DirFd
    probe: str
    there: DirFd
    full: str

    def roughly(self, name: str) -> Foretold:
        """Find out whether a directory is renamed, and what for it has to be done to it, or copied."""
        fs, own = self.endpoints.fs, self._own(name)
        wanted = handed_on(fs, self.there)
        is_wanted = wants_retag(self.endpoints, name, self.origin, wanted)
        if is_wanted and wanted is not None and self._moves_tagged(wanted):
            return Foretold(Way.RETAG)
        with in_use_if_refused(PathAt(self.origin.root, name)):
            is_renamed = fs.can_rename_onto(self.origin.root, name, self.there, self.full)
        if is_renamed:
            return Foretold(Way.RENAMES)
        if own is None or wanted is None or own == wanted or is_wanted or not self._moves_tagged(wanted):
            return Foretold(Way.COPY)
        return Foretold(Way.COPY, (own, wanted))

    def finely(self, name: str) -> Foretold:
        """Find the way of a directory, the directories ``here`` and ``there`` being for this alone."""
        found = self.roughly(name)
        match found.way:
            case Way.RENAMES if self._exchanges(name):
                return replace(found, way=Way.EXCHANGE)
            case Way.COPY if self._clones(name):
                return replace(found, way=Way.CLONE)
        return found

    def _own(self, name: str) -> Project | None:
        return self.endpoints.fs.project(self.origin.root, name)

    def _moves_tagged(self, wanted: Project) -> bool:
        return tagged_moves(self.endpoints.fs, self.here, self.probe, self.there, self.full, wanted)

    def _exchanges(self, name: str) -> bool:
        """Tell if a directory with the project of this one and a link to it can trade places."""
        fs, here, there, own = self.endpoints.fs, self.here, self.there, self._own(name)
        fs.mkdir(here, name)
        fs.symlink(there, name, "link")
        if own is not None:
            fs.give_project(here, name, own)
        try:
            fs.exchange(here, name, there, name)
        except (ExchangeRefusedError, CrossDeviceError):
            return False
        return True

    def _clones(self, name: str) -> bool:
        """Tell if any file of a directory can be cloned: a short one is not even if the file system could."""
        from conveyor.filesystem.treecopy.shareable import shares_any

        fs = self.endpoints.fs
        return fs.can_clone(self.here, self.there, name) and shares_any(PathAt(self.origin.root, name), self.there)
