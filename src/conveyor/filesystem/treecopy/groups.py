"""Files with several names, gathered while a tree is visited, so that each is copied once; on disk, where they are many."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from conveyor.filesystem.treecopy.messages import HardlinkSeen, Job, Task
from conveyor.filesystem.treecopy.walk import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.treecopy.manifest import Manifest


class HardlinkGroups:
    """The names met so far, in a temporary table beside the manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        with manifest.error_context():
            manifest.connection.execute("CREATE TEMP TABLE linked (inode INTEGER, name BLOB, proven INTEGER)")

    def add(self, seen: HardlinkSeen) -> None:
        name = os.fsencode(f"{seen.chunk}/{below(seen.path, seen.name)}")
        with self._manifest.error_context():
            self._manifest.connection.execute(
                "INSERT INTO linked VALUES (?, ?, ?)", (_signed(seen.inode), name, seen.proven)
            )

    def clear(self) -> None:
        with self._manifest.error_context():
            self._manifest.connection.execute("DELETE FROM linked")

    def tasks(self) -> Iterator[Task]:
        """A task for each file, unless each of its names is proven: one new name makes all of them unproven."""
        with self._manifest.error_context():
            rows = self._manifest.connection.execute("SELECT inode, name, proven FROM linked ORDER BY inode")
            for _, group in itertools.groupby(rows, lambda row: row[0]):
                members = list(group)
                if not all(proven for _, _, proven in members):
                    yield Task(Job.GROUP, "", os.fsdecode(b"\0".join(name for _, name, _ in members)))


def _signed(inode: int) -> int:
    """SQLite's integers have a sign."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode
