"""The layouts that a tree on Lustre has of its own, and those that a target would not keep, before anything is copied."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, NamedTuple

from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.attributes import named_in
from conveyor.filesystem.treecopy.messages import LayoutsSeen
from conveyor.filesystem.treecopy.striping import (
    AWAITS_LAYOUT,
    asks_for_the_same,
    has_directory_default,
    has_layouts,
    is_striped_directory,
    layout_of,
    parse,
    set_layout,
)
from conveyor.layout import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.striping import Striping


class LayoutSurvey:
    """Looks at one directory after the other, and the files in it; ``has_any`` tells if the file system has layouts at all.

    A layout is an entry's own if the directory that it is in does not hand it on. One that hands on nothing leaves it to the
    file system, which is asked for no default: its files have a layout of their own if it is more than one stripe.
    """

    def __init__(self, directory: int) -> None:
        self.has_any = has_layouts(directory)
        self._handed_on: Striping | None = None
        self._seen: dict[tuple[bytes, str], LayoutsSeen] = {}

    def enter(self, directory: int) -> None:
        """Go on with the files of an open directory."""
        if self.has_any:
            self._handed_on = layout_of(directory)

    def directory(self, path: str, directory: int) -> None:
        """Look at an open directory."""
        if self.has_any:
            self._compare(path, layout_of(directory, is_handed_on=True), layout_of(named_in(directory, "..")))
            if is_striped_directory(directory):
                self._add(path, b"", "a directory over several metadata servers")
            if has_directory_default(directory):
                self._add(path, b"", "metadata servers for the directories that are made in it")

    def file(self, path: str, place: str) -> None:
        """Look at a file, by a path that leads to it."""
        layout = layout_of(place)
        if layout is not None and not (self._handed_on is None and layout.is_unchosen):
            self._compare(path, layout, self._handed_on)

    def take(self) -> Iterable[LayoutsSeen]:
        """What was seen since this was called last."""
        seen, self._seen = self._seen, {}
        return seen.values()

    def _compare(self, path: str, layout: Striping | None, handed_on: Striping | None) -> None:
        if layout is not None and (layout.unkept or not asks_for_the_same(layout, handed_on)):
            self._add(path, layout.pack(), layout.unkept)

    def _add(self, path: str, striping: bytes, unkept: str) -> None:
        before = self._seen.get((striping, unkept))
        self._seen[striping, unkept] = LayoutsSeen(path, striping, unkept, 1 + (before.number if before else 0))


def with_layouts(seen: Sequence[LayoutsSeen], more: LayoutsSeen) -> tuple[LayoutsSeen, ...]:
    """Add what was seen to what was seen before, one entry a layout."""
    others, number = [], more.number
    for one in seen:
        if (one.striping, one.unkept) == (more.striping, more.unkept):
            number += one.number
        else:
            others.append(one)
    return (*others, more._replace(number=number))


class LostLayouts(NamedTuple):
    """Layouts that a target does not keep: the number of files and directories, the path of one of them, and the reason."""

    number: int
    path: str
    reason: str


def lost_layouts(target: DirFd, seen: Sequence[LayoutsSeen]) -> list[LostLayouts]:
    """Try each layout on a scratch file in ``target``; what it does not keep. Raises :class:`OSError`."""
    with error_context("create", target.path):
        if seen and not has_layouts(target.descriptor):
            return [LostLayouts(sum(one.number for one in seen), seen[0].path, "that file system has no layouts")]
        lost = []
        for one in seen:
            reason = one.unkept or ("" if _takes(target, one.striping) else "that file system does not take it")
            if reason:
                lost.append(LostLayouts(one.number, one.path, reason))
        return lost


def _takes(target: DirFd, striping: bytes) -> bool:
    layout = parse(striping)
    with _scratch_entry(target.descriptor, layout) as entry:
        return set_layout(entry, layout)


@contextlib.contextmanager
def _scratch_entry(directory: int, layout: Striping) -> Iterator[int]:
    """An open file, or a directory for a layout that only those have. It has a name: without, Lustre sets none (ESTALE)."""
    name = SCRATCH + secrets.token_hex(8)
    kind = os.O_DIRECTORY if layout.mirrors else os.O_RDWR | os.O_CREAT | os.O_EXCL | AWAITS_LAYOUT
    if layout.mirrors:
        os.mkdir(name, 0o700, dir_fd=directory)
    entry = os.open(name, kind | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        yield entry
    finally:
        os.close(entry)
        (os.rmdir if layout.mirrors else os.unlink)(name, dir_fd=directory)
