"""Copy single entries: files, links and FIFOs, to an open directory of the copy."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import struct
from functools import partial
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.attributes import finish, finish_fifo, finish_link, make_private
from conveyor.filesystem.treecopy.cloning import Cloner
from conveyor.filesystem.treecopy.content import Content, DiffersError, UncopyableEntryError
from conveyor.filesystem.treecopy.digest import ABSENT, CLONED, digest_of
from conveyor.filesystem.treecopy.messages import BlockDigests
from conveyor.filesystem.treecopy.remove_tree import remove_directory_at
from conveyor.filesystem.treecopy.striping import asks_for_the_same, create_striped, layout_of, set_layout

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import CopyOptions
    from conveyor.filesystem.treecopy.striping import Striping
    from conveyor.filesystem.treecopy.worker_context import WorkerContext

# A FIFO that is put in a file's place meanwhile must not block.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = _WRITE | os.O_CREAT | os.O_EXCL
#: The errors of opening what was renamed, removed or replaced since its name was read.
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
UNSUPPORTED = "neither file, directory, link nor FIFO, so that it cannot be copied"
_IDENTITY = struct.Struct("<qqQq")


class Target:
    """An open directory of the copy. ``is_new`` says that it was empty when this run came to it."""

    def __init__(self, path: str, descriptor: int, *, is_new: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        self.is_new = is_new
        self._private = is_new

    def remove(self, name: str) -> None:
        """Make sure that nothing has this name."""
        self._open_up()
        if self.is_new:
            return
        with contextlib.suppress(FileNotFoundError):  # leaving it, Python handles a signal; a bare ``except`` may not
            try:
                os.unlink(name, dir_fd=self.descriptor)
            except IsADirectoryError:
                remove_directory_at(self.descriptor, name)

    def mkdir(self, name: str) -> bool:
        """Make sure that there is a directory of this name; True if it was made."""
        if not self.is_new:
            with contextlib.suppress(FileNotFoundError):
                os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
                return False
        self._open_up()
        os.mkdir(name, 0o700, dir_fd=self.descriptor)
        return True

    @functools.cached_property
    def layout(self) -> Striping | None:
        """The layout that is handed on to what is made in it."""
        return layout_of(self.descriptor)

    def hand_on(self, layout: Striping) -> None:
        """Change the layout that is handed on."""
        self._open_up()
        set_layout(self.descriptor, layout)
        self.layout = layout_of(self.descriptor)

    def _open_up(self) -> None:
        """An earlier run may have finished the directory, and made it read-only."""
        if not self._private:
            make_private(self.descriptor)
            self._private = True


def lstat(directory: int, name: str) -> os.stat_result | None:
    """The stat of a name in an open directory; None if there is nothing of this name."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def identity(status: os.stat_result) -> bytes:
    """Identity of a large file (size, mtime, inode, ctime), to decide if its copy can be resumed."""
    return _IDENTITY.pack(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)


class EntryCopier:
    """Copies single entries; files of more than ``block`` bytes are large. With ``flush``, each is flushed by itself."""

    def __init__(self, options: CopyOptions, *, flush: bool, keep_layouts: bool = False) -> None:
        self._content = Content(options.buffer, options.block, read_back=options.read_back == "cache")
        self.cloner = Cloner()
        self.block = options.block
        self._link_attributes = options.link_attributes
        self._flush = flush
        self._keep_layouts = keep_layouts

    def file(
        self,
        name: str,
        file: int,
        status: os.stat_result,
        target: Target,
        context: WorkerContext,
        recorded: bytes = b"",
    ) -> tuple[os.stat_result, bytes]:
        """Clone an open file, or copy it if it cannot be cloned; the stat of the copy afterwards, and the digest.

        ``recorded`` are the digests of the blocks that an earlier run copied, as the manifest says.

        Raises :class:`ChangedError` if the source changes meanwhile.
        """
        size, copy = status.st_size, self._reopen(name, target) if recorded else -1
        if copy < 0:
            recorded = b""
            if not target.is_new:
                target.remove(name)
            if self._keep_layouts:
                copy = self._create(name, file, status.st_mode & 0o7777, target)
            else:
                copy = os.open(name, _CREATE, status.st_mode & 0o7777, dir_fd=target.descriptor)
        try:
            if size >= self.cloner.least and not recorded and self.cloner.clone(file, size, copy):
                digest = CLONED
                context.count(0, size)
            elif size > self.block:
                done = partial(_tell_of_blocks, context, target.path, name, identity(status))
                digest = self._content.copy_large(file, status, copy, recorded, context, done)
            else:
                digest = self._content.copy(file, status, copy, context)
            now = finish(file, status, copy)
            if self._flush:
                os.fsync(copy)
        finally:
            os.close(copy)
        return now, digest

    def special(self, name: str, source: int, status: os.stat_result, target: Target) -> tuple[os.stat_result, bytes]:
        """Copy a link or a FIFO; the stat of the copy, and the digest."""
        if stat.S_ISLNK(status.st_mode):
            text = os.readlink(name, dir_fd=source)
            target.remove(name)
            os.symlink(text, name, dir_fd=target.descriptor)
            if os.readlink(name, dir_fd=target.descriptor) != text:
                raise DiffersError("another text was read back from the link")
            if self._link_attributes:
                now = finish_link(name, target.descriptor, status)
            else:
                now = os.stat(name, dir_fd=target.descriptor, follow_symlinks=False)
            return now, digest_of(os.fsencode(text))
        if stat.S_ISFIFO(status.st_mode):
            target.remove(name)
            os.mkfifo(name, 0o600, dir_fd=target.descriptor)
            return finish_fifo(name, target.descriptor, status), ABSENT
        raise UncopyableEntryError(UNSUPPORTED)

    def hand_on_layout(self, source: int, target: Target) -> None:
        """Have a directory of the copy hand on the layout that the open source hands on to what is made in it."""
        if (layout := self._layout_unlike(source, target)) is not None:
            target.hand_on(layout)

    def _create(self, name: str, source: int, mode: int, target: Target) -> int:
        """Make a file for the copy of the open source, with its layout."""
        if (layout := self._layout_unlike(source, target)) is not None:
            return create_striped(target.descriptor, name, _CREATE, mode, layout)
        return os.open(name, _CREATE, mode, dir_fd=target.descriptor)

    def _layout_unlike(self, source: int, target: Target) -> Striping | None:
        """The layout of the open source; None if a directory of the copy hands it on, or if none is to be or can be kept."""
        layout = layout_of(source) if self._keep_layouts else None
        can_be_set = layout is not None and layout.components
        return layout if can_be_set and not asks_for_the_same(layout, target.layout) else None

    def make_durable(self, descriptor: int) -> None:
        """Flush a file or directory, unless the whole file system is flushed at once."""
        if self._flush:
            os.fsync(descriptor)

    def _reopen(self, name: str, target: Target) -> int:
        """Open what an earlier run copied of a large file; -1 if it is no regular file, or has several names."""
        try:
            copy = os.open(name, _WRITE, dir_fd=target.descriptor)
        except OSError:
            return -1
        status = os.fstat(copy)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            return copy
        os.close(copy)
        return -1


def _tell_of_blocks(context: WorkerContext, path: str, name: str, identity: bytes, number: int, digests: bytes) -> None:
    """Send the digests of blocks of a large file, from that of this number on."""
    context.send(BlockDigests(path, name, identity, digests, first=number == 0))
