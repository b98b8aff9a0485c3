"""Make the members of a weblog on disk, relative to open directories, with the modes that the umask leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.weblog.reader import Member, MemberKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.files import OpenFile
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.weblog.sparse import Segment


class TreeWriter:
    """A sink that makes a tree below ``root``.

    Modes in the tar are not used, except that an executable file stays executable: files of mode 0600 could not be read by
    the group and the web server. A directory stays open while its members come, since a tar is in tree order.
    """

    def __init__(self, fs: FileSystem, root: DirFd) -> None:
        self._fs = fs
        self._root = root
        self._current = root
        self._path: tuple[str, ...] = ()

    def take(self, member: Member, content: Iterator[memoryview] | None) -> None:
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

    def close(self) -> None:
        """Close the directory that is still open, unless it is the root, which the caller opened."""
        if self._current is not self._root:
            self._current.close()
        self._current, self._path = self._root, ()

    def _make(self, member: Member, directory: DirFd, name: str, content: Iterator[memoryview] | None) -> None:
        if member.kind is MemberKind.LINK:
            self._fs.symlink(directory, name, member.text)
        elif member.kind is MemberKind.HARD_LINK:
            with self._fs.open_below(self._root, member.target[:-1]) as source:
                self._fs.link(source, member.target[-1], directory, name)
        elif content is not None and member.segments is None:
            self._fs.make_file(directory, name, content, executable=member.executable, modified=member.modified)
        elif content is not None:
            with self._fs.create_file(directory, name, executable=member.executable) as file:
                _write_segments(file, member.segments or (), content)
                file.truncate(member.size)
            self._fs.utime(directory, name, member.modified)

    def _is_made(self, hard_link: Member, directory: DirFd, name: str) -> bool:
        """Tell whether a hard link is there already: GNU tar stores a file that it is given twice as a link to itself."""
        with self._fs.open_below(self._root, hard_link.target[:-1]) as source:
            one, other = self._fs.lstat(source, hard_link.target[-1]), self._fs.lstat(directory, name)
        return one is not None and other is not None and one.inode == other.inode

    def _open_directory(self, path: tuple[str, ...]) -> DirFd:
        """Open a directory of the tree, making missing ones; each failed try is followed by a directory that is made."""
        if path == self._path:
            return self._current
        directory, depth = None, len(path)
        while directory is None:
            try:
                directory = self._fs.open_below(self._root, path[:depth])
            except FileNotFoundError:
                if not depth:
                    raise
                depth -= 1
        for part in path[depth:]:
            with directory:
                self._fs.mkdir(directory, part)
                directory = self._fs.open_directory(directory, part)
        self.close()
        self._current, self._path = directory, path
        return directory


def _write_segments(file: OpenFile, segments: tuple[Segment, ...], content: Iterator[memoryview]) -> None:
    """Write the content to the segments of a sparse file; the rest stays a hole."""
    piece = memoryview(b"")
    for offset, length in segments:
        file.seek(offset)
        left = length
        while left:
            piece = piece or next(content)
            written = file.write(piece[:left])
            piece, left = piece[written:], left - written
