"""Stop a conveyance at any one of its calls to the file system: as a crash does, or with an error.

The calls are caught where Python makes them, so those inside the copy and the removal of whole trees are caught too. A
crash is a :class:`BaseException`, and from it on every further call raises it again: a dead process cleans up nothing.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conveyor.filesystem import in_use, syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    KeepOut = Callable[[int, str, int], bool]

CODES = tuple(
    getattr(errno, name) for name in ("EIO", "ENOSPC", "EDQUOT", "EACCES", "ESTALE", "EROFS", "EMFILE", "EBUSY")
)
_LOOKS = ("fstat", "getxattr", "listdir", "listxattr", "lseek", "read", "readlink", "scandir", "stat")
_CHANGES = (
    *("chmod", "chown", "fchmod", "fchown", "ftruncate", "fsync", "link", "mkdir", "mkfifo", "rename", "rmdir"),
    *("setxattr", "symlink", "unlink", "utime"),
)


def _nothing(source: int, name: str, target: int) -> bool:
    """Keep nothing out."""
    return False


class Crash(BaseException):
    """The process died at this call."""


@dataclass
class Faults:
    """The calls of one run: ``calls`` are those that were made, ``at`` is the one that stops it, ``code`` its error.

    Without ``code`` the run dies before that call; with it, that call answers with the error, without having taken
    place, or, as over NFS, although it did (``took_place``); that call alone, or every one from it on (``lasting``), those
    that clean up too. With ``looks`` the calls that only look are counted and stopped as well. Nothing is flushed
    to the disk: a death loses nothing that was written.
    """

    at: int | None = None
    code: int | None = None
    took_place: bool = False
    lasting: bool = False
    looks: bool = False
    calls: list[str] = field(default_factory=list)
    dead: bool = False

    def point(self, call: str) -> None:
        """One call is about to be made."""
        self.calls.append(call)
        if self._is_it() and not self.took_place:
            self._fail()
        if self._is_it() and self.code is None:
            self.dead = True
        if self.dead:
            raise Crash(call)

    def answer(self) -> None:
        """The call that was about to be made has been made."""
        if self._is_it() and self.took_place:
            self._fail()

    def _is_it(self) -> bool:
        number = len(self.calls) - 1
        return number == self.at or (self.lasting and self.at is not None and number > self.at)

    def _fail(self) -> None:
        if self.code is not None:
            raise OSError(self.code, os.strerror(self.code))


@contextmanager
def injected(
    monkeypatch: pytest.MonkeyPatch, faults: Faults, apart: Path | None = None, keep_out: KeepOut = _nothing
) -> Iterator[None]:
    """Catch the calls for a while; ``apart`` is a folder that is made to look like another file system.

    ``keep_out`` tells of a directory, a name in it and another directory whether a rename there is refused.
    """
    with monkeypatch.context() as patch:
        patch.setattr(in_use, "PROC", "/proc/self/no other process")  # whose files would be among the calls
        for name in _CHANGES + _LOOKS * faults.looks:
            patch.setattr(os, name, _caught(name, getattr(os, name), faults, apart, keep_out))
        patch.setattr(os, "open", _open(os.open, faults))
        patch.setattr(os, "write", _write(os.write, faults))
        yield


def exchange(
    faults: Faults, *, refused: bool = False, apart: Path | None = None, keep_out: KeepOut = _nothing
) -> Callable[..., None]:
    """The exchange for :class:`FileSystem`, caught too; refused as Lustre does, or across file systems."""

    def exchange(one: int, name: str, other: int, other_name: str) -> None:
        faults.point("exchange")
        if _is_apart(one, apart) != _is_apart(other, apart):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        if keep_out(one, name, other) or keep_out(other, other_name, one):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        if refused:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        syscalls.exchange(one, name, other, other_name)
        faults.answer()

    return exchange


def _caught(
    name: str, real: Callable[..., Any], faults: Faults, apart: Path | None, keep_out: KeepOut
) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        faults.point(name)
        if name == "fsync":
            faults.answer()
            return None
        source, target = options.get("src_dir_fd"), options.get("dst_dir_fd")
        apart_from_it = _is_apart(source, apart) != _is_apart(target, apart)
        if source is not None and target is not None and (apart_from_it or keep_out(source, arguments[0], target)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        answer = real(*arguments, **options)
        faults.answer()
        return answer

    return call


def _open(real: Callable[..., int], faults: Faults) -> Callable[..., int]:
    def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if faults.looks or flags & (os.O_CREAT | os.O_TRUNC):
            faults.point("open")
        return real(path, flags, *arguments, **options)

    return call


def _write(real: Callable[..., int], faults: Faults) -> Callable[..., int]:
    def call(descriptor: int, content: Any) -> int:
        """Write in two halves, so that a run can be stopped between them."""
        faults.point("write")
        half = real(descriptor, content[: len(content) // 2])
        faults.point("write the rest")
        return half + real(descriptor, content[half:])

    return call


def _is_apart(descriptor: int | None, apart: Path | None) -> bool:
    if descriptor is None or apart is None:
        return False
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    return path == str(apart) or path.startswith(f"{apart}/")
