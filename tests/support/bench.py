"""A folder with a weblog tar in it, a weblog cache beside it, and what may be in an unpacked tree."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import Places
from conveyor.weblog.cache import WeblogCache
from conveyor.weblog.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

GENEROUS = Limits(bytes=1_000_000_000, members=100_000, ratio=200)
FS = FileSystem(sync=lambda _: None)


class Bench:
    """A folder with a tar in it, and a weblog cache beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "weblog-cache"
        self.tree = self.cache / "request"
        (root / "products").mkdir()
        self.places = Places("request", root / "spool" / "request", root / "qa2", self.cache, relative_links=True)

    def put(self, content: bytes, name: str = "weblog.tgz", age: float = 3600) -> None:
        """Write a tar that was written to so many seconds ago."""
        path = self.root / "products" / name
        path.write_bytes(content)
        os.utime(path, (time.time() - age,) * 2)

    def check(self, limits: Limits = GENEROUS, name: str = "weblog.tgz") -> None:
        with FS.open_root(self.root / "products") as folder:
            WeblogCache(FS, self.places, limits).check(folder, name)

    def store(self, limits: Limits = GENEROUS, name: str = "weblog.tgz") -> bool:
        with FS.open_root(self.root / "products") as folder:
            return WeblogCache(FS, self.places, limits).store(folder, name).changed


def check_the_tree(tree: Path) -> None:
    """Nothing below the tree leads out of it, waits, has rights that it should not have, or is unreadable."""
    items = list(tree.rglob("*"))
    assert items
    for path in items:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            real = os.path.realpath(path)
            assert real == str(tree) or real.startswith(f"{tree}/")
        else:
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode)
            assert stat.S_IMODE(mode) in (0o644, 0o755)
