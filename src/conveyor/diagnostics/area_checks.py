"""The areas of the workspace, looked at and not touched: there, mounted, permitted."""

from __future__ import annotations

import errno
import shlex
from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import error, info, ok, warning
from conveyor.diagnostics.workspace import SPOOL
from conveyor.filesystem.mounts import mount_of, not_mounted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Area, Workspace
    from conveyor.filesystem.mounts import Mount

_STICKY = 0o1000
#: Options of a mount that matter: the types of file system, the option, what it means.
_FLOCK_LOCAL = "flock protects this host only; Conveyor's claims do not rely on it"
_LOCKS = (
    ("lustre", "localflock", _FLOCK_LOCAL),
    ("lustre", "flock", "flock protects all hosts; Conveyor's claims do not rely on it"),
    ("nfs", "nolock", _FLOCK_LOCAL),
    ("nfs", "local_lock=all", _FLOCK_LOCAL),
    ("nfs", "local_lock=flock", _FLOCK_LOCAL),
)


def there(scene: Workspace) -> Iterator[Finding]:
    """Whether each area is there, is a directory, can be opened, and is on the file system that it should be on."""
    for area in scene.areas:
        point = not_mounted(area.path, scene.mounted)
        if area.failure is not None:
            yield _failed(area, area.failure, point, mount_of(area.path, scene.mounted))
        elif point is not None:
            yield error(
                "there",
                area.label,
                f"{area.path}: nothing is mounted at {point}, for which /etc/fstab has a file system",
                "mount it before anything is conveyed:",
                f"mount {shlex.quote(str(point))}",
            )
        elif area.stands_for is not None:
            what = f"{area.path} is there; the first delivery makes {area.stands_for.name} in it"
            yield info("there", area.label, what)
        else:
            mount = mount_of(area.path, scene.mounted)
            where = f", on {mount.type}, {mount.source} mounted at {mount.point}" if mount else ""
            yield ok("there", area.label, f"{area.kind} {area.path}{where}")


def _failed(area: Area, failure: OSError, point: Path | None, mount: Mount | None) -> Finding:
    say = error if area.needed else warning
    beside = "" if area.needed else "; no request that was looked at goes there"
    name = f"the {area.kind} {area.path}" if area.stands_for is None else f"{area.path}, the folder of the {area.kind},"
    match failure.errno:
        case errno.ENOENT if point is not None:
            what = f"{name} is not there, and nothing is mounted at {point}, for which /etc/fstab has a file system"
            return say("there", area.label, what + beside, "mount it:", f"mount {shlex.quote(str(point))}")
        case errno.ENOENT:
            on = f"; {_nearest(area.path)} is, on {mount.type} mounted at {mount.point}" if mount else ""
            advice = (
                "is the file system mounted on this host? Conveyor never makes this folder. This shows what is set:"
            )
            return say("there", area.label, f"{name} is not there{on}{beside}", advice, "conveyor config")
        case errno.ENOTDIR:
            return say(
                "there", area.label, f"{name} is not a directory{beside}", "correct the setting:", "conveyor config"
            )
        case errno.EACCES:
            what = f"{name} may not be opened: this account needs to read and search it, and to search all above it"
            return say(
                "there", area.label, what + beside, "this shows who may:", f"namei -l {shlex.quote(str(area.path))}"
            )
        case errno.ESTALE | errno.ENOTCONN | errno.EIO | errno.ESHUTDOWN:
            advice = "the file server, or the connection to it, is down: mend that, or mount it anew"
            return say("there", area.label, f"{name} cannot be opened: {failure.strerror}{beside}", advice)
    return say("there", area.label, f"{name} cannot be opened: {failure.strerror}{beside}", "mend the cause")


def _nearest(path: Path) -> Path:
    return next((above for above in path.parents if above.exists()), path.parents[-1])


def permissions(scene: Workspace) -> Iterator[Finding]:
    """What this account may do in each area. In the spool area Conveyor only looks: it changes what is in the requests."""
    fs, account = scene.visit.environment.fs, scene.visit.environment.host.account()
    for area in scene.areas:
        if area.folder is None:
            continue
        entry = area.entry
        mount = mount_of(area.path, scene.mounted)
        if mount is not None and "ro" in mount.options:
            continue  # nobody may write there, as is told with the mount's options
        if fs.can_write(area.folder):
            yield ok("permissions", area.label, "this account may read, search and write here")
        elif area.kind == SPOOL:
            yield info(
                "permissions",
                area.label,
                "this account may not write here, and need not: it does in the requests",
            )
        else:
            say = error if area.needed else warning
            owner = f"; it belongs to uid {entry.owner}, mode {entry.mode:04o}" if entry else ""
            advice = "run this as the account that conveys, or have its owner let that account write in it"
            yield say("permissions", area.label, f"this account may not write here{owner}", advice)
        if entry and entry.mode & _STICKY and account not in (0, entry.owner) and area.kind != SPOOL:
            yield warning(
                "permissions",
                area.label,
                f"is sticky (mode {entry.mode:04o}): this account can neither rename nor remove what another made in it",
                "convey with one account only, or have the folder's owner clear the bit:",
                f"chmod -t {shlex.quote(str(area.path))}",
            )


def mount_options(scene: Workspace) -> Iterator[Finding]:
    """The options of the areas' mounts that matter."""
    found: dict[Mount, bool] = {}
    for area in scene.areas:
        mount = mount_of(area.path, scene.mounted)
        if mount is not None and area.folder is not None:
            found[mount] = area.needed or found.get(mount, False)
    for mount, needed in found.items():
        subject = f"mount {mount.point}"
        if "ro" in mount.options:
            advice = "nothing can be conveyed. If it should be read-write, look for the error that turned it:"
            say = error if needed else warning
            yield say("mount-options", subject, f"is read-only ({mount.type})", advice, "dmesg | tail")
        if mount.type.startswith("nfs") and {"soft", "softerr"} & mount.options:
            what = "is soft: a server that answers late makes calls fail that may have taken place"
            yield warning("mount-options", subject, what, "mount it with 'hard', see nfs(5)")
        yield from _lock_options(subject, mount)


def _lock_options(subject: str, mount: Mount) -> Iterator[Finding]:
    for type_, option, meaning in _LOCKS:
        if mount.type.startswith(type_) and option in mount.options:
            yield info("mount-options", subject, f"{option}: {meaning}")
            return
    if mount.type == "lustre":
        yield info(
            "mount-options", subject, "neither flock nor localflock: there is no flock; Conveyor's claims need none"
        )
