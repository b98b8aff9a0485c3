"""Messages between the scheduler and its workers: tasks, and what comes of them."""

from __future__ import annotations

from typing import NamedTuple


class SubdirsTask(NamedTuple):
    """Subdirectories of the directory ``path``, their names joined by NUL; the scheduler makes a DirTask of each."""

    path: str
    names: str
    target_is_new: bool = False


class DirTask(NamedTuple):
    """One directory, by its path from the tree's root, "" for that: its names, and their entries if they are few.

    ``dir_record`` and ``recorded`` are what the manifest says of the directory itself and of its first chunk, packed;
    ``target_is_new`` says that the copy has nothing of it yet.
    """

    path: str
    target_is_new: bool = False
    dir_record: bytes = b""
    recorded: bytes = b""


class ChunkTask(NamedTuple):
    """One chunk of the names of a directory that has many; the names are joined by NUL."""

    path: str
    names: str
    chunk: int
    target_is_new: bool = False
    recorded: bytes = b""

    def listed(self) -> list[str]:
        """The names."""
        return self.names.split("\0") if self.names else []


class LargeFileTask(NamedTuple):
    """One large file; ``recorded`` are the digests of the blocks that were copied of the file of this ``identity``."""

    path: str
    name: str
    chunk: int
    identity: bytes
    recorded: bytes = b""


class HardlinksTask(NamedTuple):
    """All names of one file that has several: each as the chunk of its directory that it is in, and its path."""

    names: list[tuple[int, str]]

    @property
    def path(self) -> str:
        """The tree's root."""
        return ""


Task = SubdirsTask | DirTask | ChunkTask | LargeFileTask | HardlinksTask


class ManifestUpdate(NamedTuple):
    """A segment of records for a chunk of a directory: instead of those that it has, or added to them."""

    path: str
    chunk: int
    segment: bytes
    replace: bool


class ManifestRows(NamedTuple):
    """Rows that take the place of those of their chunks: the directory's key, the chunk, and its segment."""

    rows: list[tuple[bytes, int, bytes]]


class BlockDigests(NamedTuple):
    """Digests of blocks of a large file that were copied."""

    path: str
    name: str
    identity: bytes
    digests: bytes
    first: bool


class HardlinkSeen(NamedTuple):
    """One of several names of a file; ``proven`` if this name needs no copying."""

    inode: int
    path: str
    chunk: int
    name: str
    proven: bool


class Difference(NamedTuple):
    """An entry that is not as it was; ``change`` is one of the words of :class:`~.compare.Change`."""

    path: str
    change: str


class ClonesSeen(NamedTuple):
    """Clones in a chunk whose content was not read: the number of files, and their size in bytes."""

    files: int
    bytes: int


class DigestsMade(NamedTuple):
    """Clones in a chunk that were read, so that they have digests now: the number of files, and their size in bytes."""

    files: int
    bytes: int


class TableSeen(NamedTuple):
    """A directory that is a casacore table."""

    path: str


class Obstacle(NamedTuple):
    """An entry that could not be removed; ``hindrance`` is a word of :class:`~conveyor.filesystem.posix.Hindrance`."""

    path: str
    hindrance: str


class AttributesSeen(NamedTuple):
    """The extended attributes of an entry, larger than those of their kinds that were seen before."""

    path: str
    attributes: dict[str, bytes]


class LayoutsSeen(NamedTuple):
    """Files and directories with a layout of their own on Lustre (see ``striping``), and the path of one of them.

    ``striping`` is the layout, packed, empty if nothing can set it; ``unkept`` are the words for what a copy cannot have.
    """

    path: str
    striping: bytes
    unkept: str
    number: int


class UnusualTime(NamedTuple):
    """An entry whose modification time, in nanoseconds since the epoch, not every file system keeps."""

    path: str
    modified: int


class Extreme(NamedTuple):
    """The most that was seen in a tree of something that file systems limit, and the entry that has it.

    ``what`` is one of the words of :class:`~.target_limits.Limit`.
    """

    what: str
    amount: int
    path: str


class ProjectSeen(NamedTuple):
    """An entry that has another project ID than most of its tree."""

    inode: int
    number: int
    handed_on: bool


class EntryKept(NamedTuple):
    """An entry that this account may not give another project ID."""

    path: str


class SpaceNeeded(NamedTuple):
    """Free space that a copy still needs: bytes and inodes."""

    bytes: int
    inodes: int


Message = (
    Task
    | ManifestUpdate
    | ManifestRows
    | BlockDigests
    | HardlinkSeen
    | Difference
    | ClonesSeen
    | DigestsMade
    | SpaceNeeded
    | TableSeen
    | Obstacle
    | AttributesSeen
    | LayoutsSeen
    | UnusualTime
    | Extreme
    | ProjectSeen
    | EntryKept
)
