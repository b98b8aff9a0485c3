"""Move one directory from one end to the other while its path keeps working.

Ways, tried in this order, since only trying tells which one the file system allows:

*exchange*: the directory and a link to it trade places in one step; there is no instant at which a path is missing.
*renames*: if the exchange is refused, a link made beforehand and two renames back to back.
*copy*: if the directory may not be renamed either; see ``move_across``.

Before them, *retag*: a directory that has another project ID than the target gets that; see ``retagging``.

An exchange takes a link the other way, and that may be all that is refused: ext4 with a project ID at one end, out of an
encrypted directory, a btrfs subvolume as a whole. The link is a bridge (see ``endpoints``), which leads to the data from
both ends.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.engine.endpoints import bridge_text
from conveyor.engine.idleness import in_use_if_refused
from conveyor.engine.links import (
    changed_error,
    is_same_directory,
    prepare_bridge,
    put_bridge,
    put_link_in_free_place,
    remove_staged,
)
from conveyor.engine.retagging import abandon_retag, prepare_retag, settle_projects
from conveyor.engine.way_over import Way, copied_way
from conveyor.errors import ConveyorError, UnmovableError
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import PROBE

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.filesystem.posix import Entry


def move(endpoints: Endpoints, name: str, origin: Endpoint) -> Way:
    """Move a directory from ``origin`` to the other end; return the way that worked.

    Afterwards the directory is at the other end, and a bridge in its place at ``origin``. What the monitor's
    ``stop`` raises ends a copy, and leaves the directory where it was. Raises ConflictError if something else takes the
    directory's place at this moment; that stays where it is then. Raises :class:`~conveyor.errors.UnmovableError`, with the
    directory where it was, if the file system's renames do not do what POSIX says.
    """
    target, was = endpoints.other(origin), endpoints.fs.lstat(origin.root, name)
    retagged = prepare_retag(endpoints, name, origin)
    put_bridge(endpoints, target, name)
    try:
        way = _move(endpoints, name, origin, was)
    except CrossDeviceError:
        from conveyor.engine.move_across import move_across

        move_across(endpoints, name, origin, was)
        abandon_retag(endpoints, name)
        return copied_way(endpoints, name)
    if not retagged:
        return way
    settle_projects(endpoints, name, target)
    return Way.RETAG


def _move(endpoints: Endpoints, name: str, origin: Endpoint, was: Entry | None) -> Way:
    """Move it without copying it. Raises CrossDeviceError if it may not be renamed, with the origin whole."""
    target = endpoints.other(origin)
    try:
        _exchange(origin, target, name, was)
    except ExchangeRefusedError:
        _rename(endpoints, origin, name, was)
    except CrossDeviceError:
        _make_sure_of_renames(origin, target, name)
        _rename(endpoints, origin, name, was)
    else:
        return Way.EXCHANGE
    return Way.RENAMES


def _exchange(origin: Endpoint, target: Endpoint, name: str, was: Entry | None) -> None:
    origin.fs.exchange(origin.root, name, target.root, name)
    if not is_same_directory(target, name, was):
        error = _other_directory_error(origin, target, name, was)
        origin.fs.exchange(origin.root, name, target.root, name)
        raise error


def _make_sure_of_renames(origin: Endpoint, target: Endpoint, name: str) -> None:
    """Raise CrossDeviceError if the directory may not be renamed to the other end, before any path is missing for it."""
    remove_staged(target, name + PROBE)
    with in_use_if_refused(PathAt(origin.root, name)):
        if not origin.fs.can_rename(origin.root, name, target.meta, name + PROBE):
            raise CrossDeviceError


def _rename(endpoints: Endpoints, origin: Endpoint, name: str, was: Entry | None) -> None:
    """The two renames. A rename refused with EXDEV leaves the origin whole and a bridge at the target."""
    fs, target = origin.fs, endpoints.other(origin)
    prepare_bridge(endpoints, origin, name)
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
    try:
        put_link_in_free_place(origin, name)
    except OSError:
        if origin.kind(name) is None:
            raise
        _rename_back(origin, target, name)  # which brings the parts together again
        raise UnmovableError(
            f"the file system renamed a part of {origin.path / name} only, and left the rest behind",
            hint="does it join several (mergerfs, unionfs)? let one of them have all of the request",
        ) from None
    if not is_same_directory(target, name, was):
        error = _other_directory_error(origin, target, name, was)
        fs.unlink(origin.root, name)
        _rename_back(origin, target, name)
        raise error


def _rename_back(origin: Endpoint, target: Endpoint, name: str) -> None:
    origin.fs.rename(target.root, name, origin.root, name)
    origin.fs.symlink(target.root, name, bridge_text(name))


def _other_directory_error(origin: Endpoint, target: Endpoint, name: str, was: Entry | None) -> ConveyorError:
    """The refusal of what arrived, and is not the directory that was seen before by its inode number."""
    now = target.fs.lstat(target.root, name)
    if was is not None and now is not None and replace(now, inode=was.inode, device=was.device) == was:
        return UnmovableError(
            f"the file system gives {origin.path / name} another inode number when it is renamed",
            hint="mergerfs does so with use_ino: mount it with inodecalc=devino-hash, or without use_ino",
        )
    return changed_error(origin, name)
