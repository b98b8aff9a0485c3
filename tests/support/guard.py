"""A guard that makes it impossible for a test to change anything outside its own folder.

Python's audit events announce every change before it happens (see the table of audit events in Python's documentation);
while a test runs, one that names a path outside the allowed folders raises. Folders may be opened by descriptor inside
them only, so that descriptor-relative calls are covered too.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Event -> the positions of the paths that it changes.
_CHANGES = {
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (1,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.setxattr": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
}


class OutsideError(AssertionError):
    """A test tried to change something that is not its own."""


class Guard:
    """The guard; ``allowed`` is empty while it is off."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] = ()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.allowed:
            return
        if event == "open":
            path, _, flags = arguments
            if flags & _WRITING or (flags & os.O_DIRECTORY and not flags & os.O_PATH):
                self._check(event, path)
        elif event in _CHANGES:
            for position in _CHANGES[event]:
                self._check(event, arguments[position])

    def _check(self, event: str, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor: it was checked when it was opened
        name = os.fsdecode(os.fspath(path))
        if name.startswith("/proc/self/fd/"):
            name = os.readlink(name)
        if not os.path.isabs(name) and ".." not in name.split("/"):
            return  # relative to a folder's descriptor, or to the working directory, which is the test's own
        if name == os.devnull:
            return
        real = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))
        if not any(real == folder or real.startswith(folder + "/") for folder in self.allowed):
            raise OutsideError(f"{event} outside the test's own folder: {real}")
