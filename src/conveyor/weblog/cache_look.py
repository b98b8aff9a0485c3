"""A look at the weblog cache: is a request's weblog in it, and all of that?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.documents.codec import load
from conveyor.documents.kept_documents import WeblogReceipt
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.posix import Entry, Kind
from conveyor.layout import WEBLOG_RECEIPT, weblog_staged
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.request.places import Places

_MOST = 1 << 20  # bytes of a receipt


@frozen
class CacheState:
    """The cache as seen for one request.

    ``cached``: it has a weblog that Conveyor cached, whose first page is ``page``, a path in it (None: not known). ``lost``:
    what it has of that is not all. ``blocked``: it has something else of that name. ``has_leftovers``: an interrupted run
    left a tree that is to be put back or removed.
    """

    cached: bool = False
    page: str | None = None
    lost: bool = False
    blocked: bool = False
    has_leftovers: bool = False


#: There is nothing of a request in the cache.
NOT_CACHED = CacheState()


def inspect_cache(fs: FileSystem, places: Places, *, thorough: bool = False) -> CacheState:
    """Look at the cache, which need not exist yet. Raises :class:`OSError` if it cannot be read.

    A look that is ``thorough`` counts what the weblog has; another asks for its first page alone.
    """
    try:
        cache = fs.open_root(places.weblog_cache)
    except FileNotFoundError:
        return NOT_CACHED
    with cache:
        made, replaced = weblog_staged(places.request)
        has_leftovers = fs.lstat(cache, made) is not None or fs.lstat(cache, replaced) is not None
        entry = fs.lstat(cache, places.request)
        if entry is None:
            return CacheState(has_leftovers=True) if has_leftovers else NOT_CACHED
        if entry.kind is Kind.DIRECTORY:
            with fs.open_directory(cache, places.request) as directory:
                receipt = fs.lstat(directory, WEBLOG_RECEIPT)
                if receipt is not None and receipt.kind is Kind.FILE:
                    found = read_receipt(fs, directory)
                    cached = found is not None and is_whole(fs, directory, found, thorough=thorough)
                    page = found.get("page") if found and cached else None
                    return CacheState(cached, page, not cached, has_leftovers=has_leftovers)
        return CacheState(blocked=True, has_leftovers=has_leftovers)


def read_receipt(fs: FileSystem, directory: DirFd) -> WeblogReceipt | None:
    """Return the receipt of a cached weblog; None if it is none that can be read."""
    try:
        return load(WeblogReceipt, fs.read(directory, WEBLOG_RECEIPT, limit=_MOST))
    except ValueError:
        return None


def is_whole(fs: FileSystem, directory: DirFd, receipt: WeblogReceipt, *, thorough: bool) -> bool:
    """Tell whether a cached weblog still has what its receipt says: cleaners remove what is old, and pages are.

    What somebody added does no harm.
    """
    entries, page = receipt.get("entries"), receipt.get("page")
    try:
        if thorough and entries is not None:
            return sum(1 for _ in walk(fs, directory)) >= entries + 2  # the tar and the receipt
        if page is not None:
            with error_context("stat", directory.path / page):
                return (directory.path / page).exists()  # it may be a link to another page
    except PermissionError:
        return not thorough  # it cannot be told; a look of another account is no proof
    return bool(set(fs.listdir(directory)) - {WEBLOG_RECEIPT, receipt["tar"]})


def walk(fs: FileSystem, directory: DirFd) -> Iterator[tuple[DirFd, str, Entry]]:
    """Yield every entry below a directory, with the directory that it is in, open for as long."""
    for name in fs.listdir(directory):
        entry = fs.lstat(directory, name)
        if entry is None:
            continue
        yield directory, name, entry
        if entry.kind is Kind.DIRECTORY:
            with fs.open_directory(directory, name) as below:
                yield from walk(fs, below)
