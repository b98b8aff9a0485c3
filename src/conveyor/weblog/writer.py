"""Make the members of a weblog on disk, relative to open folders, with the modes that the umask leaves."""

from __future__ import annotations

import contextlib
from typing import IO, TYPE_CHECKING

from conveyor.weblog.reader import Member, MemberKind

if TYPE_CHECKING:
    from conveyor.filesystem.port import FileSystem, Folder

_BLOCK = 1 << 18


class TreeWriter:
    """A sink that makes a tree below ``root``.

    Modes in the tar are not used, but for whether a file is executable: a weblog made by mode 0600 files could not be read
    by the group and the web server. Folders stay open while their members come, since a tar is in tree order.
    """

    def __init__(self, fs: FileSystem, root: Folder) -> None:
        self._fs = fs
        self._open = [root]
        self._path: tuple[str, ...] = ()

    def take(self, member: Member, content: IO[bytes] | None) -> None:
        if member.kind is MemberKind.FOLDER:
            self._folder(member.path)
            return
        folder, name = self._folder(member.path[:-1]), member.path[-1]
        if member.kind is MemberKind.LINK:
            self._fs.make_link(folder, name, member.text)
        elif member.kind is MemberKind.HARD_LINK:
            self._hard_link(member, folder, name)
        elif content is not None:
            self._file(member, folder, name, content)

    def close(self) -> None:
        """Give back the folders that are still open, but for the root, which the caller opened."""
        self._leave(0)

    def _file(self, member: Member, folder: Folder, name: str, content: IO[bytes]) -> None:
        with contextlib.suppress(FileNotFoundError):  # a name that comes twice: the last one wins, as for tar
            self._fs.remove(folder, name)
        with self._fs.create_file(folder, name, executable=member.executable) as file:
            while block := content.read(_BLOCK):
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest) :]
        self._fs.set_modified(folder, name, member.modified)

    def _hard_link(self, member: Member, folder: Folder, name: str) -> None:
        folders = []
        source = self._open[0]
        try:
            for part in member.target[:-1]:
                source = self._fs.open_folder(source, part)
                folders.append(source)
            self._fs.hard_link(source, member.target[-1], folder, name)
        finally:
            for opened in folders:
                opened.close()

    def _folder(self, path: tuple[str, ...]) -> Folder:
        """Open a folder of the tree, making what is missing."""
        common = 0
        while common < min(len(path), len(self._path)) and path[common] == self._path[common]:
            common += 1
        self._leave(common)
        for part in path[common:]:
            with contextlib.suppress(FileExistsError):
                self._fs.make_folder(self._open[-1], part)
            self._open.append(self._fs.open_folder(self._open[-1], part))
            self._path += (part,)
        return self._open[-1]

    def _leave(self, depth: int) -> None:
        while len(self._path) > depth:
            self._open.pop().close()
            self._path = self._path[:-1]
