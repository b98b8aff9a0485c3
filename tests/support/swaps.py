"""Swap a folder for a link to a victim just before any one of the calls that a conveyance makes on the file system.

The calls are caught where Python makes them, those that only look as well, inside the copy of whole trees too.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conveyor.filesystem import in_use, syscalls
from conveyor.filesystem.project_ids import ProjectCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

_CALLS = (
    *("access", "chmod", "chown", "fchmod", "fchown", "fstat", "fsync", "ftruncate", "getxattr", "link", "listdir"),
    *("listxattr", "lstat", "mkdir", "mkfifo", "open", "readlink", "rename", "rmdir", "setxattr", "stat", "symlink"),
    *("unlink", "utime", "write", "copy_file_range", "scandir"),
)


@dataclass
class Swap:
    """One swap: ``folder`` becomes a link to ``victim`` before call number ``at``, if it is a folder then.

    It stands at ``aside`` until :meth:`undo`. ``calls`` counts, and ``there`` has the calls before which the folder
    stands, where nothing is to be swapped.
    """

    folder: Path
    victim: Path
    aside: Path
    at: int | None = None
    calls: int = 0
    swapped: bool = False
    there: list[int] = field(default_factory=list)
    _busy: bool = field(default=False, repr=False)

    def point(self) -> None:
        """One call is about to be made."""
        if self._busy:
            return
        self.calls += 1
        if self.at in (None, self.calls - 1):
            self._busy = True
            if self.at is not None:
                self.strike()
            elif self._stands():
                self.there.append(self.calls - 1)
            self._busy = False

    def strike(self) -> None:
        """What happens before the call."""
        if self._stands():
            self.folder.rename(self.aside)
            self.folder.symlink_to(self.victim)
            self.swapped = True

    def _stands(self) -> bool:
        return self.folder.is_dir() and not self.folder.is_symlink()

    def undo(self, *endpoints: Path) -> None:
        """Take the link away, wherever below the ends it was moved, and put the folder back where it was.

        What Conveyor put in the folder's place meanwhile is a link of its own, and goes. Where a conveyance that was done
        has removed the place and what it was in, there is nothing to go back to.
        """
        if not self.swapped:
            return
        place = self.folder
        for end in (*endpoints, self.folder.parent):  # it may have been moved with the folder that it is in
            for folder, folders, _ in os.walk(end):
                for name in folders:
                    found = Path(folder, name)
                    if found.is_symlink() and os.readlink(found) == str(self.victim):
                        place = found
        if place.is_symlink():
            place.unlink()
        if self.folder.suffix == ".incoming":  # put in a directory's place by nobody but Conveyor
            place = self.folder
        if place.parent.is_dir() or place.parent.parent.is_dir():
            place.parent.mkdir(exist_ok=True)
            shutil.move(self.aside, place)


@contextmanager
def swapping(monkeypatch: pytest.MonkeyPatch, swap: Swap) -> Iterator[None]:
    """Catch the calls for a while."""
    with monkeypatch.context() as patch:
        patch.setattr(in_use, "PROC", "/proc/self/no other process")  # whose files would be among the calls
        for owner, names in ((os, _CALLS), (syscalls, ("clone",)), (ProjectCalls, ("read", "set", "others", "give"))):
            for name in names:
                if hasattr(owner, name):
                    patch.setattr(owner, name, _caught(getattr(owner, name), swap))
        yield


def exchange(swap: Swap, *, refused: bool) -> Callable[..., None]:
    """The exchange for :class:`FileSystem`, caught too; or refused as Lustre does."""

    def exchange(*arguments: Any) -> None:
        swap.point()
        if refused:
            raise OSError(22, os.strerror(22))
        syscalls.exchange(*arguments)

    return exchange


def _caught(real: Callable[..., Any], swap: Swap) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        swap.point()
        return real(*arguments, **options)

    return call
