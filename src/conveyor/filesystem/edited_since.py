"""What was changed in a tree since a moment: by the records of its copy where there are some, and else by times.

A tree is looked through up to a bound.
"""

from __future__ import annotations

import contextlib
import os
import stat
from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.entries import lstat
from conveyor.filesystem.treecopy.records import is_kept
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.records import Record

    Records = Callable[[str], Mapping[str, Record] | None]

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class EditKind(StrEnum):
    """What became of a path. ``WRITTEN``: it was changed, or is new: times do not tell which."""

    WRITTEN = "written to"
    CHANGED = "changed"
    NEW = "new"
    REMOVED = "removed"


@frozen
class Edit:
    """A path that was edited, that of a directory with a slash at its end."""

    path: str
    kind: EditKind


@frozen
class Edits:
    """What was edited; ``is_cut``: not everything was looked through."""

    found: tuple[Edit, ...] = ()
    is_cut: bool = False


def edited_since(
    directory: DirFd, names: Sequence[str], moment: int, records: Records, *, most_entries: int, most_paths: int
) -> Edits:
    """Look for what was edited since a ``moment`` (nanoseconds since the epoch) in some directories of a directory.

    ``records`` has what a directory had by its path, or None if nobody wrote that down: then times tell. What changes
    neither its content nor its names keeps its time of modification, as a rename and a copy of Conveyor's do. What cannot be
    read is passed over.
    """
    found: list[Edit] = []
    looked_at = _looked_at(directory, names, moment, records)
    for _, edit in zip(range(most_entries), looked_at, strict=False):
        if edit is not None:
            found.append(edit)
            if len(found) == most_paths:
                break
    return Edits(tuple(found), any(True for _ in looked_at))


def _looked_at(directory: DirFd, names: Sequence[str], moment: int, records: Records) -> Iterator[Edit | None]:
    """Yield the edit of each entry that is looked at, None if there is none; links are not followed."""
    ahead = list(reversed(names))
    while ahead:
        path = ahead.pop()
        with contextlib.suppress(OSError), _opened(directory, path) as descriptor:
            known = records(path)
            is_written = known is None and os.fstat(descriptor).st_mtime_ns > moment
            yield Edit(f"{path}/", EditKind.WRITTEN) if is_written else None
            inside, listed = [], sorted(os.listdir(descriptor))
            for name in listed:
                status = lstat(descriptor, name)
                if status is None:  # it went at this moment
                    continue
                is_directory = stat.S_ISDIR(status.st_mode)
                kind = _kind(status, moment) if known is None else _kind_by_record(status, known.get(name))
                if is_directory and kind is None:
                    inside.append(f"{path}/{name}")
                yield Edit(f"{path}/{name}{'/' if is_directory else ''}", kind) if kind else None
            ahead += reversed(inside)
            for name in sorted(set(known or ()) - set(listed)):
                yield Edit(f"{path}/{name}", EditKind.REMOVED)


def _kind(status: os.stat_result, moment: int) -> EditKind | None:
    """The edit of an entry by its time; a directory's is told when it is opened."""
    return EditKind.WRITTEN if status.st_mtime_ns > moment and not stat.S_ISDIR(status.st_mode) else None


def _kind_by_record(status: os.stat_result, record: Record | None) -> EditKind | None:
    if record is None:
        return EditKind.NEW
    is_like_it = stat.S_IFMT(record.mode) == stat.S_IFMT(status.st_mode)
    if is_like_it and stat.S_ISREG(status.st_mode):
        is_like_it = record.size == status.st_size and is_kept(record.modified, status.st_mtime_ns)
    return None if is_like_it else EditKind.CHANGED


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
