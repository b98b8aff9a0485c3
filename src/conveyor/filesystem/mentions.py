"""Find what names a directory by its path: links, casacore tables and image lists that break once the directory is gone.

A table keeps the path of another one that it refers to (a selection, a concatenation) as plain bytes in its ``table.dat``,
and an image that is made of others the paths of these in ``imageconcat.json``. casacore stores an absolute path, resolved
as the caller wrote it, unless the other table is in the same directory (seen with python-casacore 3.8.1).
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from typing import TYPE_CHECKING

from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.walk import below, visit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from conveyor.filesystem.treecopy.copy_options import PathAt

_REFERRING = frozenset({"table.dat", "imageconcat.json"})
_CHUNK = 1 << 20  # bytes


def mentions(tree: PathAt, places: Collection[str], stays: Callable[[str], bool]) -> Iterator[str]:
    """Return the paths, from the tree, of what names one of some ``places`` by its path; they are one directory's.

    The tree stands in that directory. A relative link out of the tree counts if it leads to something in the directory
    whose name does not ``stays`` there: it is gone for the link once the tree is somewhere else. Raises :class:`OSError`.
    """
    wanted = [os.fsencode(place) for place in places]
    for path, directory, entries in visit(tree, lambda entry: entry.is_symlink() or entry.name in _REFERRING):
        with error_context("read", tree.path / path):
            for entry in entries:
                if entry.is_symlink():
                    text = os.readlink(entry.name, dir_fd=directory)
                    named = _leads_there(posixpath.join(tree.name, path), text, places, stays)
                else:
                    named = _has(directory, entry.name, wanted)
                if named:
                    yield below(path, entry.name)


def _leads_there(directory: str, text: str, places: Collection[str], stays: Callable[[str], bool]) -> bool:
    """Tell if a link in a directory, named from where the tree stands, names something there that it will miss."""
    if text.startswith("/"):
        return any(text == place or text.startswith(f"{place}/") for place in places)
    named = posixpath.normpath(posixpath.join(directory, text))
    first = named.partition("/")[0]
    return first not in ("..", ".") and not stays(first)


def _has(directory: int, name: str, wanted: list[bytes]) -> bool:
    """Tell if a file has one of some paths in it, followed by a slash: other directories' names may begin like it."""
    found = [place + b"/" for place in wanted]
    overlap = max(map(len, found), default=1) - 1
    with contextlib.suppress(PermissionError):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            before = b""
            while chunk := os.read(descriptor, _CHUNK):
                window = before + chunk
                if any(place in window for place in found):
                    return True
                before = window[-overlap:]
        finally:
            os.close(descriptor)
    return False
