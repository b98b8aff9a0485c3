"""The doctor's scratch directory in an area: recognisable, removed at the end, or by the next run if this one dies.

It is a link ``.conveyor-doctor.<token>``, whose text names its maker as a claim's does, and a directory of the same name
with ``.d``. The link is made first and goes last, so that nothing of ours ever stands there without its maker's name; what
has no such link is never touched.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from conveyor.clock import now
from conveyor.engine.claim import Holder
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.filesystem.treecopy.remove_tree import remove_tree
from conveyor.layout import DOCTOR_SCRATCH
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.workspace import Area, Workspace
    from conveyor.engine.context import Environment
    from conveyor.filesystem.posix import DirFd, FileSystem

_LINK = re.compile(re.escape(DOCTOR_SCRATCH) + r"[0-9a-f]{16}")
_DIRECTORY = ".d"
#: A run takes seconds. One on another host that is older than this, in nanoseconds by the file server's clock, died.
_LONG_AGO = 3600 * 10**9


@frozen
class ScratchDir:
    """A scratch directory in an area; ``removed`` are the names that earlier runs left there and this one removed."""

    workspace: Workspace
    area: Area
    handle: DirFd
    removed: tuple[str, ...]

    @property
    def fs(self) -> FileSystem:
        return self.workspace.environment.fs


@contextlib.contextmanager
def scratch_in(workspace: Workspace, area: Area, opened: DirFd) -> Iterator[ScratchDir]:
    """Make a scratch directory in an area, and remove it with all that is in it. Raises :class:`OSError`."""
    environment = workspace.environment
    fs, token = environment.fs, environment.host.token()
    link = DOCTOR_SCRATCH + token
    fs.symlink(opened, link, Holder(environment.host.this_process(), now(), token).text)
    try:
        removed = tuple(_remove_abandoned(opened, link, environment))
        fs.mkdir(opened, link + _DIRECTORY)
        with fs.open_directory(opened, link + _DIRECTORY) as handle:
            yield ScratchDir(workspace, area, handle, removed)
    finally:
        _remove(opened, link, environment)


def _remove_abandoned(area: DirFd, mine: str, environment: Environment) -> Iterator[str]:
    """Remove what runs left that died; yields their names."""
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
    with contextlib.suppress(FileNotFoundError):  # another run removes the same
        if environment.fs.lstat(area, link + _DIRECTORY) is not None:
            remove_tree(PathAt(area, link + _DIRECTORY))
        environment.fs.unlink(area, link)
