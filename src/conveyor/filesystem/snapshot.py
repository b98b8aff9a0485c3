"""A file system as it is at one moment: every look is made once, and one listing answers for all names of a directory.

For looks at thousands of requests. Each call may be a trip to a metadata server, and most of the names that are asked for
are not there.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from conveyor.filesystem.error_context import path_error
from conveyor.filesystem.mounts import mounts
from conveyor.filesystem.posix import DirFd, FileSystem, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

    from conveyor.filesystem.posix import Entry

_T = TypeVar("_T")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(slots=True)
class _Held(DirFd):
    """A directory that stays open until the snapshot is renewed, with what was seen in it.

    ``kinds`` is None as long as it is not listed; a root, which may have thousands of names, never is.
    """

    is_root: bool = False
    kinds: dict[str, Kind] | None = None
    below: dict[str, _Held] = field(default_factory=dict)
    seen: dict[Hashable, Any] = field(default_factory=dict)

    def close(self) -> None:
        """Do nothing: whoever opens it next finds it open."""

    def renew(self, *, is_kept: bool = False) -> None:
        """Forget what was seen, and close it unless it ``is_kept``."""
        for one in self.below.values():
            one.renew()
        self.below.clear()
        self.seen.clear()
        if not is_kept and self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Snapshot(FileSystem):
    """The looks of :class:`FileSystem`, each made once until :meth:`renew`. It is not meant for acts.

    The roots, the areas, are opened once for good, and asked name by name. What is mounted is read once, and so are the
    real paths of the areas.
    """

    def __init__(self) -> None:
        super().__init__(mount_table=functools.cache(mounts))
        self._roots: dict[Path, _Held] = {}
        self._real: dict[Path, Path] = {}

    def renew(self) -> None:
        """Forget what was seen of the requests, whose directories are closed."""
        for root in self._roots.values():
            root.renew(is_kept=True)

    def close(self) -> None:
        """Close everything."""
        for root in self._roots.values():
            root.renew()
        self._roots.clear()

    def open_root(self, path: Path) -> DirFd:
        if path not in self._roots:
            with super().open_root(path) as opened:
                self._roots[path] = _Held(path, os.dup(opened.descriptor), os.close, is_root=True)
        return self._roots[path]

    def open_directory(self, parent: DirFd, name: str) -> DirFd:
        assert isinstance(parent, _Held)
        if name not in parent.below:
            path = parent.path / name
            try:
                descriptor = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=parent.descriptor)
            except OSError as error:
                raise path_error(error, "open", path) from error
            parent.below[name] = _Held(path, descriptor, os.close)
        return parent.below[name]

    def real(self, path: Path) -> Path:
        if path not in self._real:
            self._real[path] = super().real(path)
        return self._real[path]

    def kind(self, directory: DirFd, name: str) -> Kind | None:
        assert isinstance(directory, _Held)
        return super().kind(directory, name) if directory.is_root else self._kinds(directory).get(name)

    def lstat(self, directory: DirFd, name: str) -> Entry | None:
        assert isinstance(directory, _Held)
        if directory.kinds is not None and name not in directory.kinds and name != ".":
            return None
        return _once(directory, ("lstat", name), functools.partial(super().lstat, directory, name))

    def listdir(self, directory: DirFd) -> list[str]:
        assert isinstance(directory, _Held)
        return super().listdir(directory) if directory.is_root else sorted(self._kinds(directory))

    def readlink(self, directory: DirFd, name: str) -> str:
        return _once(directory, ("readlink", name), functools.partial(super().readlink, directory, name))

    def read(self, directory: DirFd, name: str, *, limit: int) -> bytes:
        return _once(directory, ("read", name, limit), functools.partial(super().read, directory, name, limit=limit))

    def _kinds(self, directory: _Held) -> dict[str, Kind]:
        """The kinds of the names in a directory, from its listing, which tells them without a further call on most."""
        if directory.kinds is None:
            try:
                with os.scandir(directory.descriptor) as found:
                    directory.kinds = {entry.name: _kind_of(entry) for entry in found}
            except OSError as error:
                raise path_error(error, "list", directory.path) from error
        return directory.kinds


def _kind_of(entry: os.DirEntry[str]) -> Kind:
    if entry.is_dir(follow_symlinks=False):
        return Kind.DIRECTORY
    if entry.is_symlink():
        return Kind.LINK
    return Kind.FILE if entry.is_file(follow_symlinks=False) else Kind.OTHER


def _once(directory: DirFd, key: Hashable, look: Callable[[], _T]) -> _T:
    """What a look tells, which is made unless it was. One that failed is made again."""
    assert isinstance(directory, _Held)
    if key not in directory.seen:
        directory.seen[key] = look()
    seen: _T = directory.seen[key]
    return seen
