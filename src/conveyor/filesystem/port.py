"""What the layers above may ask of a file system: the port, and the values that pass through it.

Every operation names its object by an open :class:`Folder` and one name in it, never by a path: a folder that somebody
swaps for a symlink between the look and the act cannot lead an operation elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from io import BufferedReader
    from pathlib import Path
    from types import TracebackType

    from conveyor.filesystem.files import OpenFile


class Kind(StrEnum):
    """What stands under a name; links are seen as links, never followed."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One look at one name. ``size`` in bytes, ``modified`` in nanoseconds since the epoch, ``owner`` a user's number."""

    kind: Kind
    device: int
    inode: int
    size: int
    modified: int
    mode: int
    owner: int


@dataclass(frozen=True, slots=True)
class Space:
    """What a file system has left for this account: bytes, and inodes (None where it does not count them)."""

    free: int
    size: int
    free_inodes: int | None


@dataclass(slots=True)
class Folder:
    """A folder held open: ``descriptor`` is what operations use, ``path`` is what messages say."""

    path: Path
    descriptor: int
    _close: Callable[[int], None] = field(repr=False)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; closing twice is harmless."""
        if self.descriptor >= 0:
            self._close(self.descriptor)
            self.descriptor = -1


class ExchangeRefusedError(OSError):
    """This file system (Lustre, NFS, an old kernel) cannot let two names trade places in one step."""


class CrossDeviceError(OSError):
    """A rename between these two folders is refused: what has to move has to be copied."""


def temporary_name(name: str) -> str:
    """The name under which :meth:`FileSystem.write` prepares a file; a crash may leave one behind."""
    return f".{name}.new"


class FileSystem(Protocol):
    """The operations, first those that look, then those that act.

    Each raises :class:`OSError` with the operation and the whole path in it. None follows a link in the place of the
    named object. The names that they make, move or remove change in one step.
    """

    def open_root(self, path: Path) -> Folder:
        """Open a folder by its path; links on the way are followed, since an operator named this path."""

    def open_folder(self, parent: Folder, name: str) -> Folder:
        """Open a folder in a folder; a link in its place is refused (ELOOP or ENOTDIR)."""

    def open_below(self, folder: Folder, names: Sequence[str]) -> Folder:
        """Open a folder at any depth below another; a link in the place of any of the names is refused."""

    def look(self, folder: Folder, name: str) -> Entry | None:
        """See what stands under the name; None where nothing does."""

    def names(self, folder: Folder) -> list[str]:
        """Everything in the folder, sorted."""

    def read_link(self, folder: Folder, name: str) -> str:
        """The text of a link."""

    def read(self, folder: Folder, name: str, *, limit: int) -> bytes:
        """Read a regular file's first ``limit`` bytes."""

    def open_file(self, folder: Folder, name: str) -> BufferedReader:
        """Open a regular file for reading; EINVAL for a device or a FIFO, which is neither read nor waited for."""

    def writable(self, folder: Folder, name: str = ".") -> bool:
        """Whether this account may make and remove names in the folder, or move the directory ``name`` in it."""

    def mounted(self, folder: Folder, names: Sequence[str]) -> list[Path]:
        """Where file systems are mounted on directories of these names or below them, as this process sees them.

        Nothing where the kernel does not tell.
        """

    def space(self, folder: Folder) -> Space:
        """What the folder's file system has left. Quotas do not show in it."""

    def flock_excludes(self, folder: Folder, name: str) -> bool:
        """Whether a second ``flock`` of a file is refused while one is held; OSError (ENOSYS) where there is no such call.

        That it is refused on this host says nothing of other hosts.
        """

    def make_folder(self, folder: Folder, name: str) -> None:
        """Make a folder with the mode that the umask leaves."""

    def make_link(self, folder: Folder, name: str, text: str) -> None:
        """Make a symbolic link; EEXIST where the name is taken."""

    def rename(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        """Rename; raises :class:`CrossDeviceError` where only a copy would do."""

    def exchange(self, one: Folder, name: str, other: Folder, other_name: str) -> None:
        """Let two names trade places in one step; the modification times of what stands under them stay.

        Raises :class:`ExchangeRefusedError` where the file system has no such step, :class:`CrossDeviceError` where
        the two are not in one file system.
        """

    def remove(self, folder: Folder, name: str) -> None:
        """Remove a file or a link."""

    def remove_folder(self, folder: Folder, name: str) -> None:
        """Remove an empty folder."""

    def write(self, folder: Folder, name: str, content: bytes, *, durable: bool = True) -> None:
        """Put a file in place whole and flushed, or not at all: a temporary name, fsync, rename, fsync of the folder.

        Unless it is to be ``durable``, it is not flushed: whole for whoever reads it now, but not after a power cut.
        """

    def append(self, folder: Folder, name: str, content: bytes, *, durable: bool = False) -> None:
        """Add to a file's end in one write, making the file if need be; ``durable`` flushes the file."""

    def create_file(self, folder: Folder, name: str, *, executable: bool = False) -> OpenFile:
        """Make a new file for writing, with the mode that the umask leaves; EEXIST where the name is taken.

        Its ``write`` writes all that it is given.
        """

    def make_file(
        self, folder: Folder, name: str, pieces: Iterable[memoryview], *, executable: bool = False, modified: int
    ) -> None:
        """Make a new file of these pieces, as :meth:`create_file` does, with its times; for many files that are small.

        What ``pieces`` raises goes through, with what was written left there.
        """

    def set_modified(self, folder: Folder, name: str, moment: int) -> None:
        """Set a file's times, in nanoseconds since the epoch."""

    def hard_link(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        """Give a file a second name."""

    def flush(self, folder: Folder) -> None:
        """Make the names in this folder durable (fsync of the folder)."""

    def flush_all(self, folder: Folder) -> None:
        """Make everything written to the folder's file system durable (syncfs)."""

    def let_readers_pass(self) -> None:
        """Wait a moment, so that whoever is in the middle of a path walk comes to its end before a name goes for good."""
