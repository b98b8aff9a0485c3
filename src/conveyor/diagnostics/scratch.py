"""The doctor's scratch folder in an area: recognisable, removed at the end, and by the next visit where a run died.

It is a link ``.conveyor-doctor.<token>``, whose text names who made it as a claim's does, and a folder of the same name
with ``.d``. The link is made first and goes last, so that nothing of ours ever stands there without its maker's name; what
has no such link is never touched.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.clock import now
from conveyor.engine.claim import Holder
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.filesystem.treecopy.remove_tree import remove_tree
from conveyor.layout import DOCTOR_SCRATCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.workspace import Area, Workspace
    from conveyor.engine.context import Environment
    from conveyor.filesystem.posix import DirFd, FileSystem

_LINK = re.compile(re.escape(DOCTOR_SCRATCH) + r"[0-9a-f]{16}")
_FOLDER = ".d"
#: A visit takes seconds. One on another host that is older than this, in nanoseconds by the file server's clock, died.
_LONG_AGO = 3600 * 10**9


@dataclass(frozen=True)
class Bench:
    """An area, and the scratch folder in it to try things in; ``removed`` are the names that earlier visits left."""

    scene: Workspace
    area: Area
    folder: DirFd
    removed: tuple[str, ...]

    @property
    def fs(self) -> FileSystem:
        return self.scene.visit.environment.fs


@contextlib.contextmanager
def bench_in(scene: Workspace, area: Area, opened: DirFd) -> Iterator[Bench]:
    """Make the scratch folder in an area, and remove it with all that is in it. Raises :class:`OSError`."""
    environment = scene.visit.environment
    fs, token = environment.fs, environment.host.token()
    link = DOCTOR_SCRATCH + token
    fs.symlink(opened, link, Holder(environment.host.this_process(), now(), token).text)
    try:
        removed = tuple(_sweep(opened, link, environment))
        fs.mkdir(opened, link + _FOLDER)
        with fs.open_directory(opened, link + _FOLDER) as folder:
            yield Bench(scene, area, folder, removed)
    finally:
        _remove(opened, link, environment)


def _sweep(area: DirFd, mine: str, environment: Environment) -> Iterator[str]:
    """Remove what visits left that died; their names."""
    here = environment.fs.lstat(area, mine)
    for name in environment.fs.listdir(area):
        if name == mine or not _LINK.fullmatch(name):
            continue
        entry = environment.fs.lstat(area, name)
        if entry is None or entry.kind is not Kind.LINK:
            continue
        maker = Holder.parse(environment.fs.readlink(area, name))
        is_ours = maker.token == name.removeprefix(DOCTOR_SCRATCH)
        is_old = here is not None and here.modified - entry.modified > _LONG_AGO
        if is_ours and (is_old or environment.host.is_dead(maker.process)):
            _remove(area, name, environment)
            yield name


def _remove(area: DirFd, link: str, environment: Environment) -> None:
    with contextlib.suppress(FileNotFoundError):  # another visit sweeps the same place
        if environment.fs.lstat(area, link + _FOLDER) is not None:
            remove_tree(PathAt(area, link + _FOLDER))
        environment.fs.unlink(area, link)
