"""Walks of a tree: directories opened one below the other, names listed in chunks, whole paths in errors."""

from __future__ import annotations

import itertools
import os
import stat
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from conveyor.errors import CopyDiffersError, UncopyableError
from conveyor.filesystem.error_context import error_context, path_error
from conveyor.filesystem.treecopy.content import DiffersError, UncopyableEntryError
from conveyor.filesystem.treecopy.messages import ChunkTask, SubdirsTask, TableSeen
from conveyor.filesystem.treecopy.records import DIRECTORY, chunk_of, prove_sources, unpack, unpack_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.messages import DirTask, Message, Task
    from conveyor.filesystem.treecopy.records import Record
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 64
# A name has neither "/" nor NUL in it: these marks behind it tell directories, and links, FIFOs, sockets and devices, from
# files.
_DIRECTORY_MARK = "/"
_SPECIAL_MARK = "/?"
_BATCH = 4096  # names
#: The file that makes a directory a casacore table.
TABLE_LOCK = "table.lock"


def below(path: str, name: str) -> str:
    """The path of a name in a directory, both from the tree's root."""
    return f"{path}/{name}" if path else name


def bare(name: str) -> str:
    """A name without its mark; the very same string if it has none."""
    return name.partition("/")[0] if "/" in name else name


def is_directory(name: str) -> bool:
    return name.endswith(_DIRECTORY_MARK)


def is_special(name: str) -> bool:
    return name.endswith(_SPECIAL_MARK)


def others_than_directories(names: list[str]) -> list[str]:
    """The bare names of what is no directory."""
    return [name if "/" not in name else bare(name) for name in names if name[-1] != _DIRECTORY_MARK]


class DirStack:
    """Open directories of one tree, from its root down to the one that was opened last; the deepest 64 stay open.

    So the next directory mostly costs one call. No path is ever given to the kernel, no link followed.
    """

    def __init__(self, parent: int, name: str) -> None:
        self._parent = parent
        self._name = name
        # What paths below each begin with, and its descriptor, -1 if it was closed again; first the root.
        self._open: list[tuple[str, int]] = []

    def open(self, path: str) -> int:
        """A descriptor of a directory below the root, good until the next one is opened. Raises :class:`OSError`."""
        opened, beginning = self._open, path + "/" if path else ""
        if not opened:
            opened.append(("", os.open(self._name, OPEN_DIRECTORY, dir_fd=self._parent)))
        above, directory = opened[-1]
        while directory < 0 or not beginning.startswith(above):
            opened.pop()
            if directory >= 0:
                os.close(directory)
            above, directory = opened[-1]
        if above == beginning:
            return directory
        for name in path[len(above) :].split("/"):
            directory = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
            above += name + "/"
            opened.append((above, directory))
            if (oldest := len(opened) - _MOST_OPEN - 1) > 0 and opened[oldest][1] >= 0:
                os.close(opened[oldest][1])
                opened[oldest] = (opened[oldest][0], -1)
        return directory

    def close(self) -> None:
        """Close all; the next directory is opened from the root again."""
        for _, descriptor in self._open:
            if descriptor >= 0:
                os.close(descriptor)
        self._open.clear()


def visit(
    tree: PathAt, wanted: Callable[[os.DirEntry[str]], bool]
) -> Iterator[tuple[str, int, list[os.DirEntry[str]]]]:
    """Yield each directory of a tree, before those in it: its path from the tree, a descriptor, and the ``wanted`` entries.

    The descriptor is good until the next one is asked for. Raises :class:`OSError` with the whole path.
    """
    stack, pending = DirStack(tree.directory.descriptor, tree.name), [""]
    try:
        while pending:
            path = pending.pop()
            with error_context("list", tree.path / path):
                directory = stack.open(path)
                entries = []
                with os.scandir(directory) as found:
                    for entry in found:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(below(path, entry.name))
                        elif wanted(entry):
                            entries.append(entry)
            yield path, directory, entries
    finally:
        stack.close()


