"""Lustre's layouts: how a site chose that a file is striped, and how files that are made in a directory will be.

A copy would get those of the place where it is made. So the layout of the source is read, without the objects that hold its
data, and is set before the first byte is written. A file system without layouts tells none, and nothing else is done.

Sources: ``lustre_user.h`` (``lov_user_md_v1`` and ``_v3``, ``lov_comp_md_v1``), ``llite/xattr.c`` and ``llite/dir.c`` (what
is told, and what may be set), and ``liblustreapi_layout.c`` (what ``lfs setstripe`` sets), of August 2026.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from conveyor.filesystem.syscalls import file_system_type

if TYPE_CHECKING:
    from collections.abc import Sequence

_ATTRIBUTE = "lustre.lov"
_PLAIN, _WITH_POOL, _COMPOSITE = 0x0BD10BD0, 0x0BD30BD0, 0x0BD60BD0
# Magic number, pattern, 16 bytes of an object's ID, stripe size, stripe count, and the first server; then a pool's name.
_STRIPES, _POOL = struct.Struct("<II16xIHH"), struct.Struct("<16s")
# Magic number, size, generation, flags, number of components, mirrors but for the first; 12 bytes of padding and the like.
_HEAD = struct.Struct("<IIIHHH14x")
# ID, flags, begin and end in the file, offset and size of the component's stripes; 16 bytes of generation, time and codes.
_COMPONENT = struct.Struct("<IIQQII16x")
_ANY_SERVER = _ALL_SERVERS = 0xFFFF  # to begin with; to stripe over
_RELEASED = 0x80000000  # a pattern's flag: the data are in an archive (HSM), and come back as they are read
_MIRROR = 0x7FFF0000  # the bits of a component's ID that number its mirror
_STALE = 0x1
_PREFERRED = 0x2 | 0x4  # the mirror to read, and to write
# Components that grow by themselves, are parity codes, or compressed: what was set of them is not what is seen later.
_UNKNOWN_KINDS = 0x40 | 0x80 | 0x100 | 0x200
#: Has a new file wait for its layout: ``O_LOV_DELAY_CREATE`` of ``lustre_user.h``, without effect on other file systems.
AWAITS_LAYOUT = os.O_NOCTTY | getattr(os, "O_ASYNC", 0o20000)
# ``LL_IOC_LMV_GETSTRIPE``, for at most 0 stripes, with ``LMV_MAGIC_V1``: a directory that has some is too big an answer.
_GET_DIRECTORY_STRIPES, _NO_STRIPES = 0xC03066F1, struct.pack("<Ii40x", 0x0CD20CD0, 0)
# The same with ``LMV_USER_MAGIC``: number of stripes, first server and hash of the directories that are made in one.
_DIRECTORY_DEFAULT, _GET_DEFAULT = struct.Struct("<4xIII32x"), struct.pack("<I44x", 0x0CD30CD0)
_MAGIC = 0x0BD00BD0  # of statfs(2): ``LL_SUPER_MAGIC``
# The file system has no layouts, or none is set.
_NO_LAYOUT = frozenset({errno.ENOTSUP, errno.ENODATA, errno.EINVAL, errno.EPERM, errno.EACCES})


class Component(NamedTuple):
    """The stripes of a file from the byte ``start`` up to ``end``, of ``size`` bytes each; 0xFFFF of them are all."""

    start: int
    end: int
    pattern: int
    size: int
    stripes: int
    pool: bytes

    def pack(self) -> bytes:
        """The stripes as they are set."""
        magic = _WITH_POOL if self.pool else _PLAIN
        stripes = _STRIPES.pack(magic, self.pattern, self.size, self.stripes, _ANY_SERVER)
        return stripes + (_POOL.pack(self.pool) if self.pool else b"")


class Striping(NamedTuple):
    """The layout of a file, or the one that a directory hands on. ``unkept`` says in words what a copy cannot have of it.

    One of a form that is not known here has no components, and cannot be set. ``mirrors`` are those that a directory hands
    on besides the first: their components follow those of the first.
    """

    components: tuple[Component, ...]
    is_composite: bool = False
    unkept: str = ""
    mirrors: int = 0

    @property
    def is_unchosen(self) -> bool:
        """True of one stripe in no pool: a file has that where nothing was ever chosen."""
        return not self.is_composite and [(one.stripes, one.pool) for one in self.components] == [(1, b"")]

    def pack(self) -> bytes:
        """The layout as it is set, without objects."""
        if not self.is_composite:
            return b"".join(one.pack() for one in self.components)
        stripes = [one.pack() for one in self.components]
        offset = _HEAD.size + len(stripes) * _COMPONENT.size
        entries = []
        for one, packed in zip(self.components, stripes, strict=True):
            entries.append(_COMPONENT.pack(0, 0, one.start, one.end, offset, len(packed)))
            offset += len(packed)
        head = _HEAD.pack(_COMPOSITE, offset, 0, 0, len(stripes), self.mirrors)
        return head + b"".join(entries) + b"".join(stripes)


def parse(value: bytes, *, is_handed_on: bool = False) -> Striping:
    """Read a layout as Lustre tells it; without components if it is of a form that is not known here.

    Of mirrors the first that is not stale is taken, since what is written to a copy would make the others stale at once.
    Only one that is handed on has a first server; of a file something else is told in its place.
    """
    try:
        magic = struct.unpack_from("<I", value)[0]
        if magic == _COMPOSITE:
            return _composite(value)
        unkept = _chosen_besides(value, [(0, 0)]) if is_handed_on else ""
        return Striping((_stripes(value, 0, 0, 0xFFFF_FFFF_FFFF_FFFF),), unkept=unkept)
    except (struct.error, ValueError):
        return Striping((), unkept="it is of a kind that cannot be set")


def _composite(value: bytes) -> Striping:
    number, more = _HEAD.unpack_from(value)[4:]
    entries = [_COMPONENT.unpack_from(value, _HEAD.size + index * _COMPONENT.size) for index in range(number)]
    if any(flags & _UNKNOWN_KINDS for _, flags, *_ in entries):
        raise ValueError("components of another kind")
    if not any(identity for identity, *_ in entries):  # of a directory
        handed_on = tuple(_stripes(value, offset, start, end) for _, _, start, end, offset, _ in entries)
        unkept = _chosen_besides(value, [(flags, offset) for _, flags, _, _, offset, _ in entries])
        return Striping(handed_on, is_composite=True, unkept=unkept, mirrors=more)
    mirrors = {identity & _MIRROR for identity, *_ in entries}
    whole = mirrors - {identity & _MIRROR for identity, flags, *_ in entries if flags & _STALE}
    chosen = min(whole or mirrors)
    components = tuple(
        _stripes(value, offset, start, end)
        for identity, _, start, end, offset, _ in entries
        if identity & _MIRROR == chosen
    )
    if not components:
        raise ValueError("no component")
    return Striping(components, is_composite=True, unkept=f"{len(mirrors)} mirrors" if len(mirrors) > 1 else "")


def _stripes(value: bytes, offset: int, start: int, end: int) -> Component:
    magic, pattern, size, count, _ = _STRIPES.unpack_from(value, offset)
    if magic not in (_PLAIN, _WITH_POOL):
        raise ValueError("stripes of another kind")
    pool = _POOL.unpack_from(value, offset + _STRIPES.size)[0].rstrip(b"\0") if magic == _WITH_POOL else b""
    return Component(start, end, pattern & ~_RELEASED, size, count, pool)


def _chosen_besides(value: bytes, components: Sequence[tuple[int, int]]) -> str:
    """Words for what a directory hands on besides the components, of which the flags and the offset are given."""
    is_first = any(_STRIPES.unpack_from(value, offset)[4] != _ANY_SERVER for _, offset in components)
    is_preferred = any(flags & _PREFERRED for flags, _ in components)
    return " and ".join(["a first server"] * is_first + ["a preferred mirror"] * is_preferred)


def layout_of(place: int | str, *, is_handed_on: bool = False) -> Striping | None:
    """The layout of a file, open or by its path, or what a directory hands on; None if there is none.

    Raises :class:`OSError`.
    """
    try:
        return parse(os.getxattr(place, _ATTRIBUTE), is_handed_on=is_handed_on)
    except OSError as error:
        if error.errno in _NO_LAYOUT:
            return None
        raise


def has_layouts(directory: int) -> bool:
    """Tell if the file system of an open directory has layouts."""
    return file_system_type(directory) == _MAGIC


def set_layout(place: int, striping: Striping) -> bool:
    """Set the layout of an open file that has none yet, or what an open directory hands on; tell if it is that now.

    Lustre says nothing if a file has its objects already, and may choose fewer stripes: so it is asked afterwards.
    """
    try:
        os.setxattr(place, _ATTRIBUTE, striping.pack())
    except OSError:  # no such pool, too few servers
        return False
    return asks_for_the_same(layout_of(place), striping)


def asks_for_the_same(one: Striping | None, other: Striping | None) -> bool:
    """Tell if two layouts have the same components, where either may leave the number of stripes to the file system."""
    if one is None or other is None:
        return one is other
    return len(one.components) == len(other.components) and all(map(_is_same, one.components, other.components))


def _is_same(one: Component, other: Component) -> bool:
    same_number = one.stripes == other.stripes or _ALL_SERVERS in (one.stripes, other.stripes)
    return same_number and one._replace(stripes=0) == other._replace(stripes=0)


def create_striped(directory: int, name: str, flags: int, mode: int, striping: Striping) -> int:
    """Make a new file with a layout, or with that of its place if it cannot have it; its descriptor."""
    file = os.open(name, flags | AWAITS_LAYOUT, mode, dir_fd=directory)
    try:
        os.setxattr(file, _ATTRIBUTE, striping.pack())
    except OSError:  # such a file takes no bytes (EBADF) before it is opened again, which its mode may forbid
        os.close(file)
        os.unlink(name, dir_fd=directory)
        return os.open(name, flags, mode, dir_fd=directory)
    return file


def is_striped_directory(directory: int) -> bool:
    """Tell if an open directory is striped over several metadata servers, which only making it anew could keep."""
    try:
        fcntl.ioctl(directory, _GET_DIRECTORY_STRIPES, _NO_STRIPES)
    except OSError as error:
        return error.errno == errno.E2BIG
    return False


def has_directory_default(directory: int) -> bool:
    """Tell if an open directory says on which metadata servers those made in it are, otherwise than the one above it."""
    if (default := _directory_default(directory)) is None:
        return False
    above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return default != _directory_default(above)
    finally:
        os.close(above)


def _directory_default(directory: int) -> tuple[int, ...] | None:
    try:
        return _DIRECTORY_DEFAULT.unpack(fcntl.ioctl(directory, _GET_DIRECTORY_STRIPES, _GET_DEFAULT))
    except OSError:
        return None
