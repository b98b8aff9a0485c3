"""Make the members of a weblog on disk, relative to open directories, with the modes that the umask leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.filesystem.posix import free_descriptors
from conveyor.weblog.reader import Member, MemberKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conveyor.filesystem.files import OpenFile
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.weblog.sparse import Segment

_MOST_OPEN = 128  # directories


class TreeWriter:
    """A sink that makes a tree below ``root``.

    Modes in the tar are not used, except that an executable file stays executable: files of mode 0600 could not be read by
    the group and the web server. They may read what the mode ``like`` lets them, even if the umask does not.

    The directories that were used last stay open, since members come folder by folder, or by turns from several.
    """

    def __init__(self, fs: FileSystem, root: DirFd, like: int = 0) -> None:
        self._fs = fs
        self._root = root
        entry = fs.lstat(root, ".")
        self._like = like if entry and like & 0o055 & ~entry.mode else 0
        self._current = root
        self._path: tuple[str, ...] = ()
        self._open: dict[tuple[str, ...], DirFd] = {}  # the one that was used last comes last
        self._most_open = min(_MOST_OPEN, free_descriptors() // 4)

    def take(self, member: Member, content: Iterable[memoryview] | None) -> None:
        """Make one member on disk, with the directories that it needs. Raises :class:`OSError`."""
        if member.kind is MemberKind.DIRECTORY:
            self._open_directory(member.path)
            return
        directory, name = self._open_directory(member.path[:-1]), member.path[-1]
        try:
            self._make(member, directory, name, content)
        except FileExistsError:  # a name that comes twice: the last one wins, as for tar
            if member.kind is not MemberKind.HARD_LINK or not self._is_made(member, directory, name):
                self._fs.unlink(directory, name)
                self._make(member, directory, name, content)

    def take_file(
        self, folder: tuple[str, ...], name: str, content: Iterable[memoryview], executable: bool, modified: int
    ) -> None:
        """Make a file that is not sparse, with the directories that it needs. Raises :class:`OSError`."""
        directory = self._current if folder is self._path else self._open_directory(folder)
        try:
            self._fs.make_file(directory, name, content, executable=executable, modified=modified)
        except FileExistsError:
            self._fs.unlink(directory, name)
            self._fs.make_file(directory, name, content, executable=executable, modified=modified)
        if self._like:
            self._let_read(directory, name)

    def close(self) -> None:
        """Close the directories that are still open, but for the root, which the caller opened."""
        for directory in self._open.values():
            directory.close()
        self._open.clear()
        self._current, self._path = self._root, ()

    def _make(self, member: Member, directory: DirFd, name: str, content: Iterable[memoryview] | None) -> None:
        if member.kind is MemberKind.LINK:
            self._fs.symlink(directory, name, member.text)
        elif member.kind is MemberKind.HARD_LINK:
            with self._fs.open_below(self._root, member.target[:-1]) as source:
                self._fs.link(source, member.target[-1], directory, name)
        elif content is not None:
            with self._fs.create_file(directory, name, executable=member.executable) as file:
                _write_segments(file, member.segments or (), content)
                file.truncate(member.size)
            self._fs.utime(directory, name, member.modified)
            self._let_read(directory, name)

    def _is_made(self, hard_link: Member, directory: DirFd, name: str) -> bool:
        """Tell whether a hard link is there already: GNU tar stores a file that it is given twice as a link to itself."""
        with self._fs.open_below(self._root, hard_link.target[:-1]) as source:
            one, other = self._fs.lstat(source, hard_link.target[-1]), self._fs.lstat(directory, name)
        return one is not None and other is not None and one.inode == other.inode

    def _open_directory(self, path: tuple[str, ...]) -> DirFd:
        """Open a directory of the tree, making missing ones."""
        if path == self._path:
            return self._current
        if not path:
            return self._root
        directory = self._open.pop(path, None)
        if directory is None:
            parent, name = self._open_directory(path[:-1]), path[-1]
            try:
                directory = self._fs.open_directory(parent, name)
            except FileNotFoundError:
                self._fs.mkdir(parent, name)
                self._let_read(parent, name)
                directory = self._fs.open_directory(parent, name)
        self._open[path] = self._current = directory
        self._path = path
        if len(self._open) > self._most_open:
            self._open.pop(next(iter(self._open))).close()
        return directory

    def _let_read(self, directory: DirFd, name: str) -> None:
        if self._like:
            self._fs.let_read(directory, name, self._like)


def _write_segments(file: OpenFile, segments: tuple[Segment, ...], content: Iterable[memoryview]) -> None:
    """Write the content to the segments of a sparse file; the rest stays a hole."""
    pieces, piece = iter(content), memoryview(b"")
    for offset, length in segments:
        file.seek(offset)
        left = length
        while left:
            piece = piece or next(pieces)
            written = file.write(piece[:left])
            piece, left = piece[written:], left - written