class DirListing:
    """The marked names of a directory, in chunks; packed if there are many, to take less memory."""

    def __init__(self, names: list[str], packed: list[bytearray], count: int) -> None:
        self.count = count
        self.chunks = len(packed) or 1
        self._names = names
        self._packed = packed

    @classmethod
    def read(cls, directory: int, chunk_size: int, chunks: int | None = None) -> DirListing:
        """List an open directory, in the given number of chunks, or in chunks of about ``chunk_size`` names."""
        batches: list[bytes] = []
        with os.scandir(directory) as entries:
            while len(names := _marked(itertools.islice(entries, _BATCH))) == _BATCH:
                batches.append(os.fsencode("\0".join(names)))
        count = len(names) + _BATCH * len(batches)
        chunks = chunks or -(-count // chunk_size) or 1
        packed = _pack([*batches, os.fsencode("\0".join(names))], chunks) if batches or chunks > 1 else []
        return cls(names, packed, count)

    @classmethod
    def recorded(cls, records: Mapping[str, Record]) -> DirListing:
        """The names of a directory that is known to have these, and no others."""
        return cls([name + _mark(record.mode) for name, record in records.items()], [], len(records))

    def chunk(self, number: int) -> list[str]:
        """The names in a chunk."""
        return os.fsdecode(bytes(self._packed[number])).split("\0")[:-1] if self._packed else self._names


def _marked(entries: Iterable[os.DirEntry[str]]) -> list[str]:
    return [
        entry.name
        if entry.is_file(follow_symlinks=False)
        else entry.name + (_DIRECTORY_MARK if entry.is_dir(follow_symlinks=False) else _SPECIAL_MARK)
        for entry in entries
    ]


def _mark(mode: int) -> str:
    if stat.S_ISREG(mode):
        return ""
    return _DIRECTORY_MARK if stat.S_ISDIR(mode) else _SPECIAL_MARK


def _pack(batches: list[bytes], chunks: int) -> list[bytearray]:
    packed = [bytearray() for _ in range(chunks)]
    for batch in batches:
        for name in batch.split(b"\0"):
            if name:
                packed[chunk_of(name.partition(b"/")[0], chunks)] += name + b"\0"
    return packed


class TreeWalk(ABC):
    """One operation on each directory of a tree. Each process performs tasks of it on its own.

    ``copy`` is what the walk makes of the tree, if it makes one: an error may be of either side, and names both.
    ``is_light`` says that it neither reads nor writes what is in files, so that an entry takes some microseconds.
    """

    operation = "walk"
    is_light = False

    def __init__(self, tree: PathAt, chunk_size: int, copy: PathAt | None = None) -> None:
        self.tree = tree
        self.chunk_size = chunk_size
        self._copy_of_tree = copy
        self._stack = DirStack(tree.directory.descriptor, tree.name)
        with error_context(self.operation, tree.path):
            self._device = os.stat(tree.name, dir_fd=tree.directory.descriptor, follow_symlinks=False).st_dev

    def perform(self, task: Task, context: WorkerContext) -> None:
        """Do a task; an error has the whole path of what it met."""
        try:
            self.do(task, context)
        except (OSError, DiffersError) as error:
            raise self.path_error(error, task.path) from error

    @abstractmethod
    def do(self, task: Task, context: WorkerContext) -> None:
        """Do a task, and send what comes of it. Raises :class:`OSError` and :class:`DiffersError`."""

    def names_of(self, task: Task, directory: int, context: WorkerContext) -> list[str] | None:
        """The names that a task is about, of an open directory; None if they are many, and sent as tasks of their own."""
        if isinstance(task, ChunkTask):
            return task.listed()
        listing = self.listing(directory, None)
        if listing.chunks > 1:
            self.send_chunks(task.path, listing, context)
            return None
        return listing.chunk(0)

    def gathered(self) -> Message | None:
        """The message of what came of several tasks together, if there is such; asked for after some, and after the last."""
        return None

    def close(self) -> None:
        """Close the directories that this process holds open."""
        self._stack.close()

    def enter(self, path: str) -> tuple[int, os.stat_result]:
        """Open a directory of the tree; raises :class:`UncopyableEntryError` for one of another file system."""
        directory = self._stack.open(path)
        status = os.fstat(directory)
        if status.st_dev != self._device:
            raise UncopyableEntryError("another file system, or a subvolume, is mounted here")
        return directory, status

    def enter_if_there(self, path: str) -> tuple[int, os.stat_result] | None:
        """The same; None if the directory is gone since its name was read. Raises as well if the root is gone."""
        try:
            return self.enter(path)
        except (FileNotFoundError, NotADirectoryError):
            if path:
                return None
            raise

    def listing(self, directory: int, dir_record: Record | None) -> DirListing:
        """The directory's names, in the chunks that the manifest has them in."""
        return DirListing.read(directory, self.chunk_size, dir_record.size if dir_record else None)

    def recorded_listing(self, task: DirTask, directory: int, dir_record: Record) -> DirListing:
        """The same of a directory that is proven to have the names that are recorded; they need not be read then."""
        if dir_record.size == 1:
            return DirListing.recorded(unpack(task.recorded))
        return self.listing(directory, dir_record)

    def skim(self, task: DirTask, directory: int, context: WorkerContext) -> bool:
        """Tell if all entries of a directory of the source are as recorded, and leave its subdirectories to any worker.

        The directory is one that is proven to have the names that are recorded, in one chunk.
        """
        recorded = unpack_sources(task.recorded)
        directories = [name for name, fields in recorded.items() if fields[0] == DIRECTORY.mode]
        for name in directories:
            del recorded[name]
        if not prove_sources(directory, recorded):
            return False
        context.count(len(recorded), sum([fields[1] for fields in recorded.values()]))
        if directories:
            context.send(SubdirsTask(task.path, "\0".join(directories)))
        if TABLE_LOCK in recorded:
            context.send(TableSeen(task.path))
        return True

    def send_chunks(
        self,
        path: str,
        listing: DirListing,
        context: WorkerContext,
        *,
        target_is_new: bool = False,
        empty_too: bool = False,
    ) -> None:
        """Leave the chunks of a directory that has many names to any worker."""
        for number in range(listing.chunks):
            names = listing.chunk(number)
            if names or empty_too:
                context.send(ChunkTask(path, "\0".join(names), number, target_is_new))

    def send_subdirs(self, path: str, names: list[str], context: WorkerContext, *, target_is_new: bool = False) -> None:
        """Leave the directories among the names to any worker."""
        if directories := [bare(name) for name in names if is_directory(name)]:
            context.send(SubdirsTask(path, "\0".join(directories), target_is_new))

    def path_error(self, error: OSError | DiffersError, path: str) -> Exception:
        """The error with the operation and the whole path in it, unless it has a whole path already."""
        whole = self.tree.path / path
        if isinstance(error, UncopyableEntryError):
            return UncopyableError(f"{error}: {whole}")
        if isinstance(error, DiffersError):
            return CopyDiffersError(f"{error}: {whole}")
        if isinstance(error.filename, str) and error.filename.startswith("/"):
            return error
        return path_error(error, self.operation, whole, self._copy_of_tree.path / path if self._copy_of_tree else None)
