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

from conveyor.engine.claim import Holder
from conveyor.engine.receipt import now
from conveyor.filesystem.copying.removing import remove
from conveyor.filesystem.copying.values import Named
from conveyor.filesystem.port import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.commands.doctor.visit import Area, Scene
    from conveyor.engine.context import World
    from conveyor.filesystem.port import FileSystem, Folder

_PREFIX = ".conveyor-doctor."
_LINK = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{16}")
_FOLDER = ".d"
#: A visit takes seconds. One on another host that is older than this, in nanoseconds by the file server's clock, died.
_LONG_AGO = 3600 * 10**9


@dataclass(frozen=True)
class Bench:
    """An area, and the scratch folder in it to try things in; ``removed`` are the names that earlier visits left."""

    scene: Scene
    area: Area
    folder: Folder
    removed: tuple[str, ...]

    @property
    def fs(self) -> FileSystem:
        return self.scene.visit.world.fs


@contextlib.contextmanager
def bench_in(scene: Scene, area: Area, opened: Folder) -> Iterator[Bench]:
    """Make the scratch folder in an area, and remove it with all that is in it. Raises :class:`OSError`."""
    world = scene.visit.world
    fs, token = world.fs, world.host.token()
    link = _PREFIX + token
    fs.make_link(opened, link, Holder(world.host.this_process(), now(), token).text)
    try:
        removed = tuple(_sweep(opened, link, world))
        fs.make_folder(opened, link + _FOLDER)
        with fs.open_folder(opened, link + _FOLDER) as folder:
            yield Bench(scene, area, folder, removed)
    finally:
        _remove(opened, link, world)


def _sweep(area: Folder, mine: str, world: World) -> Iterator[str]:
    """Remove what visits left that died; their names."""
    here = world.fs.look(area, mine)
    for name in world.fs.names(area):
        if name == mine or not _LINK.fullmatch(name):
            continue
        entry = world.fs.look(area, name)
        if entry is None or entry.kind is not Kind.LINK:
            continue
        maker = Holder.parse(world.fs.read_link(area, name))
        is_ours = maker.token == name.removeprefix(_PREFIX)
        is_old = here is not None and here.modified - entry.modified > _LONG_AGO
        if is_ours and (is_old or world.host.is_dead(maker.process)):
            _remove(area, name, world)
            yield name


def _remove(area: Folder, link: str, world: World) -> None:
    with contextlib.suppress(FileNotFoundError):  # another visit sweeps the same place
        if world.fs.look(area, link + _FOLDER) is not None:
            remove(Named(area, link + _FOLDER))
        world.fs.remove(area, link)
