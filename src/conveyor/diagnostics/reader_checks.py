"""Check what readers may see while directories move, by the type of each area's file system, as far as it is known.

Sources: renameat2(2) for the file systems that exchange two names; nfs(5), *Directory entry caching*; sshfs(1),
``dcache_timeout``; for Lustre, a loop of opens on version 2.16.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import info, ok, warning
from conveyor.diagnostics.workspace import QA, SPOOL
from conveyor.filesystem.mounts import cache_lifetime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Area, Workspace

_EXCHANGES = frozenset({"btrfs", "ext4", "f2fs", "tmpfs", "xfs"})
_MISS_NOTHING = "readers miss nothing where directories move by exchange, or are copied"
_LUSTRE = (
    "a reader that opens a path all the time misses it in nearly each conveyance: its open waits for the folder's lock, "
    "and is served between the two renames; the next one works"
)
_RENAMES = "a path is missing for the moment between two renames, where names cannot trade places; the next try works"
_CACHED = "; what readers on other hosts have cached of it stays after a copy, for {:g} s"
_BY_PATH = ", and after a rename they miss it as long"  # sshfs knows a file by its path alone
_IMPATIENT = (
    "some readers do not try again, as zarr, which takes a missing path for an empty array: there use --when-idle"
)


def readers(workspace: Workspace) -> Iterator[Finding]:
    """Say of the file system of each area what those may see who read a path below spool."""
    setting = workspace.options.config.values.cache_lifetime
    for area in workspace.areas:
        if area.handle is None or area.mount is None or area.kind not in (SPOOL, QA):
            continue
        lifetime = cache_lifetime(area.mount)
        if setting is not None and setting < lifetime:
            what = (
                f"other hosts cache names for {lifetime:g} s; cache_lifetime is {setting}: readers there may miss paths"
            )
            yield warning(area.label, what, "leave it to the mount; this shows where it is set:", "conveyor config")
        yield _finding(area, area.mount.type, lifetime if setting is None else setting)


def _finding(area: Area, type_: str, lifetime: float) -> Finding:
    if type_ in _EXCHANGES:
        return ok(area.label, f"{type_}: {_MISS_NOTHING}")
    what = _LUSTRE if type_ == "lustre" else _RENAMES
    if lifetime:
        what += _CACHED.format(lifetime) + (_BY_PATH if type_ == "fuse.sshfs" else "")
    return info(area.label, f"{type_}: {what}", _IMPATIENT)
