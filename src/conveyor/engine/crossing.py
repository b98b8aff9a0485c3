"""What is known of a directory before it crosses to another file system: counted, removable, and fit for the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.engine.endpoints import Location
from conveyor.errors import UncopyableError, UnmovableError
from conveyor.filesystem.mounts import takes_attributes_if
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import INCOMING

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.filesystem.mounts import Mount
    from conveyor.filesystem.posix import DirFd
    from conveyor.filesystem.treecopy.estimate import Estimate
    from conveyor.filesystem.treecopy.obstacles import Obstacles
    from conveyor.filesystem.treecopy.target_limits import RefusedAttribute

_ACL = "system.posix_acl"


def prepare_crossing(endpoints: Endpoints, name: str, origin: Endpoint, folder: DirFd) -> Estimate:
    """Visit a directory that has to be copied, once; ``folder`` is in the target's file system.

    Raises :class:`~conveyor.errors.UnmovableError` if not all of it could be removed from spool afterwards,
    :class:`~conveyor.errors.UncopyableError` if the target does not take all of it, and :class:`OSError` if it may not be
    read. What could not be removed from the QA area is no reason to stay there: the user is warned.
    """
    copying = endpoints.copying
    if name not in copying.counted:
        from conveyor.filesystem.treecopy.estimate import estimate

        target = endpoints.other(origin)
        begun = target.meta_kind(name + INCOMING) is Kind.DIRECTORY
        copy = PathAt(target.meta, name + INCOMING) if begun else None
        found = estimate(PathAt(origin.root, name), folder, copy, copying.options, copying.monitor)
        _check_obstacles(origin, name, found.obstacles)
        _check_target(origin.path / name, folder, found, endpoints)
        _check_layouts(origin.path / name, folder, found, endpoints)
        copying.counted[name] = found
    return copying.counted[name]


def _check_obstacles(origin: Endpoint, name: str, obstacles: Obstacles) -> None:
    if not obstacles.number:
        return
    found = obstacles.describe(origin.path / name)
    if origin.location is Location.SPOOL or obstacles.root is not None:
        raise UnmovableError(
            f"it would have to be copied, and could not be removed afterwards: {found}",
            hint=f"nothing was moved: {obstacles.remedies}; then run the same command",
        )
    origin.copying.warn(f"it will be left behind in the QA folder, since it cannot be removed: {found}")


def _check_target(source: Path, folder: DirFd, found: Estimate, endpoints: Endpoints) -> None:
    if not (found.attributes or found.times or found.extremes):  # asking leaves a trace on some file systems
        return
    from conveyor.filesystem.treecopy.target_limits import exceeded, lost_times, refused_attributes

    if (beyond := exceeded(folder, found.extremes)) is not None:
        what = beyond.what.format(beyond.amount)
        raise UncopyableError(
            f"the file system of {folder.path} does not take {what}, as that of {source / beyond.path}",
            hint="nothing was moved, and running it again does not help: shorten or split what the message names",
        )
    if refused := refused_attributes(folder, found.attributes):
        raise _refused_error(source, folder, refused, endpoints.spool.fs.mount_of(folder))
    if lost := lost_times(folder, found.times):
        paths = ", ".join(str(source / path) for path in lost)
        endpoints.copying.warn(f"the file system of {folder.path} keeps another modification time than that of {paths}")


def _check_layouts(source: Path, folder: DirFd, found: Estimate, endpoints: Endpoints) -> None:
    """Warn of what a copy does not keep of the striping that the site chose; it is no reason not to convey."""
    if not found.layouts:  # asking leaves a trace on some file systems
        return
    from conveyor.filesystem.treecopy.layout_survey import lost_layouts

    for lost in lost_layouts(folder, found.layouts):
        entries = "1 entry" if lost.number == 1 else f"{lost.number} entries"
        what = f"Lustre's layout of {entries}, such as {source / lost.path}"
        endpoints.copying.warn(f"the copy in {folder.path} does not keep {what}: {lost.reason}")


def _refused_error(
    source: Path, folder: DirFd, refused: list[RefusedAttribute], mount: Mount | None
) -> UncopyableError:
    first = refused[0]
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return UncopyableError(
        f"the file system of {folder.path} does not take the extended attribute {first.name} ({first.size} bytes) of "
        f"{source / first.path}: {first.reason}{more}",
        hint=f"nothing was moved: remove it ({_remover(first.name)}), or have that file system take it "
        f"({_taken_if(first.name, mount)}); then run the same command",
    )


def _taken_if(attribute: str, mount: Mount | None) -> str:
    if attribute.startswith("user."):
        return takes_attributes_if(mount)
    return "where it is mounted without 'acl', mount it with it" if attribute.startswith(_ACL) else "ask who runs it"


def _remover(attribute: str) -> str:
    return "setfacl -b" if attribute.startswith(_ACL) else f"setfattr -x {attribute}"
