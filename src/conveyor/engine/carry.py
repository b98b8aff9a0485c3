"""Carry one directory from one end to the other while its path keeps working.

Three ways, tried in this order, since only trying tells which one the file system allows:

*exchange*: the directory and a link to it trade places in one step; there is no instant at which a path is missing.
*renames*: where the exchange is refused, a link made beforehand and two renames back to back.
*copy*: across file systems; see ``crossing``.

The link is a bridge (see ``ends``), which leads to the data from both ends.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from conveyor.engine.crossing import cross
from conveyor.engine.ends import bridge_text
from conveyor.engine.links import changed, is_it, prepare_link, put_bridge
from conveyor.engine.remains import LINK
from conveyor.filesystem.port import CrossDeviceError, ExchangeRefusedError

if TYPE_CHECKING:
    from conveyor.engine.ends import End, Ends
    from conveyor.filesystem.port import Entry


def carry(ends: Ends, name: str, origin: End) -> str:
    """Carry a directory from ``origin`` to the other end; the way that worked: ``exchange``, ``renames`` or ``copy``.

    Afterwards the directory is at the other end, and a bridge in its place at ``origin``. What the watch's
    ``stop`` raises ends a copy, and leaves the directory where it was. Raises ConflictError where something else takes the
    directory's place at this moment; that stays where it is then.
    """
    fs, target = ends.fs, ends.other(origin)
    was = fs.look(origin.here, name)
    put_bridge(ends, target, name)
    try:
        fs.exchange(origin.here, name, target.here, name)
    except CrossDeviceError:
        cross(ends, name, origin, was)
        return "copy"
    except ExchangeRefusedError:
        try:
            _rename(origin, target, name, was)
        except CrossDeviceError:
            cross(ends, name, origin, was)
            return "copy"
        return "renames"
    if not is_it(target, name, was):
        fs.exchange(origin.here, name, target.here, name)
        raise changed(origin, name)
    return "exchange"


def _rename(origin: End, target: End, name: str, was: Entry | None) -> None:
    """The two renames. A rename refused with EXDEV leaves the origin whole and a bridge at the target."""
    fs = origin.fs
    prepare_link(origin, name, bridge_text(name))
    # From here to the end nothing may come between: at one end or the other the path is missing.
    fs.remove(target.here, name)
    try:
        fs.rename(origin.here, name, target.here, name)
    except CrossDeviceError:
        fs.make_link(target.here, name, bridge_text(name))  # the copy is swapped in for it
        raise
    except OSError:
        with contextlib.suppress(OSError):
            fs.make_link(target.here, name, bridge_text(name))
        raise
    fs.rename(origin.own, name + LINK, origin.here, name)
    if not is_it(target, name, was):
        fs.remove(origin.here, name)
        fs.rename(target.here, name, origin.here, name)
        fs.make_link(target.here, name, bridge_text(name))
        raise changed(origin, name)
