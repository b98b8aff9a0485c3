"""The names of files that have several, gathered while a tree is walked, so that each file is copied once."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sqlite3
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.messages import HardlinksTask
from conveyor.filesystem.treecopy.walk import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.treecopy.messages import HardlinkSeen, Task

# See https://www.sqlite.org/tempfiles.html, 5.
_PLACE = "a temporary file of SQLite (in SQLITE_TMPDIR, TMPDIR or /var/tmp)"


class HardlinkTable:
    """A table in memory, and in a temporary file when there are many names. Raises :class:`OSError` where that has no room.

    It is no temporary table of the manifest, since to write to one begins a transaction there.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        with _error_context():
            self._connection.execute("CREATE TABLE linked (inode INTEGER, chunk INTEGER, path BLOB, proven INTEGER)")

    def close(self) -> None:
        self._connection.close()

    def add(self, seen: HardlinkSeen) -> None:
        inode = seen.inode - (1 << 64) if seen.inode >= 1 << 63 else seen.inode  # SQLite's integers have a sign
        row = inode, seen.chunk, os.fsencode(below(seen.path, seen.name)), seen.proven
        with _error_context():
            self._connection.execute("INSERT INTO linked VALUES (?, ?, ?, ?)", row)

    def clear(self) -> None:
        with _error_context():
            self._connection.execute("DELETE FROM linked")

    def tasks(self) -> Iterator[Task]:
        """A task for each file, unless each of its names is proven: one new name makes all of them unproven."""
        with _error_context():
            rows = self._connection.execute("SELECT inode, chunk, path, proven FROM linked ORDER BY inode")
            for _, group in itertools.groupby(rows, lambda row: row[0]):
                names = list(group)
                if not all(proven for *_, proven in names):
                    yield HardlinksTask([(chunk, os.fsdecode(path)) for _, chunk, path, _ in names])


@contextlib.contextmanager
def _error_context() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        code, reason = (errno.ENOSPC, os.strerror(errno.ENOSPC)) if is_full else (errno.EIO, str(error))
        raise OSError(code, f"hard links: {reason}", _PLACE) from error
