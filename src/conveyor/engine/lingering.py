"""What readers on other hosts still follow: the source of a copy stays for as long as their caches may lead there.

A client of NFS believes for up to a minute what it has seen of a directory: it goes on following a link that is gone, or has
the old directory under its old name. So the source of a copy, which may go, is set aside in ``.conveyor``; where it came
home from, a link leads there in its old place. The command does not wait, and the request is settled: once the time
is over, the next command about the request, or ``conveyor tidy``, removes it.

It is set aside in a directory of its own, whose modification time is the moment of that by the file server's clock.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from conveyor.engine.links import prepare_link, put_in_place, remove_staged
from conveyor.filesystem.error_context import CrossDeviceError
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import LINK, META_DIR, OUTGOING, lingering, lingering_of, written_meanwhile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from conveyor.engine.endpoints import Endpoint, Endpoints


class Lingering(NamedTuple):
    """The source of a copy of the directory ``name``, which stands aside at an end under ``inner_name``."""

    end: Endpoint
    name: str
    inner_name: str


def linger(endpoints: Endpoints, end: Endpoint, name: str) -> bool:
    """Set a source aside that may go; False if no other host's cache leads there, or it cannot be moved."""
    if endpoints.cache_lifetime <= 0 or end.meta_kind(name + OUTGOING) is not Kind.DIRECTORY:
        return False
    fs, aside = end.fs, end.unused_meta_name(partial(lingering, name))
    fs.mkdir(end.meta, aside)
    endpoints.let_read(end.meta, aside)
    try:
        with fs.open_directory(end.meta, aside) as folder:
            fs.rename(end.meta, name + OUTGOING, folder, name)
    except CrossDeviceError:  # an overlay moves nothing of a lower layer
        fs.rmdir(end.meta, aside)
        return False
    fs.fsync(end.meta)
    return True


def put_lingering_link(endpoints: Endpoints, end: Endpoint, name: str) -> bool:
    """Put a link to what this way home set aside in the place of a link of ours, in one step; False if it did not."""
    before = endpoints.lingering_before
    aside = [one for one in _find(end, {name}) if before is not None and one.inner_name not in before]
    if not aside:
        return False
    prepare_link(end, name, _link_text(aside[-1]))
    put_in_place(endpoints, end, name + LINK, name)
    return True


def is_lingering_link(name: str, text: str) -> bool:
    """Tell if a link with this text leads to what stands aside of a directory."""
    match text.split("/"):
        case [inner, aside, last]:
            return inner == META_DIR and lingering_of(aside) == name == last
    return False


def remove_lingering_links(endpoints: Endpoints, end: Endpoint, names: Collection[str]) -> None:
    """Remove the links to what stands aside, and remember this: no link leads there again."""
    endpoints.lingering_before = frozenset(one.inner_name for one in _find(end, names))
    for name in names:
        if end.kind(name) is Kind.LINK and is_lingering_link(name, end.fs.readlink(end.root, name)):
            end.fs.unlink(end.root, name)


def over(endpoints: Endpoints, names: Collection[str]) -> list[Lingering]:
    """What stands aside of these directories, and no cache leads to any more."""
    ends = [end for end in (endpoints.spool, endpoints.qa) if end.meta_handle is not None]
    return [
        one
        for end in ends
        for one in _find(end, names)
        if (entry := end.fs.lstat(end.meta, one.inner_name))
        and time.time() - entry.modified / 1e9 >= endpoints.cache_lifetime
    ]


def remove_what_is_over(endpoints: Endpoints, names: Collection[str]) -> bool:
    """Remove what no cache leads to any more, with the link to it; True if there was any.

    What somebody has written to meanwhile stays, and the user is warned.
    """
    found = over(endpoints, names)
    for one in found:
        end, name = one.end, one.name
        if end.kind(name) is Kind.LINK and end.fs.readlink(end.root, name) == _link_text(one):
            end.fs.unlink(end.root, name)
        if (written := _written(one)) is not None:
            kept = end.unused_meta_name(partial(written_meanwhile, name))
            end.fs.rename(end.meta, one.inner_name, end.meta, kept)
            end.copying.warn(f"somebody on another host wrote to {written} of a source that was copied; kept in {kept}")
            continue
        remove_staged(end, name + OUTGOING)
        end.fs.rename(end.meta, one.inner_name, end.meta, name + OUTGOING)
        remove_staged(end, name + OUTGOING)
    return bool(found)


def _find(end: Endpoint, names: Collection[str]) -> Iterator[Lingering]:
    for inner_name in end.fs.listdir(end.meta) if end.meta_handle else ():
        name = lingering_of(inner_name)
        if name is not None and name in names and end.meta_kind(inner_name) is Kind.DIRECTORY:
            yield Lingering(end, name, inner_name)


def _link_text(one: Lingering) -> str:
    return f"{META_DIR}/{one.inner_name}/{one.name}"


def _written(one: Lingering) -> str | None:
    """The path of something that was changed since the source was set aside; None if nothing was."""
    from conveyor.filesystem.treecopy.changed_after import changed_after

    entry = one.end.fs.lstat(one.end.meta, one.inner_name)
    return changed_after(PathAt(one.end.meta, one.inner_name), entry.modified) if entry else None
