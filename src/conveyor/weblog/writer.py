"""Make the members of a weblog on disk, relative to open folders, with the modes that the umask leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.weblog.reader import Member, MemberKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.posix import DirFd, FileSystem


class TreeWriter:
    """A sink that makes a tree below ``root``.

    Modes in the tar are not used, but for whether a file is executable: a weblog made by mode 0600 files could not be read
    by the group and the web server. A folder stays open while its members come, since a tar is in tree order.
    """

    def __init__(self, fs: FileSystem, root: DirFd) -> None:
        self._fs = fs
        self._root = root
        self._current = root
        self._path: tuple[str, ...] = ()

    def take(self, member: Member, content: Iterator[memoryview] | None) -> None:
        if member.kind is MemberKind.FOLDER:
            self._folder(member.path)
            return
        folder, name = self._folder(member.path[:-1]), member.path[-1]
        if member.kind is MemberKind.LINK:
            self._fs.symlink(folder, name, member.text)
        elif member.kind is MemberKind.HARD_LINK:
            self._hard_link(member, folder, name)
        elif content is not None:
            try:
                self._file(member, folder, name, content)
            except FileExistsError:  # a name that comes twice: the last one wins, as for tar
                self._fs.unlink(folder, name)
                self._file(member, folder, name, content)

    def close(self) -> None:
        """Give back the folder that is still open, unless it is the root, which the caller opened."""
        if self._current is not self._root:
            self._current.close()
        self._current, self._path = self._root, ()

    def _file(self, member: Member, folder: DirFd, name: str, content: Iterator[memoryview]) -> None:
        self._fs.make_file(folder, name, content, executable=member.executable, modified=member.modified)

    def _hard_link(self, member: Member, folder: DirFd, name: str) -> None:
        with self._fs.open_below(self._root, member.target[:-1]) as source:
            self._fs.link(source, member.target[-1], folder, name)

    def _folder(self, path: tuple[str, ...]) -> DirFd:
        """Open a folder of the tree, making what is missing: each try that fails is paid for by a folder that is made."""
        if path == self._path:
            return self._current
        folder, depth = None, len(path)
        while folder is None:
            try:
                folder = self._fs.open_below(self._root, path[:depth])
            except FileNotFoundError:
                if not depth:
                    raise
                depth -= 1
        for part in path[depth:]:
            with folder:
                self._fs.mkdir(folder, part)
                folder = self._fs.open_directory(folder, part)
        self.close()
        self._current, self._path = folder, path
        return folder
