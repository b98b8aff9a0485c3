"""Estimate a copy before it is begun: how much a tree has, the space that its copy needs, and if there is so much."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from conveyor.errors import SpaceMissingError
from conveyor.filesystem import syscalls
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.posix import Hindrance, hindrance_of
from conveyor.filesystem.syscalls import EntryStatus
from conveyor.filesystem.treecopy.attributes import LargestAttributes, has_attributes, named_in, read_attributes
from conveyor.filesystem.treecopy.content import UncopyableEntryError
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.filesystem.treecopy.entries import UNSUPPORTED, lstat
from conveyor.filesystem.treecopy.layout_survey import LayoutSurvey, with_layouts
from conveyor.filesystem.treecopy.messages import (
    AttributesSeen,
    ChunkTask,
    Extreme,
    LayoutsSeen,
    Obstacle,
    SpaceNeeded,
    TableSeen,
    UnusualTime,
)
from conveyor.filesystem.treecopy.obstacles import Obstacles, RemovalCheck
from conveyor.filesystem.treecopy.records import TIMES_OF_EVERY_FILE_SYSTEM
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.target_limits import Limit
from conveyor.filesystem.treecopy.walk import TABLE_LOCK, DirStack, TreeWalk, bare, below, others_than_directories

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt
    from conveyor.filesystem.treecopy.messages import Message, Task
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

_LINKS = EntryStatus._fields.index("links")
_BLOCK = 512  # bytes, the unit of st_blocks
_KIND_AND_READ, _FILE_TO_READ = 0o170000 | stat.S_IRUSR, stat.S_IFREG | stat.S_IRUSR
_FLAGS = syscalls.IMMUTABLE | syscalls.APPEND_ONLY
_COPIED = frozenset({stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR})
_MOST_TIMES = 5
_LONG_NAME = 30  # characters, each of up to four bytes
_RECORD = 256  # bytes of a manifest for each file: 90 to 210 were measured, and names can be longer


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a tree before it is copied.

    Its totals; the space that its copy needs besides what an earlier run left of it; the ``obstacles`` to its removal; what
    a target might not take: the largest ``attributes`` of each kind, some ``times`` that not every target keeps, and the
    ``extremes`` of what file systems limit; the casacore ``tables`` in it, by their paths from its root; and the
    ``layouts`` that the site chose on Lustre.
    """

    total: Totals
    needed: SpaceNeeded
    obstacles: Obstacles = field(default_factory=Obstacles)
    attributes: tuple[AttributesSeen, ...] = ()
    times: tuple[UnusualTime, ...] = ()
    extremes: tuple[Extreme, ...] = ()
    tables: frozenset[str] = frozenset()
    layouts: tuple[LayoutsSeen, ...] = ()

    @property
    def manifest_needed(self) -> SpaceNeeded:
        """The space that the manifest of the copy needs, about."""
        return SpaceNeeded(_RECORD * self.total.files, 1)

    def without(self, shared: int) -> Estimate:
        """The same, of a tree whose copy need not have some of its bytes for itself."""
        return replace(self, needed=add_needs(self.needed, SpaceNeeded(-shared, 0)))


def estimate(
    source: PathAt, target: DirFd, copy: PathAt | None, options: CopyOptions, monitor: CopyMonitor
) -> Estimate:
    """Walk a whole tree. ``target`` is a directory in the file system of the copy, ``copy`` what an earlier run left of it.

    Raises :class:`OSError`, also of a file that may not be read, and :class:`UncopyableError` of what cannot be copied.
    """
    found, tables = Estimate(Totals(), SpaceNeeded(0, 0)), set[str]()

    def on_message(message: Message) -> None:
        nonlocal found
        match message:
            case SpaceNeeded():
                found = replace(found, needed=add_needs(found.needed, message))
            case TableSeen():
                tables.add(message.path)
            case Obstacle():
                found = replace(found, obstacles=found.obstacles + message)
            case AttributesSeen():
                found = replace(found, attributes=(*found.attributes, message))
            case Extreme():
                others = tuple(one for one in found.extremes if one.what != message.what)
                most = max((message, *(one for one in found.extremes if one.what == message.what)))
                found = replace(found, extremes=(*others, most))
            case LayoutsSeen():
                found = replace(found, layouts=with_layouts(found.layouts, message))
            case UnusualTime() if len(found.times) < _MOST_TIMES:
                found = replace(found, times=(*found.times, message))

    with error_context("copy", source.path, target.path):
        unit = os.statvfs(target.descriptor).f_frsize or _BLOCK
    walk = EstimateWalk(source, copy, options.chunk_size, unit)
    total = Scheduler(walk, options, monitor, "survey", Totals(), on_message=on_message).run()
    return replace(found, total=total, tables=frozenset(tables))


