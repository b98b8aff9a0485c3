"""Mounts of this host, and those that its table says should be there.

What is mounted in a directory goes unnoticed by a rename, and would be copied and emptied by a copy. A bind mount even has
the device number of what is round it; only the kernel's own table tells.

Sources: proc_pid_mountinfo(5) for the form of ``mountinfo``, fstab(5) for that of the table; both write a space, a tab, a
newline and a backslash of a name as an octal escape.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOUNTINFO = Path("/proc/self/mountinfo")
_FSTAB = Path("/etc/fstab")
_SMB = frozenset({"cifs", "smb3"})
# Seconds, if the mount does not say.
_CACHED = {"nfs": 60.0, "nfs4": 60.0, "fuse.sshfs": 20.0} | dict.fromkeys(_SMB, 1.0)
_ATTRIBUTES = {
    "lustre": "mount the client with the option 'user_xattr'",
    "nfs": "mount it with 'vers=4.2': NFS version 3 has none",
    "nfs4": "mount it with 'vers=4.2', from a server that knows it",
    "ext4": "mount it without 'nouser_xattr'",
    "tmpfs": "Linux 6.6 or newer has them",
}
#: What to do so that links can be made: mount.cifs(8).
TAKES_LINKS_IF = "Conveyor needs links, which SMB has if it is mounted with 'mfsymlinks'"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


@frozen
class Mount:
    """One mount: its point, type and source, and the options of the mount and of its file system."""

    point: Path
    type: str
    source: str
    options: frozenset[str]


def mounts(table: Path = _MOUNTINFO) -> list[Mount]:
    """Everything that is mounted for this process, in that order; none if the kernel does not tell."""
    return [mount for line in _lines(table) if (mount := _parse(line)) is not None]


def mount_of(path: Path, mounted: Iterable[Mount] | None = None) -> Mount | None:
    """The mount that a path is on, links followed: of those above it the deepest, of several at one point the latest."""
    real = _real(path)
    above = [mount for mount in (mounts() if mounted is None else mounted) if is_at_or_below(real, mount.point)]
    deepest = max((len(mount.point.parts) for mount in above), default=0)
    return next((mount for mount in reversed(above) if len(mount.point.parts) == deepest), None)


def cache_lifetime(mount: Mount) -> float:
    """Seconds for which other hosts may go on with what they know of the names in a file system, mounted there as here.

    Sources: nfs(5), *Attribute caching* and *Directory entry caching*; sshfs(1), ``dcache_timeout``; mount.cifs(8),
    ``actimeo``. Local file systems, and Lustre, whose clients hold locks on what they cache: 0.
    """
    if mount.type not in _CACHED:
        return 0.0
    said = dict(option.partition("=")[::2] for option in mount.options)
    if "noac" in said or said.get("lookupcache") == "none":
        return 0.0
    times = [said[name] for name in ("acdirmax", "actimeo") if said.get(name, "").isdecimal()]
    return max(map(float, times), default=_CACHED[mount.type])


def lists_links(mount: Mount | None) -> bool:
    """Tell if a listing of a file system tells links from files.

    On SMB a link is a file with a text of its own form, and listed as a file: mount.cifs(8), ``mfsymlinks``.
    """
    return mount is None or mount.type not in _SMB


def renames_only_what_is_closed(mount: Mount | None) -> bool:
    """Tell if a file system renames no directory in which something is open, as SMB (seen with Samba 4.17)."""
    return mount is not None and mount.type in _SMB


def refuses_this_host(path: Path, mounted: Iterable[Mount] | None = None) -> bool:
    """Tell if a server of NFS answers nothing about what is mounted from it at a path: it looks like a lack of permission.

    The room of a file system is asked of the server each time, and takes no permission but to come to the mount point.
    """
    mount = mount_of(path, mounted)
    if mount is None or not mount.type.startswith("nfs") or not os.access(mount.point.parent, os.X_OK):
        return False
    try:
        os.statvfs(mount.point)
    except OSError:
        return True
    return False


def takes_attributes_if(mount: Mount | None) -> str:
    """What to do so that a file system takes attributes of users: mount.lustre(8), nfs(5), ext4(5), tmpfs(5)."""
    return _ATTRIBUTES.get(mount.type if mount else "", "ask who runs the file system")


def on_or_below(directory: Path, mounted: Iterable[Mount]) -> list[Path]:
    """The mount points at or below a directory, given as a path without links; each once."""
    return sorted({mount.point for mount in mounted if is_at_or_below(mount.point, directory)})


def not_mounted(path: Path, mounted: Iterable[Mount], table: Path = _FSTAB) -> Path | None:
    """The mount point at or above a path that the host's table names and that nothing is mounted at; None if none."""
    there = {mount.point for mount in mounted}
    real = _real(path)
    fields = [line.split() for line in _lines(table) if line.strip() and not line.lstrip().startswith("#")]
    wanted = [Path(_plain(field[1])) for field in fields if len(field) > 2 and field[1].startswith("/")]
    missing = [point for point in wanted if point not in there and is_at_or_below(real, point)]
    return max(missing, key=lambda point: len(point.parts), default=None)


def is_at_or_below(path: Path, directory: Path) -> bool:
    """Tell whether a path is that of a directory or below it, by their text: a host has hundreds of mounts."""
    return f"{path}/".startswith(f"{directory}/".replace("//", "/"))


def _real(path: Path) -> Path:
    """The path without links; a loop of them stays in it, which Path.resolve() of older Pythons would raise for."""
    return Path(os.path.realpath(path))


def _lines(table: Path) -> list[str]:
    try:
        return table.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except (FileNotFoundError, PermissionError):
        return []


def _parse(line: str) -> Mount | None:
    """``36 35 98:0 /root /point rw,noatime [tags] - type source rw,errors=continue``."""
    before, _, after = line.partition(" - ")
    ours, theirs = before.split(" "), after.split(" ")
    if len(ours) < 6 or len(theirs) < 3:
        return None
    options = frozenset(ours[5].split(",")) | frozenset(theirs[2].split(","))
    return Mount(Path(_plain(ours[4])), theirs[0], _plain(theirs[1]), options)


def _plain(text: str) -> str:
    """A name as it is: escapes stand for bytes."""
    raw = text.encode("utf-8", "surrogateescape")
    raw = _ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), raw)
    return raw.decode("utf-8", "surrogateescape")
