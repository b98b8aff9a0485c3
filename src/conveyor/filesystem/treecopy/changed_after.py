"""Was a tree changed after a moment? By the change times of its entries, which nobody can set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.walk import visit

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.copy_options import PathAt


def changed_after(tree: PathAt, moment: int) -> str | None:
    """Return the path of an entry that was changed after a moment, in nanoseconds since the epoch; None if none was.

    The tree itself is not looked at, and the directories in it, which were moved there, by their modification time alone.
    Raises :class:`OSError`.
    """
    for path, directory, entries in visit(tree, lambda _: True):
        with error_context("stat", tree.path / path):
            status = os.fstat(directory)
            if path and (status.st_ctime_ns if "/" in path else status.st_mtime_ns) > moment:
                return path
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_ctime_ns > moment:
                    return f"{path}/{entry.name}"
    return None
