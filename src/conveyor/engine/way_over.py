"""The ways that a directory goes from one end to the other, and which one it will go.

That is found by trying in scratch directories at both ends, whose names no other run has. Device numbers say nothing: two
subvolumes of one file system have different ones, and two trees with different project IDs the same.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.engine.retagging import handed_on, tagged_moves, wants_retag
from conveyor.engine.staging import manifest
from conveyor.errors import UnmovableError
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import MANIFEST, PROJECTS, SCRATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.filesystem.project_ids import Project


class Way(StrEnum):
    """The way that a directory goes: the less is done, the earlier it is tried."""

    EXCHANGE = "exchange"
    RENAMES = "renames"
    RETAG = "retag"
    CLONE = "clone"
    COPY = "copy"


@dataclass(frozen=True)
class Foretold:
    """The way that a directory will go.

    ``kept_by`` are its project and the target's, if only that they differ keeps it from being renamed.
    """

    way: Way
    kept_by: tuple[Project, Project] | None = None


def foretell(endpoints: Endpoints, name: str, origin: Endpoint) -> Foretold:
    """Find the way that a directory will go. The folder at the other end need not be there yet. Raises :class:`OSError`."""
    folder = endpoints.other(origin).handle or endpoints.area
    if folder is None:
        raise FileNotFoundError(2, "the other end is not there", str(endpoints.other(origin).path))
    with _scratch(endpoints.fs, origin.root) as here, _scratch(endpoints.fs, folder) as there:
        is_retagged = wants_retag(endpoints, name, origin, handed_on(endpoints.fs, there))
        return _Trial(endpoints.fs, origin, name, here, there, is_retagged).foretell()


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


def check_project_ids(endpoints: Endpoints, name: str, origin: Endpoint) -> None:
    """Raise :class:`~conveyor.errors.UnmovableError` if the setting refuses what keeps a directory from being renamed."""
    if endpoints.copying.options.project_ids == "refuse" and (kept_by := foretell(endpoints, name, origin).kept_by):
        own, wanted = kept_by
        raise UnmovableError(
            f"{origin.path / name} has {own}, and {endpoints.other(origin).path} hands on {wanted}: it cannot be renamed",
            hint="nothing was moved: give both one project ID, or set project_ids to 'retag' or 'copy'",
        )


@contextlib.contextmanager
def _scratch(fs: FileSystem, folder: DirFd) -> Iterator[DirFd]:
    """A directory with a name of its own in a folder, which is removed with all that is in it.

    The folder's time is set back, unless somebody else changed something there.
    """
    from conveyor.filesystem.treecopy.remove_tree import remove_tree

    name, before = SCRATCH + secrets.token_hex(8), _modified(fs, folder)
    fs.mkdir(folder, name)
    begun = _modified(fs, folder)
    try:
        with fs.open_directory(folder, name) as opened:
            yield opened
    finally:
        is_ours = _modified(fs, folder) == begun
        remove_tree(PathAt(folder, name))
        if is_ours:
            with contextlib.suppress(PermissionError):  # another account's folder
                fs.utime(folder, ".", before)


def _modified(fs: FileSystem, folder: DirFd) -> int:
    entry = fs.lstat(folder, ".")
    return entry.modified if entry else 0


@dataclass(frozen=True)
class _Trial:
    """A trial of the ways of a directory, ``name`` at ``origin``, between a scratch directory ``here`` and one ``there``.

    ``is_retagged``: it is to have another project there, if that may be.
    """

    fs: FileSystem
    origin: Endpoint
    name: str
    here: DirFd
    there: DirFd
    is_retagged: bool

    def foretell(self) -> Foretold:
        fs, here, there = self.fs, self.here, self.there
        own, wanted = fs.project(self.origin.root, self.name), handed_on(fs, there)
        tagged = own is not None and wanted is not None and tagged_moves(fs, here, there, "tagged", wanted)
        if tagged and self.is_retagged:
            return Foretold(Way.RETAG)
        if fs.can_rename(self.origin.root, self.name, there, "full"):
            return Foretold(Way.EXCHANGE if self._exchanges(own) else Way.RENAMES)
        kept_by = (own, wanted) if tagged and own is not None and wanted is not None else None
        return Foretold(Way.CLONE if fs.can_clone(here, there, "file") else Way.COPY, kept_by)

    def _exchanges(self, own: Project | None) -> bool:
        """Tell if a directory with the project of this one and a link to it can trade places."""
        fs, here, there = self.fs, self.here, self.there
        fs.mkdir(here, "directory")
        fs.symlink(there, "directory", "link")
        if own is not None:
            fs.give_project(here, "directory", own)
        try:
            fs.exchange(here, "directory", there, "directory")
        except (ExchangeRefusedError, CrossDeviceError):
            return False
        return True
