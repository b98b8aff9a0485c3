"""Carry one directory from one end to the other while its path keeps working.

Three ways, tried in this order, since only trying tells which one the file system allows:

*exchange*: the directory and a link to it trade places in one step; there is no instant at which a path is missing.
*renames*: where the exchange is refused, a link made beforehand and two renames back to back.
*copy*: across file systems, a copy beside the target, flushed and compared, then swapped in; the source goes last.

The link is a bridge (see ``ends``), which leads to the data from both ends.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from conveyor.engine.ends import bridge_text
from conveyor.engine.survey import COPIED, REMAINS, copied_mark
from conveyor.errors import IoFailedError
from conveyor.filesystem.port import CrossDeviceError, ExchangeRefusedError, Kind
from conveyor.filesystem.tree import compare_trees, copy_tree, remove_tree

if TYPE_CHECKING:
    from conveyor.engine.ends import End, Ends

_LINK, _INCOMING, _OUTGOING = REMAINS


def carry(ends: Ends, name: str, origin: End) -> str:
    """Carry a directory from ``origin`` to the other end; the way that worked: ``exchange``, ``renames`` or ``copy``.

    Afterwards the directory is at the other end, and a bridge in its place at ``origin``.
    """
    target = ends.other(origin)
    put_bridge(target, name)
    try:
        ends.fs.exchange(origin.here, name, target.here, name)
    except CrossDeviceError:
        _copy(ends, name, origin, target)
        return "copy"
    except ExchangeRefusedError:
        try:
            _rename(origin, target, name)
        except CrossDeviceError:
            _copy(ends, name, origin, target)
            return "copy"
        return "renames"
    return "exchange"


def put_bridge(end: End, name: str) -> None:
    """Put a bridge in the place of nothing, or of the plain link, in one step."""
    _put_link(end, name, bridge_text(name))


def put_plain_link(ends: Ends, end: End, name: str) -> bool:
    """Put the plain link in the place of nothing, or of the bridge, in one step; False if it stood there already."""
    return _put_link(end, name, ends.link_text(end, name))


def _put_link(end: End, name: str, text: str) -> bool:
    kind = end.kind(name)
    if kind is None:
        end.fs.make_link(end.here, name, text)
        return True
    if kind is not Kind.LINK:
        raise IoFailedError(f"{end.path / name} changed while it was conveyed: it is no link any more")
    if end.fs.read_link(end.here, name) == text:
        return False
    _prepare_link(end, name, text)
    end.fs.rename(end.own, name + _LINK, end.here, name)
    return True


def _prepare_link(end: End, name: str, text: str) -> None:
    _clear(end, name + _LINK)
    end.fs.make_link(end.own, name + _LINK, text)


def _rename(origin: End, target: End, name: str) -> None:
    """The two renames. A rename refused with EXDEV leaves the origin whole and a bridge at the target."""
    fs = origin.fs
    _prepare_link(origin, name, bridge_text(name))
    # From here to the end nothing may come between: at one end or the other the path is missing.
    fs.remove(target.here, name)
    try:
        fs.rename(origin.here, name, target.here, name)
    except OSError:
        with contextlib.suppress(OSError):
            fs.make_link(target.here, name, bridge_text(name))
        raise
    fs.rename(origin.own, name + _LINK, origin.here, name)


def _copy(ends: Ends, name: str, origin: End, target: End) -> None:
    """The copy path. ``<name>.incoming`` is never the data, ``<name>.outgoing`` never its only copy.

    Between the two swaps a directory stands at both ends; the mark ``<name>.copied``, which names the copy's inode
    and its source's, tells a later run which of the two is the copy.
    """
    fs = ends.fs
    incoming = name + _INCOMING
    _clear(target, incoming)
    try:
        copy_tree(origin.here, name, target.own, incoming)
        fs.flush(target.own)
        difference = compare_trees(origin.here, name, target.own, incoming)
        if difference:
            raise IoFailedError(
                f"the copy differs from its source in {difference.what}: {difference.path}",
                hint="nothing is lost: the source is untouched. If it was being written to, wait; then run again",
            )
    except BaseException:
        with contextlib.suppress(OSError):
            _clear(target, incoming)
        raise
    _clear(target, name + COPIED)
    fs.make_link(target.own, name + COPIED, copied_mark(fs.look(target.own, incoming), fs.look(origin.here, name)))
    _prepare_link(origin, name, bridge_text(name))
    fs.flush(target.own)
    _swap(target, incoming, name)
    fs.flush(target.here)
    _retire(origin, name)
    _clear(target, name + COPIED)  # before the source goes: from here on only one of the two is the data
    fs.let_readers_pass()  # who walked into the source before it was retired is on their way through it
    _clear(origin, name + _OUTGOING)


def _swap(target: End, incoming: str, name: str) -> None:
    """Put the copy in the place of the bridge at the target."""
    try:
        target.fs.exchange(target.own, incoming, target.here, name)
    except ExchangeRefusedError:
        target.fs.remove(target.here, name)
        target.fs.rename(target.own, incoming, target.here, name)
    else:
        target.fs.remove(target.own, incoming)


def _retire(end: End, name: str) -> None:
    """Put the prepared link in the place of a directory whose data is whole at the other end."""
    fs = end.fs
    try:
        fs.exchange(end.own, name + _LINK, end.here, name)
        fs.rename(end.own, name + _LINK, end.own, name + _OUTGOING)
    except ExchangeRefusedError:
        fs.rename(end.here, name, end.own, name + _OUTGOING)
        fs.rename(end.own, name + _LINK, end.here, name)
    fs.flush(end.here)


def recall_copy(name: str, end: End) -> None:
    """Take a copy that was swapped in at ``end`` back out, a bridge in its place: the other end has the original."""
    _prepare_link(end, name, bridge_text(name))
    _retire(end, name)
    _clear(end, name + COPIED)
    _clear(end, name + _OUTGOING)


def tidy(end: End, name: str) -> bool:
    """Remove what carrying left in ``.conveyor`` for the time being; True if there was anything."""
    cleared = [_clear(end, name + ending) for ending in (*REMAINS, COPIED)]
    return any(cleared)


def _clear(end: End, inner_name: str) -> bool:
    match end.inner_kind(inner_name):
        case None:
            return False
        case Kind.DIRECTORY:
            remove_tree(end.own, inner_name)
        case _:
            end.fs.remove(end.own, inner_name)
    return True
