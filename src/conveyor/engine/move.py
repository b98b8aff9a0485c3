"""Move one directory from one end to the other while its path keeps working.

Three ways, tried in this order, since only trying tells which one the file system allows:

*exchange*: the directory and a link to it trade places in one step; there is no instant at which a path is missing.
*renames*: if the exchange is refused, a link made beforehand and two renames back to back.
*copy*: across file systems; see ``move_across``.

The link is a bridge (see ``endpoints``), which leads to the data from both ends.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from conveyor.engine.endpoints import bridge_text
from conveyor.engine.links import changed_error, is_same_directory, prepare_link, put_bridge
from conveyor.engine.move_across import move_across
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.layout import LINK

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.filesystem.posix import Entry


def move(endpoints: Endpoints, name: str, origin: Endpoint) -> str:
    """Move a directory from ``origin`` to the other end; return the way that worked: ``exchange``, ``renames`` or ``copy``.

    Afterwards the directory is at the other end, and a bridge in its place at ``origin``. What the monitor's
    ``stop`` raises ends a copy, and leaves the directory where it was. Raises ConflictError if something else takes the
    directory's place at this moment; that stays where it is then.
    """
    fs, target = endpoints.fs, endpoints.other(origin)
    was = fs.lstat(origin.root, name)
    put_bridge(endpoints, target, name)
    try:
        fs.exchange(origin.root, name, target.root, name)
    except CrossDeviceError:
        move_across(endpoints, name, origin, was)
        return "copy"
    except ExchangeRefusedError:
        try:
            _rename(origin, target, name, was)
        except CrossDeviceError:
            move_across(endpoints, name, origin, was)
            return "copy"
        return "renames"
    if not is_same_directory(target, name, was):
        fs.exchange(origin.root, name, target.root, name)
        raise changed_error(origin, name)
    return "exchange"


def _rename(origin: Endpoint, target: Endpoint, name: str, was: Entry | None) -> None:
    """The two renames. A rename refused with EXDEV leaves the origin whole and a bridge at the target."""
    fs = origin.fs
    prepare_link(origin, name, bridge_text(name))
    # From here to the end nothing may come between: at one end or the other the path is missing.
    fs.unlink(target.root, name)
    try:
        fs.rename(origin.root, name, target.root, name)
    except CrossDeviceError:
        fs.symlink(target.root, name, bridge_text(name))  # the copy is swapped in for it
        raise
    except OSError:
        with contextlib.suppress(OSError):
            fs.symlink(target.root, name, bridge_text(name))
        raise
    fs.rename(origin.meta, name + LINK, origin.root, name)
    if not is_same_directory(target, name, was):
        fs.unlink(origin.root, name)
        fs.rename(target.root, name, origin.root, name)
        fs.symlink(target.root, name, bridge_text(name))
        raise changed_error(origin, name)
