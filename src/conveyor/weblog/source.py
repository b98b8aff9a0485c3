"""The weblog tar as it stands among the products: open, watched for writers, and copied or cloned while it is read."""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import TYPE_CHECKING

from conveyor.errors import WeblogChangingError, WeblogDamagedError, WeblogTooLargeError, WeblogUnsafeError
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.digest import Hasher
from conveyor.values import frozen
from conveyor.weblog.inflate import digest_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

    from conveyor.documents.kept_documents import WeblogReceipt
    from conveyor.filesystem.files import OpenFile
    from conveyor.filesystem.posix import DirFd, Entry, FileSystem

_STRETCH = 8 << 20  # bytes of the tar's copy that the disk is given together
# Seconds. Who writes a tar may pause between two pieces, and a file server shows them late. Its clock may be ahead, too.
_RECENT = 30


@frozen
class SourceTar:
    """A weblog tar that is open for reading, and as it was just before."""

    fs: FileSystem
    directory: DirFd
    name: str
    file: BufferedReader
    entry: Entry

    @property
    def path(self) -> Path:
        return self.directory.path / self.name

    @property
    def size(self) -> int:
        """The tar's length in bytes, as it was when it was opened."""
        return self.entry.size

    def is_that_of(self, receipt: WeblogReceipt) -> bool:
        """Tell whether the tar is the one that a receipt is about, by reading it; release 0.1.0 took the SHA-256 digest."""
        self.file.seek(0)
        if "digest" in receipt:
            return receipt["digest"] == digest_text(hashlib.file_digest(self.file, Hasher).digest())
        return receipt.get("sha256") == hashlib.file_digest(self.file, "sha256").hexdigest()

    def clone_to(self, copy: OpenFile) -> bool:
        """Let a copy share the tar's extents, as some file systems can; False, and it is empty still, if it cannot.

        Raises :class:`~conveyor.errors.WeblogChangingError` if the tar has another length by now, and :class:`OSError`.
        """
        from conveyor.filesystem.treecopy.cloning import clone_file
        from conveyor.filesystem.treecopy.content import ChangedError

        try:
            with error_context("clone", self.path):
                return clone_file(self.file.fileno(), copy.fileno())
        except ChangedError:
            raise self._changing_error() from None

    def check_unchanged(self) -> None:
        """Raise WeblogChangingError if the tar was written to, replaced or removed since it was opened."""
        now = self.fs.lstat(self.directory, self.name)
        if now is None or _content(now) != _content(self.entry):
            raise self._changing_error()

    def _changing_error(self) -> WeblogChangingError:
        return WeblogChangingError(f"the weblog {self.path} changed while it was read")

    @contextlib.contextmanager
    def read_with_care(self) -> Iterator[None]:
        """Turn what is wrong with the tar into a WeblogChangingError if that may come from its being written."""
        try:
            yield
        except (WeblogDamagedError, WeblogUnsafeError, WeblogTooLargeError) as error:
            self.check_unchanged()
            age = time.time() - self.entry.modified / 1e9
            if isinstance(error, WeblogDamagedError) and error.cut_short and abs(age) < _RECENT:
                since = f"it was written to {max(age, 0):.0f} seconds ago, and may still be written"
                raise WeblogChangingError(f"{error.message}; {since}") from error
            raise
        self.check_unchanged()


@contextlib.contextmanager
def open_tar(fs: FileSystem, directory: DirFd, name: str) -> Iterator[SourceTar]:
    """Open a weblog tar. Raises :class:`OSError`."""
    entry = fs.lstat(directory, name)
    with fs.open_file(directory, name) as file:
        if entry is None:
            raise WeblogChangingError(f"the weblog {directory.path / name} was put there at this moment")
        yield SourceTar(fs, directory, name, file, entry)


def _content(entry: Entry) -> tuple[int, ...]:
    """Return what changes with the content of a file, or with the file."""
    return entry.device, entry.inode, entry.size, entry.modified


class CopyingTar:
    """A tar that is copied while it is read, so that it is read once; the disk writes the copy while the tree is made."""

    def __init__(self, tar: BufferedReader, copy: OpenFile) -> None:
        self._tar = tar
        self._copy = copy
        self._waiting = 0

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most ``size``, once they are in the copy."""
        data = self._tar.read(size)
        self._waiting += self._copy.write(data)
        if self._waiting >= _STRETCH:
            self._copy.begin_flush()
            self._waiting = 0
        return data
