"""The links that stand in the place of a directory, put there in one step, and what is cleared away in ``.conveyor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.engine.ends import bridge_text
from conveyor.engine.remains import LINK, REMAINS
from conveyor.errors import ConflictError, IoFailedError
from conveyor.filesystem.copying.values import Named
from conveyor.filesystem.port import ExchangeRefusedError, Kind

if TYPE_CHECKING:
    from conveyor.engine.ends import End, Ends
    from conveyor.filesystem.port import Entry


def put_bridge(ends: Ends, end: End, name: str) -> None:
    """Put a bridge in the place of nothing, or of the plain link, in one step.

    Raises ConflictError where somebody's link stands there, and IoFailedError where something else does.
    """
    _put_link(ends, end, name, bridge_text(name))


def put_plain_link(ends: Ends, end: End, name: str) -> bool:
    """Put the plain link in the place of nothing, or of the bridge, in one step; False if it stood there already.

    Raises as :func:`put_bridge` does.
    """
    return _put_link(ends, end, name, ends.link_text(end, name))


def _put_link(ends: Ends, end: End, name: str, text: str) -> bool:
    kind = end.kind(name)
    if kind is None:
        end.fs.make_link(end.here, name, text)
        return True
    if kind is not Kind.LINK:
        raise IoFailedError(f"{end.path / name} changed while it was conveyed: it is no link any more")
    stands = end.fs.read_link(end.here, name)
    if stands == text:
        return False
    if stands != bridge_text(name) and not ends.is_plain_link(end, name, stands):
        raise changed(end, name)  # somebody's, put there after the look: the survey refuses it as well
    prepare_link(end, name, text)
    put_in_place(ends, end, name + LINK, name)
    return True


def put_in_place(ends: Ends, end: End, inner_name: str, name: str) -> None:
    """Put what is ready in ``.conveyor`` in the place of a link of ours, in one step where names can be exchanged.

    Raises ConflictError where something else stands there at this moment; that stays where it is.
    """
    fs = end.fs
    try:
        fs.exchange(end.own, inner_name, end.here, name)
    except ExchangeRefusedError:
        if not ends.is_link_of_ours(end, name, end.here, name):
            raise changed(end, name) from None
        if end.inner_kind(inner_name) is Kind.DIRECTORY:
            fs.remove(end.here, name)
        fs.rename(end.own, inner_name, end.here, name)
        return
    if not ends.is_link_of_ours(end, name, end.own, inner_name):
        fs.exchange(end.own, inner_name, end.here, name)
        raise changed(end, name)
    fs.remove(end.own, inner_name)


def remove_bridge(ends: Ends, end: End, name: str) -> None:
    """Remove a bridge from its place. Raises ConflictError where it is something else by now; that stays where it is."""
    clear(end, name + LINK)
    end.fs.rename(end.here, name, end.own, name + LINK)
    if not ends.is_link_of_ours(end, name, end.own, name + LINK):
        end.fs.rename(end.own, name + LINK, end.here, name)
        raise changed(end, name)
    end.fs.remove(end.own, name + LINK)


def prepare_link(end: End, name: str, text: str) -> None:
    """Make a link in ``.conveyor``, to be put in place by one rename or exchange."""
    clear(end, name + LINK)
    end.fs.make_link(end.own, name + LINK, text)


def is_it(end: End, name: str, was: Entry | None) -> bool:
    """Whether a directory that was seen before stands at an end now, by its inode."""
    entry = end.fs.look(end.here, name)
    return entry is not None and was is not None and (entry.kind, entry.inode) == (Kind.DIRECTORY, was.inode)


def changed(end: End, name: str) -> ConflictError:
    """The refusal of what is not what it was a moment ago."""
    return ConflictError(f"{end.path / name} became something else while it was conveyed")


def tidy(end: End, name: str) -> bool:
    """Remove what carrying left in ``.conveyor`` for the time being; True if there was anything."""
    cleared = [clear(end, name + ending) for ending in REMAINS]
    return any(cleared)


def clear(end: End, inner_name: str) -> bool:
    """Remove whatever stands under a name in ``.conveyor``; True if there was anything."""
    match end.inner_kind(inner_name):
        case None:
            return False
        case Kind.DIRECTORY:
            from conveyor.filesystem.copying.removing import remove

            remove(Named(end.own, inner_name), end.copying.options, end.copying.watch)
        case _:
            end.fs.remove(end.own, inner_name)
    return True
