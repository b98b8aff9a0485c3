"""The entries that a conveyance stages in ``.conveyor`` under a directory's name: above all a copy, and its commit mark."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from conveyor.engine.lingering import is_lingering_link
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt, Side
from conveyor.layout import COMMITTED, INCOMING, JOURNAL, LINK, MANIFEST, META_DIR, OUTGOING
from conveyor.values import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.endpoints import CopySettings, Endpoint, Endpoints, Location
    from conveyor.filesystem.posix import Entry
    from conveyor.filesystem.treecopy.check_manifest import Differences


@frozen
class CommitMark:
    """Which directory is the verified copy of which, by their inodes; the manifest says what they were at that moment."""

    copy: int
    source: int

    @property
    def text(self) -> str:
        return f"copy {self.copy} of {self.source}"

    @classmethod
    def parse(cls, text: str) -> CommitMark | None:
        match text.split():
            case ["copy", copy, "of", source] if copy.isdecimal() and source.isdecimal():
                return cls(int(copy), int(source))
        return None


def manifest(endpoints: Endpoints, name: str) -> PathAt:
    """The place of the manifest of the copy of a directory: in spool, which the request never leaves."""
    return PathAt(endpoints.spool.meta, name + MANIFEST)


def remove_manifest(endpoints: Endpoints, name: str) -> None:
    """Remove the manifest of a directory that is home, if there is one."""
    if (
        endpoints.spool.meta_kind(name + MANIFEST) is not None
        or endpoints.spool.meta_kind(name + MANIFEST + JOURNAL) is not None
    ):
        from conveyor.filesystem.treecopy.manifest import remove_manifest

        remove_manifest(manifest(endpoints, name))


def read_mark(end: Endpoint, name: str) -> CommitMark | None:
    """The mark of the copy at an end; None if there is none that can be read."""
    if end.meta_kind(name + COMMITTED) is not Kind.LINK:
        return None
    return CommitMark.parse(end.fs.readlink(end.meta, name + COMMITTED))


def foreign_entries(endpoints: Endpoints, name: str) -> tuple[Path, ...]:
    """The paths of entries in ``.conveyor`` that have Conveyor's names for a directory, and are somebody else's.

    A run that dies in the very moment in which somebody puts something in the directory's place has taken that out, and
    not yet found out what it is. A link there has to be one of ours; a directory, the one that the mark names.
    """
    known: dict[Location, set[int]] = {}
    swapped_in: set[Location] = set()
    for end in (endpoints.spool, endpoints.qa):
        if mark := read_mark(end, name):
            known.setdefault(end.location, set()).add(mark.copy)
            known.setdefault(end.location.other, set()).add(mark.source)
            copy = endpoints.fs.lstat(end.handle, name) if end.handle else None
            if copy is not None and copy.inode == mark.copy:
                swapped_in.add(end.location)

    def is_ours(end: Endpoint, ending: str, entry: Entry) -> bool:
        if entry.kind is Kind.LINK:
            text = endpoints.fs.readlink(end.meta, name + ending)
            return endpoints.is_link_of_ours(end, name, end.meta, name + ending) or is_lingering_link(name, text)
        if entry.kind is not Kind.DIRECTORY:
            return False
        if ending == INCOMING:
            return end.location not in swapped_in
        # Without a mark, what is on its way out was found to be the right one.
        return entry.inode in known.get(end.location, ()) or (ending == OUTGOING and not known)

    return tuple(
        end.path / META_DIR / (name + ending)
        for end in (endpoints.spool, endpoints.qa)
        if end.meta_handle is not None
        for ending in (LINK, INCOMING, OUTGOING)
        if (entry := endpoints.fs.lstat(end.meta_handle, name + ending)) and not is_ours(end, ending, entry)
    )


def _retired_name(end: Endpoint, name: str, inode: int) -> str | None:
    """The name in ``.conveyor`` that a directory has on its way out; None if it is not there."""
    for inner_name in (name + OUTGOING, name + LINK):  # a crash may leave it under the link's, half-way
        entry = end.fs.lstat(end.meta_handle, inner_name) if end.meta_handle else None
        if entry is not None and entry.kind is Kind.DIRECTORY and entry.inode == inode:
            return inner_name
    return None


@frozen
class CopySurvey:
    """A verified copy that was swapped in, and whose source is not gone yet: an interrupted run left both.

    ``at`` is the copy's end; ``in_place`` says whether the source still stands under its name at the other one, or in
    ``.conveyor``. ``copy_changed`` and ``source_changed`` say whether somebody has written to them since they were equal.
    """

    at: Location
    in_place: bool
    copy_changed: bool = False
    source_changed: bool = False

    @property
    def diverged(self) -> bool:
        return self.copy_changed and self.source_changed


@frozen
class CopyPair:
    """A verified copy that was swapped in, and its source, both there, and how to tell what became of them."""

    at: Location
    in_place: bool
    copy: PathAt
    source: PathAt
    manifest: PathAt
    copying: CopySettings

    def survey(self) -> CopySurvey:
        """Compare both with the manifest. If both were touched, by a chattr or a backup, what is in them tells."""
        found = self._survey(closely=False)
        return self._survey(closely=True) if found.diverged else found

    def _survey(self, *, closely: bool) -> CopySurvey:
        copy, source = (self.changed(side, closely=closely) for side in (Side.COPY, Side.SOURCE))
        return CopySurvey(self.at, self.in_place, copy_changed=copy, source_changed=source)

    def changed(self, side: Side, *, closely: bool = False) -> bool:
        """Tell whether anybody has written to one of them since the one was verified against the other."""
        from conveyor.filesystem.treecopy.check_manifest import changes

        tree = self.copy if side is Side.COPY else self.source
        return bool(changes(tree, self.manifest, side, self.copying.options, self.copying.monitor, by_content=closely))

    def differences(self, side: Side) -> Differences:
        """All that somebody has written to one of them, by the stat of each entry."""
        from conveyor.filesystem.treecopy.check_manifest import changes

        tree = self.copy if side is Side.COPY else self.source
        return changes(tree, self.manifest, side, self.copying.options, self.copying.monitor, most=sys.maxsize)


def find_uncommitted_copy(endpoints: Endpoints, name: str) -> CopyPair | None:
    """The verified copy that stands at an end, as its mark says, while its source is still there."""
    for end in (endpoints.qa, endpoints.spool):
        mark, other = read_mark(end, name), endpoints.other(end)
        if mark is None or end.handle is None or other.handle is None:
            continue
        copy = endpoints.fs.lstat(end.handle, name)
        if copy is None or copy.inode != mark.copy:
            continue
        source = endpoints.fs.lstat(other.handle, name)
        in_place = source is not None and source.kind is Kind.DIRECTORY and source.inode == mark.source
        inner_name = _retired_name(other, name, mark.source)
        if in_place or inner_name is not None:
            left = PathAt(other.meta, inner_name) if inner_name else PathAt(other.handle, name)
            place, record = PathAt(end.root, name), manifest(endpoints, name)
            return CopyPair(end.location, in_place, place, left, record, endpoints.copying)
    return None