def add_needs(one: SpaceNeeded, other: SpaceNeeded) -> SpaceNeeded:
    return SpaceNeeded(one.bytes + other.bytes, one.inodes + other.inodes)


def check_space(needed: SpaceNeeded, target: DirFd, source: Path, spared: Callable[[int], int] = lambda _: 0) -> None:
    """Raise :class:`SpaceMissingError` if a file system has no room for the copy of what is at ``source``.

    ``spared`` tells, if so many bytes are missing, how many need no room since they can be shared; it may stop at those.
    """
    with error_context("copy", source, target.path):
        space = os.statvfs(target.descriptor)
    free, missing = space.f_bavail * space.f_frsize, None
    # Some file systems do not count inodes, or tell nothing at all of their size: then only trying tells.
    if space.f_blocks and needed.bytes > free and needed.bytes - spared(needed.bytes - free) > free:
        missing = f"{needed.bytes} bytes more in {target.path}, and {free} are free"
    elif space.f_files and needed.inodes > space.f_favail:
        missing = f"{needed.inodes} inodes more in {target.path}, and {space.f_favail} are free"
    if missing:
        raise SpaceMissingError(f"the copy of {source} needs {missing}")


class EstimateWalk(TreeWalk):
    """Counts entries and the space that they need, and tells what hinders their move.

    ``copy`` is what an earlier run left, which needs no more space.

    ``unit`` is the size of the target's blocks, in bytes.
    """

    operation = "copy"
    is_light = True

    def __init__(self, source: PathAt, copy: PathAt | None, chunk_size: int, unit: int) -> None:
        super().__init__(source, chunk_size)
        self._unit = unit
        self._removal: RemovalCheck | None = None
        self._account = os.geteuid()
        self._needed = SpaceNeeded(0, 0)
        self._layouts: LayoutSurvey | None = None
        self._largest = LargestAttributes()
        self._extremes = {limit: limit.harmless for limit in Limit}
        self._copy_stack = DirStack(copy.directory.descriptor, copy.name) if copy else None

    def close(self) -> None:
        super().close()
        if self._copy_stack:
            self._copy_stack.close()

    def gathered(self) -> SpaceNeeded:
        needed, self._needed = self._needed, SpaceNeeded(0, 0)
        return needed

    def do(self, task: Task, context: WorkerContext) -> None:
        if (entered := self.enter_if_there(task.path)) is None:
            return
        directory, status = entered
        self._removal = self._removal or RemovalCheck(directory)
        self._layouts = self._layouts or LayoutSurvey(directory)
        self._layouts.enter(directory)
        if isinstance(task, ChunkTask):
            names = task.listed()
        else:
            listing = self.listing(directory, None)
            self._tell(task.path, self._removal.directory(directory, status, empty=not listing.count), context)
            self._time(task.path, status.st_mtime_ns // 10**9, context)
            self._attributes(task.path, directory, context)
            self._layouts.directory(task.path, directory)
            if listing.chunks > 1:
                self.send_chunks(task.path, listing, context)
                return
            names = listing.chunk(0)
        self._names(task.path, directory, names, context)
        if self._removal.is_sticky(status):
            self._owners(task.path, directory, names, context)
        self.send_subdirs(task.path, names, context)

    def _names(self, path: str, directory: int, names: list[str], context: WorkerContext) -> None:
        """Count the space of the entries of these names, and tell what is unusual of those that are no directories."""
        if TABLE_LOCK in names:
            context.send(TableSeen(path))
        for name in [name for name in names if len(name) > _LONG_NAME]:
            self._extreme(Limit.NAME, len(os.fsencode(bare(name))), below(path, bare(name)), context)
        others = others_than_directories(names)
        entries = self._entries(path, directory, others, context)
        for seen in self._layouts.take() if self._layouts else ():
            context.send(seen)
        directories, unit = len(names) - len(others), self._unit
        # No more than it takes here, since it may have holes; each name of a file has its share of it.
        shares = [
            -(-(size if size < blocks * _BLOCK else blocks * _BLOCK) // unit) * unit // links
            for _, links, _, _, size, blocks, _ in entries
        ]
        needed = directories * unit + sum(shares)
        inodes = directories + [entry[_LINKS] for entry in entries].count(1)
        if (copy := self._open_copy(path)) >= 0:
            there = [entry for entry in syscalls.statuses(copy, [bare(name) for name in names]) if entry[3]]
            needed -= sum(entry[5] * _BLOCK // (1 if stat.S_ISDIR(entry[3]) else entry[1]) for entry in there)
            inodes -= len(there)
        self._needed = SpaceNeeded(self._needed.bytes + needed, self._needed.inodes + inodes)

    def _entries(
        self, path: str, directory: int, names: list[str], context: WorkerContext
    ) -> Sequence[tuple[int, ...]]:
        """The entries of an open directory that have these names; what is unusual of them is told."""
        entries = syscalls.statuses(directory, names)
        if not self._are_usual(entries):
            there = [(name, EntryStatus._make(entry)) for name, entry in zip(names, entries, strict=True)]
            there = [(name, entry) for name, entry in there if entry.mode]  # the others are gone
            for name, entry in there:
                self._unusual(below(path, name), directory, name, entry, context)
            entries = [entry for _, entry in there]
            there = [(name, entry) for name, entry in there if stat.S_ISREG(entry.mode)]
            self._files(path, directory, [name for name, _ in there], [entry for _, entry in there], context)
            size = sum(entry.size // entry.links for _, entry in there)
        else:
            self._files(path, directory, names, entries, context)
            size = sum([size for _, _, _, _, size, _, _ in entries])
        context.count(len(entries), size)
        return entries

    def _are_usual(self, entries: Sequence[tuple[int, ...]]) -> bool:
        """Tell if all of these are files of this account that it may read, each with one name and no flag."""
        if not entries:
            return True
        flags, links, owners, modes, *_ = zip(*entries, strict=True)
        return (
            set(links) == {1}
            and set(owners) == {self._account}
            and not any(one & _FLAGS for one in set(flags))
            and all(mode & _KIND_AND_READ == _FILE_TO_READ for mode in set(modes))
        )

    def _files(
        self,
        path: str,
        directory: int,
        names: Sequence[str],
        entries: Sequence[tuple[int, ...]],
        context: WorkerContext,
    ) -> None:
        """Tell what a target might not take of these files of an open directory."""
        if not names:
            return
        *_, sizes, _, times = zip(*entries, strict=True)
        if (longest := max(sizes)) > self._extremes[Limit.FILE]:
            self._extreme(Limit.FILE, longest, below(path, names[sizes.index(longest)]), context)
        if not (min(times) in TIMES_OF_EVERY_FILE_SYSTEM and max(times) in TIMES_OF_EVERY_FILE_SYSTEM):
            for name, time in zip(names, times, strict=True):
                self._time(below(path, name), time, context)
        place = named_in(directory, "")
        for name in names:
            if has_attributes(place + name):
                self._attributes(below(path, name), place + name, context)
        if self._layouts and self._layouts.has_any:
            for name in names:
                self._layouts.file(below(path, name), place + name)

    def _unusual(self, path: str, directory: int, name: str, entry: EntryStatus, context: WorkerContext) -> None:
        """Tell what hinders the move of an entry; raise what cannot be copied, or may not be read."""
        if stat.S_IFMT(entry.mode) not in _COPIED:
            raise self.path_error(UncopyableEntryError(UNSUPPORTED), path)
        self._tell(path, hindrance_of(entry.flags), context)
        if entry.links > 1:
            self._extreme(Limit.NAMES, entry.links, path, context)
        if stat.S_ISLNK(entry.mode):
            self._extreme(Limit.LINK, entry.size, path, context)
        if stat.S_ISREG(entry.mode):
            own = entry.owner == self._account and entry.mode & stat.S_IRUSR
            may_be_read = own or os.access(name, os.R_OK, dir_fd=directory, effective_ids=True)
            if not may_be_read and lstat(directory, name) is not None:
                raise self.path_error(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path)

    def _time(self, path: str, modified: int, context: WorkerContext) -> None:
        """Tell of a time, in seconds, that not every target keeps."""
        if modified not in TIMES_OF_EVERY_FILE_SYSTEM:
            context.send(UnusualTime(path, modified * 10**9))

    def _attributes(self, path: str, place: int | str, context: WorkerContext) -> None:
        """Tell of the extended attributes of an entry, which a target might not take."""
        try:
            attributes = read_attributes(place)
        except FileNotFoundError:  # it is gone
            return
        if attributes and self._largest.add(attributes):
            context.send(AttributesSeen(path, attributes))

    def _extreme(self, limit: Limit, amount: int, path: str, context: WorkerContext) -> None:
        if amount > self._extremes[limit]:
            self._extremes[limit] = amount
            context.send(Extreme(limit, amount, path))

    def _owners(self, path: str, directory: int, names: list[str], context: WorkerContext) -> None:
        for name in map(bare, names):
            if (status := lstat(directory, name)) is not None and status.st_uid != self._account:
                self._tell(below(path, name), Hindrance.OWNER, context)

    def _tell(self, path: str, hindrance: Hindrance | None, context: WorkerContext) -> None:
        if hindrance is not None:
            context.send(Obstacle(path, hindrance))

    def _open_copy(self, path: str) -> int:
        if self._copy_stack is not None:
            try:
                return self._copy_stack.open(path)
            except OSError:  # whatever stands there, it makes room
                pass
        return -1
