"""The links that stand in the place of a directory, put there in one step, and what is cleared away in ``.conveyor``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from conveyor.engine.endpoints import bridge_text, is_bridge_text
from conveyor.errors import ConflictError, IoFailedError
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import LINK, PEER_SUFFIX, STAGED, left_behind, left_behind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.filesystem.posix import Entry
    from conveyor.filesystem.treecopy.remove_tree import Remains


def put_bridge(endpoints: Endpoints, end: Endpoint, name: str) -> None:
    """Put a bridge in the place of nothing, or of the final link, in one step.

    Raises ConflictError if somebody's link stands there, and IoFailedError if something else does.
    """
    _stands(endpoints, end, name)
    put_peers(endpoints, name)
    _put_link(endpoints, end, name, bridge_text(name))


def put_final_link(endpoints: Endpoints, end: Endpoint, name: str) -> bool:
    """Put the final link in the place of nothing, or of the bridge, in one step; False if it stood there already.

    Raises as :func:`put_bridge` does.
    """
    return _put_link(endpoints, end, name, endpoints.link_text(end, name))


def _put_link(endpoints: Endpoints, end: Endpoint, name: str, text: str) -> bool:
    match _stands(endpoints, end, name):
        case None:
            end.fs.symlink(end.root, name, text)
        case stands if stands == text:
            return False
        case _:
            prepare_link(end, name, text)
            put_in_place(endpoints, end, name + LINK, name)
    return True


def _stands(endpoints: Endpoints, end: Endpoint, name: str) -> str | None:
    """The text of the link of ours that stands under a name; None if nothing does. Raises as :func:`put_bridge` does."""
    kind = end.kind(name)
    if kind is None:
        return None
    if kind is not Kind.LINK:
        raise IoFailedError(f"{end.path / name} changed while it was conveyed: it is no link any more")
    text = end.fs.readlink(end.root, name)
    if not is_bridge_text(name, text) and not endpoints.is_final_link(end, name, text):
        raise changed_error(end, name)  # somebody's, put there after the look: the survey refuses it as well
    return text


def put_in_place(endpoints: Endpoints, end: Endpoint, inner_name: str, name: str) -> None:
    """Put what is ready in ``.conveyor`` in the place of a link of ours, in one step if names can be exchanged.

    Raises ConflictError if something else stands there at this moment; that stays where it is.
    """
    fs = end.fs
    try:
        fs.exchange(end.meta, inner_name, end.root, name)
    except (ExchangeRefusedError, CrossDeviceError):
        if not endpoints.is_link_of_ours(end, name, end.root, name):
            raise changed_error(end, name) from None
        if end.meta_kind(inner_name) is Kind.DIRECTORY:
            fs.unlink(end.root, name)
            fs.rename(end.meta, inner_name, end.root, name)
        else:
            _rename_link(end, inner_name, name)
        return
    if not endpoints.is_link_of_ours(end, name, end.meta, inner_name):
        fs.exchange(end.meta, inner_name, end.root, name)
        raise changed_error(end, name)
    fs.unlink(end.meta, inner_name)


def put_link_in_free_place(end: Endpoint, name: str) -> None:
    """Put the link that is ready in ``.conveyor`` under a name that nothing has."""
    _rename_link(end, name + LINK, name, replace=False)


def _rename_link(end: Endpoint, inner_name: str, name: str, *, replace: bool = True) -> None:
    """Rename a link out of ``.conveyor``; if that is refused within one directory tree, make it anew in its place.

    A directory that hands on a project ID (ext4, xfs, Lustre) takes no link that has another one, and an overlay moves
    nothing of a lower layer.
    """
    fs = end.fs
    try:
        fs.rename(end.meta, inner_name, end.root, name)
    except CrossDeviceError:
        if replace:
            fs.unlink(end.root, name)
        fs.symlink(end.root, name, fs.readlink(end.meta, inner_name))
        fs.unlink(end.meta, inner_name)


def remove_bridge(endpoints: Endpoints, end: Endpoint, name: str) -> None:
    """Remove a bridge from its place. Raises ConflictError if it is something else by now; that stays where it is."""
    remove_staged(end, name + LINK)
    try:
        end.fs.rename(end.root, name, end.meta, name + LINK)
    except CrossDeviceError:  # as in _rename_link: it came here by an exchange, with the other end's project ID
        if not endpoints.is_link_of_ours(end, name, end.root, name):
            raise changed_error(end, name) from None
        end.fs.unlink(end.root, name)
        return
    if not endpoints.is_link_of_ours(end, name, end.meta, name + LINK):
        end.fs.rename(end.meta, name + LINK, end.root, name)
        raise changed_error(end, name)
    end.fs.unlink(end.meta, name + LINK)


def prepare_bridge(endpoints: Endpoints, end: Endpoint, name: str) -> None:
    """Make a bridge in ``.conveyor``, to be put in place by one rename or exchange."""
    put_peers(endpoints, name)
    prepare_link(end, name, bridge_text(name))


def put_peers(endpoints: Endpoints, name: str) -> None:
    """Make sure of the links that a bridge leads over, at both ends."""
    for end in (endpoints.spool, endpoints.qa):
        if end.meta_kind(name + PEER_SUFFIX) is None:
            end.fs.symlink(end.meta, name + PEER_SUFFIX, endpoints.peer_link_text(end, name))


def bridge_stands(end: Endpoint, name: str) -> bool:
    """Tell if a bridge stands at an end in the place of a directory."""
    return end.kind(name) is Kind.LINK and is_bridge_text(name, end.fs.readlink(end.root, name))


def remove_peers(endpoints: Endpoints, names: Iterable[str]) -> bool:
    """Remove the links of directories to which no bridge leads any more; True if there were any.

    A reader may have read a bridge and not yet followed it: the grace period is theirs.
    """
    ends = [end for end in (endpoints.spool, endpoints.qa) if end.meta_handle is not None]
    left = [
        (end, name + PEER_SUFFIX)
        for name in names
        if not any(bridge_stands(end, name) for end in ends)
        for end in ends
        if end.meta_kind(name + PEER_SUFFIX) is Kind.LINK
    ]
    if left:
        endpoints.fs.wait_grace_period()
    for end, inner_name in left:
        end.fs.unlink(end.meta, inner_name)
    return bool(left)


def prepare_link(end: Endpoint, name: str, text: str) -> None:
    """Make a link in ``.conveyor``, to be put in place by one rename or exchange."""
    remove_staged(end, name + LINK)
    end.fs.symlink(end.meta, name + LINK, text)


def is_same_directory(end: Endpoint, name: str, was: Entry | None) -> bool:
    """Tell whether a directory that was seen before stands at an end now, by its inode."""
    entry = end.fs.lstat(end.root, name)
    return entry is not None and was is not None and (entry.kind, entry.inode) == (Kind.DIRECTORY, was.inode)


def changed_error(end: Endpoint, name: str) -> ConflictError:
    """The refusal of what is not what it was a moment ago."""
    return ConflictError(f"{end.path / name} became something else while it was conveyed")


def clean_up(end: Endpoint, name: str) -> bool:
    """Remove what carrying left in ``.conveyor`` for the time being; True if there was anything."""
    cleared = [remove_staged(end, name + ending) for ending in STAGED]
    return any(cleared)


def remove_staged(end: Endpoint, inner_name: str) -> bool:
    """Remove whatever stands under a name in ``.conveyor``; True if there was anything.

    What cannot be removed of a directory is set aside under another name, and the user is warned.
    """
    match end.meta_kind(inner_name):
        case None:
            return False
        case Kind.DIRECTORY:
            remains = _remove_directory(end, inner_name)
            if remains:
                name = inner_name.rpartition(".")[0]
                aside = end.unused_meta_name(partial(left_behind, name))
                end.fs.rename(end.meta, inner_name, end.meta, aside)
                end.copying.warn(f"{_left_in(end, aside)} ({remains})")
        case _:
            end.fs.unlink(end.meta, inner_name)
    return True


def find_left_behind(end: Endpoint, names: Iterable[str]) -> list[str]:
    """The names in ``.conveyor`` of what could not be removed of these directories."""
    wanted = set(names)
    return [one for one in end.fs.listdir(end.meta) if left_behind_of(one) in wanted] if end.meta_handle else []


def remove_left_behind(end: Endpoint, names: Iterable[str]) -> bool:
    """Remove what could not be removed of these directories, and may be by now; True if all of one could be."""
    removed = False
    for one in find_left_behind(end, names):
        remains = _remove_directory(end, one)
        if remains:
            end.copying.warn(f"{_left_in(end, one)} ({remains})")
        removed = removed or not remains
    return removed


def _remove_directory(end: Endpoint, inner_name: str) -> Remains:
    from conveyor.filesystem.treecopy.remove_tree import remove_what_can_be_removed

    return remove_what_can_be_removed(PathAt(end.meta, inner_name), end.copying.options, end.copying.monitor)


def _left_in(end: Endpoint, inner_name: str) -> str:
    return f"left behind in {end.meta.path / inner_name} what cannot be removed; a later run removes it when it can"
