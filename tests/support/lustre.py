"""What Lustre 2.16 answers about layouts, played on any file system: which may be set when, and what is told afterwards.

A file that is opened anew gets objects at once, in the layout that its directory hands on, unless it is asked to wait. Then
a layout may be set, once; later ones are passed over without a word. Before that, not a byte may be written. A directory
hands on what it has, or what its parent had when it was made, and may have nothing. A file without a name gets no layout. A
pool need not be there. Only what is opened by this process is seen.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from typing import TYPE_CHECKING, Any

from conveyor.filesystem.treecopy import striping
from conveyor.filesystem.treecopy.striping import AWAITS_LAYOUT, Component, Striping, parse

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ATTRIBUTE = "lustre.lov"
MEBIBYTE = 1 << 20
_MAGIC = 0x0BD00BD0
_DEFAULT = 0x0CD30CD0
END = (1 << 64) - 1


def striped(stripes: int, size: int = MEBIBYTE, pool: bytes = b"", end: int = END, start: int = 0) -> Component:
    """Stripes of a file, by default of all of it."""
    return Component(start, end, 1, size, stripes, pool)


def with_objects(layout: Striping, mirrors: int = 1) -> bytes:
    """A layout as it is told of a file that has objects, with components that are numbered and said to be there."""
    if not layout.is_composite:
        return _told(layout.components[0])
    parts = [_told(one) for _ in range(mirrors) for one in layout.components]
    offset = 32 + 48 * len(parts)
    entries = b""
    for number, part in enumerate(parts):
        one = layout.components[number % len(layout.components)]
        mirror = number // len(layout.components)
        flags = 0x10 | (1 if mirror == 0 and mirrors > 1 else 0)  # there; the first of several mirrors is stale
        for value, length in ((mirror << 16 | number + 1, 4), (flags, 4), (one.start, 8), (one.end, 8), (offset, 4)):
            entries += value.to_bytes(length, "little")
        entries += len(part).to_bytes(4, "little") + bytes(16)
        offset += len(part)
    head = b"".join(
        value.to_bytes(length, "little")
        for value, length in ((0x0BD60BD0, 4), (offset, 4), (3, 4), (0, 2), (len(parts), 2), (mirrors - 1, 2))
    )
    return head + bytes(14) + entries + b"".join(parts)


def _told(one: Component) -> bytes:
    packed = bytearray(one.pack())
    packed[30:32] = bytes(2)  # told is no generation, nor the first server that was set
    return bytes(packed) + bytes(24) * (0 if one.stripes == 0xFFFF else one.stripes)


class FakeLustre:
    """The layouts of what is below some directories: ``servers`` to stripe over, and the pattern that it does not know."""

    def __init__(self, *roots: Path, servers: int = 4, unknown: int = 0) -> None:
        self._devices = {root.stat().st_dev for root in roots}
        self._roots = roots
        self._servers = servers
        self._unknown = unknown
        self._layouts: dict[tuple[int, int], bytes] = {}
        self._defaults: dict[tuple[int, int], bytes] = {}
        self._default = striped(1).pack()

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("getxattr", "setxattr", "open", "mkdir"):
            patch.setattr(os, name, self._played(name, getattr(os, name)))
        patch.setattr(fcntl, "ioctl", self._ioctl(fcntl.ioctl))
        patch.setattr(striping, "file_system_type", lambda place: _MAGIC if self._is_below(place) else 0)

    def choose(self, path: Path, told: bytes) -> None:
        """Have what is there a layout, as it is told."""
        self._layouts[_key(os.stat(path))] = told

    def spread(self, directory: Path, servers: int, first: int = -1, depth: int = 3) -> None:
        """Have the directories that are made in one spread over metadata servers, down to some depth."""
        self._defaults[_key(os.stat(directory))] = struct.pack("<IiiIIB27x", _DEFAULT, servers, first, 0, 0, depth)

    def layout(self, path: Path) -> Striping:
        return parse(self._layouts.get(_key(os.stat(path)), self._default))

    def _played(self, name: str, real: Any) -> Any:
        def getxattr(place: Any, attribute: str, **options: Any) -> bytes:
            if attribute != ATTRIBUTE:
                return bytes(real(place, attribute, **options))
            return self._told(self._key_of(place), os.stat(place))

        def setxattr(place: Any, attribute: str, value: bytes, *rest: Any, **options: Any) -> None:
            if attribute != ATTRIBUTE:
                real(place, attribute, value, *rest, **options)
            else:
                self._set(place, value)

        def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
            is_new = bool(flags & os.O_CREAT)
            file = int(real(path, flags, mode, dir_fd=dir_fd))
            if is_new and flags & AWAITS_LAYOUT != AWAITS_LAYOUT:
                self._inherit(os.fstat(file), dir_fd)
            elif is_new and self._is_below(file):
                self._layouts.pop(_key(os.fstat(file)), None)  # of what had this inode before
                _reopen(file, os.O_RDONLY)  # whoever writes to it before it has a layout gets EBADF
            return file

        def mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            real(path, mode, dir_fd=dir_fd)
            self._inherit(os.stat(path, dir_fd=dir_fd), dir_fd)

        return {"getxattr": getxattr, "setxattr": setxattr, "open": open_, "mkdir": mkdir}[name]

    def _ioctl(self, real: Any) -> Any:
        def ioctl(place: Any, request: int, argument: Any = 0, *rest: Any) -> Any:
            if request != 0xC03066F1:
                return real(place, request, argument, *rest)
            default = self._defaults.get(_key(os.stat(place)))
            if argument[:4] != _DEFAULT.to_bytes(4, "little") or default is None:
                raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
            return default

        return ioctl

    def _told(self, key: tuple[int, int], status: os.stat_result) -> bytes:
        if key not in self._layouts and stat.S_ISDIR(status.st_mode):
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        return self._layouts.get(key, self._default)

    def _set(self, place: Any, value: bytes) -> None:
        key, status = self._key_of(place), os.stat(place)
        if status.st_nlink == 0:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        if stat.S_ISDIR(status.st_mode):
            self._layouts[key] = self._chosen(value, status)
        elif key not in self._layouts:
            self._layouts[key] = self._chosen(value, status)
            _reopen(place, os.O_RDWR)

    def _inherit(self, status: os.stat_result, directory: int | None) -> None:
        self._layouts.pop(_key(status), None)
        handed_on = self._layouts.get(_key(os.fstat(directory))) if directory is not None else None
        if handed_on is not None or stat.S_ISREG(status.st_mode):
            self._layouts[_key(status)] = handed_on or self._default

    def _key_of(self, place: Any) -> tuple[int, int]:
        status = os.stat(place)
        if status.st_dev not in self._devices or not self._is_below(place):
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        return _key(status)

    def _is_below(self, place: Any) -> bool:
        path = os.path.realpath(f"/proc/self/fd/{place}" if isinstance(place, int) else place)
        return any(path.startswith(os.path.realpath(root)) for root in self._roots)

    def _chosen(self, value: bytes, status: os.stat_result) -> bytes:
        layout = parse(value)
        if not layout.components or any(one.pattern & self._unknown for one in layout.components):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if stat.S_ISDIR(status.st_mode):
            return layout.pack()
        fewer = (one._replace(stripes=min(one.stripes, self._servers)) for one in layout.components)
        return with_objects(layout._replace(components=tuple(fewer)))


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reopen(file: int, flags: int) -> None:
    again = os.open(f"/proc/self/fd/{file}", flags)
    os.dup2(again, file, inheritable=False)
    os.close(again)
