"""A file system as it is at one moment: every look is made once, and one listing answers for all names of a directory.

For looks at thousands of requests. Each call may be a trip to a metadata server, and most of the names that are asked for
are not there.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING, Any, TypeVar

from conveyor.filesystem.error_context import path_error
from conveyor.filesystem.mounts import lists_links, mount_of, mounts, on_or_below
from conveyor.filesystem.posix import DirFd, FileSystem, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from conveyor.filesystem.posix import Entry

_T = TypeVar("_T")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


#: Names that a root has not, after which it is listed.
_MISSES = 64


class _Held(DirFd):
    """A directory that stays open until the snapshot is renewed, with what was seen in it.

    ``kinds`` is None as long as it is not listed. A root, which may have thousands of names, is only when so many names
    were ``missed`` that one listing costs less. The path is made when it is asked for: most are not. ``lists_links``: a
    listing tells links from files.
    """

    __slots__ = ("_name", "above", "below", "is_root", "kinds", "lists_links", "missed", "seen", "stats")

    def __init__(self, descriptor: int, path: Path | None, parent: _Held | None = None, name: str = "") -> None:
        self.descriptor = descriptor
        self.is_root = parent is None
        self.missed = 0
        self.kinds: dict[str, Kind] | None = None
        self.below: dict[str, _Held] = {}
        self.stats: dict[str, Entry | None] = {}
        self.seen: dict[tuple[str, str], Any] = {}
        self.above, self._name = parent, name
        self.lists_links: bool = parent is None or parent.lists_links
        if path is not None:
            self.path = path

    def __getattr__(self, attribute: str) -> Path:
        if attribute != "path" or self.above is None:
            raise AttributeError(attribute)
        self.path = self.above.path / self._name
        return self.path

    def close(self) -> None:
        """Do nothing: whoever opens it next finds it open."""

    def renew(self, *, is_kept: bool = False) -> None:
        """Forget what was seen, and close it unless it ``is_kept``."""
        for one in self.below.values():
            one.renew()
        self.below.clear()
        self.stats.clear()
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
        self._is_listing_old = False
        self._real: dict[str, Path] = {}
        self._has_mounts: dict[str, bool] = {}
        self._has_proc = os.path.isdir("/proc/self/fd")

    def renew(self, *, entirely: bool = False) -> None:
        """Forget what was seen of the requests, and close them.

        ``entirely``: until the next time, the areas are asked for each name too, since it may have come or gone.
        """
        for root in self._roots.values():
            root.renew(is_kept=True)
        self._is_listing_old = entirely

    def close(self) -> None:
        """Close everything."""
        for root in self._roots.values():
            root.renew()
        self._roots.clear()

    def open_root(self, path: Path) -> DirFd:
        if path not in self._roots:
            with super().open_root(path) as opened:
                root = self._roots[path] = _Held(os.dup(opened.descriptor), path)
            root.lists_links = lists_links(mount_of(path, self._mount_table()))
        return self._roots[path]

    def open_directory(self, parent: DirFd, name: str) -> DirFd:
        assert isinstance(parent, _Held)
        found = parent.below.get(name)
        if found is None:
            try:
                descriptor = os.open(name, _OPEN, dir_fd=parent.descriptor)
            except OSError as error:
                raise path_error(error, "open", parent.path / name) from error
            found = parent.below[name] = _Held(descriptor, None, parent, name)
        return found

    def real(self, path: Path) -> Path:
        text = str(path)
        found = self._real.get(text)
        if found is None:
            found = self._real[text] = super().real(path)
        return found

    def kind(self, directory: DirFd, name: str) -> Kind | None:
        assert isinstance(directory, _Held)
        if directory.is_root:
            return super().kind(directory, name)
        kinds = directory.kinds
        kind = (self._kinds(directory) if kinds is None else kinds).get(name)
        if kind is Kind.FILE and not directory.lists_links:
            entry = self.lstat(directory, name)
            return entry.kind if entry else None
        return kind

    def lstat(self, directory: DirFd, name: str) -> Entry | None:
        assert isinstance(directory, _Held)
        kinds = directory.kinds
        if kinds is not None and name not in kinds and name != "." and not (directory.is_root and self._is_listing_old):
            return None
        if name not in directory.stats:
            entry = directory.stats[name] = super().lstat(directory, name)
            if entry is None and directory.is_root:
                self._miss(directory)
        return directory.stats[name]

    def _miss(self, root: _Held) -> None:
        """Count a name that a root has not, and list it if that is cheaper than to ask for each."""
        root.missed += 1
        if root.missed == _MISSES:
            with contextlib.suppress(OSError):  # then it is asked, name by name
                self._kinds(root)

    def listdir(self, directory: DirFd) -> list[str]:
        assert isinstance(directory, _Held)
        return super().listdir(directory) if directory.is_root else sorted(self._kinds(directory))

    def readlink(self, directory: DirFd, name: str) -> str:
        return _once(directory, ("readlink", name), super().readlink)

    def read(self, directory: DirFd, name: str, *, limit: int) -> bytes:
        return _once(directory, (f"read {limit}", name), functools.partial(super().read, limit=limit))

    def read_end(self, directory: DirFd, name: str, *, limit: int) -> bytes:
        return _once(directory, (f"read end {limit}", name), functools.partial(super().read_end, limit=limit))

    def mounted(self, directory: DirFd, names: Sequence[str]) -> list[Path]:
        """Mount points as the other tells them; of a root that has none below it, none are looked for again."""
        root = directory
        while isinstance(root, _Held) and root.above is not None:
            root = root.above
        place = str(root.path)
        if place not in self._has_mounts:
            real = self.real(root.path)
            self._has_mounts[place] = any(point != real for point in on_or_below(real, self._mount_table()))
        return super().mounted(directory, names) if self._has_mounts[place] else []

    def _listed_by(self, directory: DirFd) -> str | int:
        """What an open directory is listed by: its place in ``/proc``, which takes two calls less than its descriptor."""
        return f"/proc/self/fd/{directory.descriptor}" if self._has_proc else directory.descriptor

    def _kinds(self, directory: _Held) -> dict[str, Kind]:
        """The kinds of the names in a directory, from its listing, which tells them without a further call on most."""
        if directory.kinds is None:
            try:
                with os.scandir(self._listed_by(directory)) as found:
                    directory.kinds = {
                        entry.name: Kind.DIRECTORY if entry.is_dir(follow_symlinks=False) else _kind_of(entry)
                        for entry in found
                    }
            except OSError as error:
                raise path_error(error, "list", directory.path) from error
        return directory.kinds


def _kind_of(entry: os.DirEntry[str]) -> Kind:
    """The kind of what is no directory."""
    if entry.is_symlink():
        return Kind.LINK
    return Kind.FILE if entry.is_file(follow_symlinks=False) else Kind.OTHER


def _once(directory: DirFd, key: tuple[str, str], look: Callable[[DirFd, str], _T]) -> _T:
    """What a look at a name tells, which is made unless it was. One that failed is made again."""
    assert isinstance(directory, _Held)
    if key not in directory.seen:
        directory.seen[key] = look(directory, key[1])
    seen: _T = directory.seen[key]
    return seen
