"""Ways down into a tree, one name after the other from open folder to open folder, however deep it is."""

from __future__ import annotations

import os

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HELD = 64


class DirStack:
    """One process's way in one tree: the folders down to the one that was opened last are held open, the deepest 64 of them.

    So the next folder mostly costs one call; no path is ever given to the kernel, no link followed.
    """

    def __init__(self, parent: int, name: str) -> None:
        self._parent = parent
        self._name = name
        self._root = -1
        self._path = ""
        self._way: list[tuple[str, int]] = []

    def open(self, path: str) -> int:
        """A descriptor of a folder below the root, good until the next folder is opened. Raises :class:`OSError`."""
        if self._root < 0:
            self._root = os.open(self._name, OPEN_DIRECTORY, dir_fd=self._parent)
        while self._way and not (path == self._path or path.startswith(self._path + "/")):
            self._go_up()
        while self._way and self._way[-1][1] < 0:
            self._go_up()
        directory = self._way[-1][1] if self._way else self._root
        rest = path[len(self._path) + 1 :] if self._way else path
        for name in rest.split("/") if rest else ():
            directory = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
            self._way.append((name, directory))
            self._path = f"{self._path}/{name}" if self._path else name
            if len(self._way) > _HELD:
                left, descriptor = self._way[-_HELD - 1]
                if descriptor >= 0:
                    os.close(descriptor)
                    self._way[-_HELD - 1] = (left, -1)
        return directory

    def _go_up(self) -> None:
        name, descriptor = self._way.pop()
        self._path = self._path[: -len(name) - 1]
        if descriptor >= 0:
            os.close(descriptor)

    def close(self) -> None:
        """Close all; the next folder is opened from the root again."""
        while self._way:
            self._go_up()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1
