"""What was written to in a tree since a moment, by the times of its entries; a tree is looked through up to a bound."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conveyor.filesystem.posix import DirFd

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Edits:
    """Paths that were written to, a directory's with a slash at its end; ``is_cut``: not everything was looked through."""

    paths: tuple[str, ...] = ()
    is_cut: bool = False


def edited_since(directory: DirFd, names: Sequence[str], moment: int, *, most_entries: int, most_paths: int) -> Edits:
    """Look for what was written to since a ``moment`` (nanoseconds since the epoch) in some directories of a directory.

    What changes neither its content nor its names keeps its time of modification, as a rename and a copy of Conveyor's do.
    What cannot be read is passed over.
    """
    found: list[str] = []
    entries = _entries(directory, names)
    for _, (path, modified) in zip(range(most_entries), entries, strict=False):
        if modified > moment:
            found.append(path)
            if len(found) == most_paths:
                break
    return Edits(tuple(found), next(entries, None) is not None)


def _entries(directory: DirFd, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the path and the time of modification of every entry; links are not followed."""
    ahead = list(reversed(names))
    while ahead:
        path = ahead.pop()
        with contextlib.suppress(OSError), _opened(directory, path) as descriptor:
            yield f"{path}/", os.fstat(descriptor).st_mtime_ns
            with os.scandir(descriptor) as listed:
                inside = sorted(listed, key=lambda entry: entry.name)
            for entry in inside:
                below = f"{path}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    ahead.append(below)
                else:
                    yield below, entry.stat(follow_symlinks=False).st_mtime_ns


@contextlib.contextmanager
def _opened(directory: DirFd, path: str) -> Iterator[int]:
    """Open a directory by its path from another one, which goes through no link."""
    descriptor = os.dup(directory.descriptor)
    try:
        for name in path.split("/"):
            below = os.open(name, _OPEN, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)
