"""Checks of the areas that write nothing: they can be opened, are mounted, may be written, and have room."""

from __future__ import annotations

import errno
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.api.sizes import size_text
from conveyor.diagnostics.findings import error, info, ok, warning
from conveyor.diagnostics.workspace import QA, SPOOL
from conveyor.engine.area_marker import is_marked
from conveyor.filesystem.mounts import not_mounted
from conveyor.layout import AREA_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Area, Workspace
    from conveyor.filesystem.mounts import Mount
    from conveyor.filesystem.posix import Space

_STICKY = 0o1000
#: Requests that a finding names; of more, only their number.
_NAMED = 5
#: Less room is as good as none: a conveyance needs some small files and links.
_FULL_BYTES, _FULL_INODES = 10_000_000, 100


def reachable(workspace: Workspace) -> Iterator[Finding]:
    """Check that each area is there, is a directory, can be opened, and is on the file system that it should be on."""
    for area in workspace.areas:
        problem = _problem(workspace, area)
        if problem is not None:
            yield _with_those_kept_back(workspace, area, problem)
        elif area.stands_for is not None:
            yield info(area.label, f"{area.path} is there; the first delivery makes {area.stands_for.name} in it")
        else:
            mount = area.mount
            where = f", on {mount.type}, {mount.source} mounted at {mount.point}" if mount else ""
            yield ok(area.label, f"{area.kind} {area.path}{where}")


def out_of_reach(workspace: Workspace) -> list[Area]:
    """The QA areas that no request can be conveyed to or from until they are mended."""
    return [area for area in workspace.areas if area.kind == QA and _is_out_of_reach(workspace, area)]


def _is_out_of_reach(workspace: Workspace, area: Area) -> bool:
    required, fs = workspace.options.config.values.require_area_marker, workspace.environment.fs
    if _problem(workspace, area) is not None:
        return True
    return required and area.handle is not None and not is_marked(fs, area.handle)


def _problem(workspace: Workspace, area: Area) -> Finding | None:
    """What keeps an area from being reached, or says that it is not what it should be; None if nothing does."""
    point = not_mounted(area.path, workspace.mounted)
    if area.failure is not None:
        return _unreachable(area, area.failure, point)
    if point is not None:
        what = f"{area.path}: nothing is mounted at {point}, for which /etc/fstab has a file system"
        return error(area.label, what, "mount it before anything is conveyed:", f"mount {shlex.quote(str(point))}")
    if missed := _missed(workspace, area):
        what = f"{area.path} has nothing of any request, and {len(missed)} should be in it: {some_names(missed)}"
        advice = "is its file system mounted? Only if the area is as it should be, mark it:"
        return error(area.label, what, advice, f"conveyor init-area {shlex.quote(str(area.path))}")
    return None


def _with_those_kept_back(workspace: Workspace, area: Area, problem: Finding) -> Finding:
    """The problem of an area with its consequences: how many requests it keeps back, which have no findings of their own."""
    kept = workspace.requests_of(area)
    out = sum(one.is_out for one in kept)
    unseen = len(workspace.folders) if area.kind == SPOOL else 0
    counts = {
        "in QA cannot be reached": out,
        "in spool cannot be delivered": len(kept) - out,
        "in QA cannot be looked at": unseen,
    }
    texts = [f"{count} request{'s' if count > 1 else ''} {text}" for text, count in counts.items() if count]
    return replace(problem, what=f"{problem.what}; until then {', '.join(texts)}") if texts else problem


def _missed(workspace: Workspace, area: Area) -> list[str]:
    """The requests that say that they are in a QA area which has nothing of any; none if the area is marked."""
    kept, fs = workspace.requests_of(area), workspace.environment.fs
    has_folders = any(one.path.parent == area.path for one in workspace.folders) or any(
        one.has_qa_folder for one in kept
    )
    if area.kind != QA or area.handle is None or has_folders:
        return []
    if is_marked(fs, area.handle) or workspace.options.config.values.require_area_marker:  # then markers() says more
        return []
    return [one.qa.name for one in kept if one.qa is not None and one.is_out]


def some_names(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _unreachable(area: Area, failure: OSError, point: Path | None) -> Finding:
    mount = area.mount
    advice: tuple[str, ...]
    match failure.errno:
        case errno.ENOENT if point is not None:
            what = f"is not there, and nothing is mounted at {point}, for which /etc/fstab has a file system"
            advice = ("mount it:", f"mount {shlex.quote(str(point))}")
        case errno.ENOENT:
            above = next((path for path in area.path.parents if path.exists()), area.path.parents[-1])
            what = "is not there" + (f"; {above} is, on {mount.type} mounted at {mount.point}" if mount else "")
            hint = "is the file system mounted on this host? Conveyor never makes this folder. This shows what is set:"
            advice = (hint, "conveyor config")
        case errno.ENOTDIR:
            what = "is not a directory"
            advice = ("correct the setting:", "conveyor config")
        case errno.EACCES:
            what = "may not be opened: this account needs to read and search it, and to search all above it"
            server = "the file server may have taken it away from this host; else " if mount and _is_nfs(mount) else ""
            advice = (f"{server}this shows who may:", f"namei -l {shlex.quote(str(area.path))}")
        case errno.ESTALE | errno.ENOTCONN | errno.EIO | errno.ESHUTDOWN:
            what = f"cannot be opened: {failure.strerror}"
            advice = ("the file server, or the connection to it, is down: mend that, or mount it anew",)
        case _:
            what = f"cannot be opened: {failure.strerror}"
            advice = ("mend the cause",)
    name = f"{area.path}, the folder of the {area.kind}," if area.stands_for else f"the {area.kind} {area.path}"
    if area.needed:
        return error(area.label, f"{name} {what}", *advice)
    return warning(area.label, f"{name} {what}; no request that was looked at goes there", *advice)


def markers(workspace: Workspace) -> Iterator[Finding]:
    """Check the marker of each area, by which one that is not mounted is told from the directory under its mount."""
    required, fs = workspace.options.config.values.require_area_marker, workspace.environment.fs
    for area in workspace.areas:
        if area.handle is None or area.kind not in (SPOOL, QA):
            continue
        mark = f"conveyor init-area {shlex.quote(str(area.path))}"
        if is_marked(fs, area.handle):
            yield ok(area.label, "is marked as an area" + ("" if required else ", and require_area_marker is not set"))
        elif required:
            what = f"{area.path} has no {AREA_MARKER}: is it mounted? Nothing is conveyed until it has one"
            problem = error(area.label, what, "only if it is mounted, and is the right one, run:", mark)
            yield _with_those_kept_back(workspace, area, problem)
        else:
            what = "has no marker, so that it cannot be told from the empty directory that it may be mounted on"
            yield info(
                area.label, what, "while it is mounted, run 'conveyor init-area' once, then set require_area_marker"
            )


def permissions(workspace: Workspace) -> Iterator[Finding]:
    """Check what this account may do in each area. In the spool area itself Conveyor writes nothing, only in requests."""
    fs, account = workspace.environment.fs, workspace.environment.host.account()
    for area in workspace.areas:
        entry = area.entry
        if area.handle is None or entry is None or (area.mount and "ro" in area.mount.options):
            continue  # that nobody may write there is told with the options of the mount
        if fs.can_write(area.handle):
            yield ok(area.label, "this account may read, search and write here")
        elif area.kind == SPOOL:
            yield info(area.label, "this account may not write here, and need not: it does in the requests")
        else:
            what = f"this account may not write here; it belongs to uid {entry.owner}, mode {entry.mode:04o}"
            advice = "run this as the account that conveys, or have its owner let that account write in it"
            yield (error if area.needed else warning)(area.label, what, advice)
        if entry.mode & _STICKY and account not in (0, entry.owner) and area.kind != SPOOL:
            yield warning(
                area.label,
                f"is sticky (mode {entry.mode:04o}): this account can neither rename nor remove what another made in it",
                "convey with one account only, or have the folder's owner clear the bit:",
                f"chmod -t {shlex.quote(str(area.path))}",
            )


def space(workspace: Workspace) -> Iterator[Finding]:
    """Check the room in each area. A move needs next to nothing; a weblog and a copy need as much as they have.

    Each area is asked itself, as a conveyance does: where a project has a quota (ext4, xfs, Lustre), the answer is of that.
    """
    settings = workspace.options.config.values
    for areas, left in _by_room(workspace):
        label = f"file system of {', '.join(dict.fromkeys(area.label for area in areas))}"
        text = f"{size_text(left.free)} of {size_text(left.size)} free" if left.size else "it does not tell its size"
        if left.free_inodes is not None:
            text += f", and {left.free_inodes:,} inodes"
        if _falls_below(left, _FULL_BYTES, _FULL_INODES):
            advice = "make room; until then an interrupted conveyance cannot be finished, and nothing is lost"
            yield error(
                label, f"next to nothing is left: {text}", advice, f"df -h -i {shlex.quote(str(areas[0].path))}"
            )
        elif _falls_below(left, settings.min_free_bytes, settings.min_free_inodes):
            wanted = f"{size_text(settings.min_free_bytes)} and {settings.min_free_inodes:,} inodes are wanted"
            advice = "make room for weblogs and copies, or lower min_free_bytes or min_free_inodes"
            yield warning(label, f"{text}; {wanted}", advice)
        else:
            yield ok(label, f"{text} (quotas of users and groups do not show in that)")


def _by_room(workspace: Workspace) -> Iterator[tuple[list[Area], Space]]:
    """The areas that have the same room, and how much is left of it."""
    found: dict[tuple[int, int], tuple[list[Area], Space]] = {}
    for area in workspace.areas:
        if area.entry is not None and area.handle is not None:
            left = workspace.environment.fs.space(area.handle)
            found.setdefault((area.entry.device, left.size), ([], left))[0].append(area)
    yield from found.values()


def _falls_below(left: Space, least: int, least_inodes: int) -> bool:
    return (left.size > 0 and left.free < least) or (left.free_inodes is not None and left.free_inodes < least_inodes)


def mount_options(workspace: Workspace) -> Iterator[Finding]:
    """Check the options of the areas' mounts."""
    needed: dict[Mount, bool] = {}
    for area in workspace.areas:
        if area.mount is not None and area.handle is not None:
            needed[area.mount] = area.needed or needed.get(area.mount, False)
    for mount, is_needed in needed.items():
        subject = f"mount {mount.point}"
        if "ro" in mount.options:
            advice = "nothing can be conveyed. If it should be read-write, look for the error that turned it:"
            severe = error if is_needed else warning
            yield severe(subject, f"is read-only ({mount.type})", advice, "dmesg | tail")
        if _is_nfs(mount) and {"soft", "softerr"} & mount.options:
            what = "is soft: a server that answers late makes calls fail that may have taken place"
            yield warning(subject, what, "mount it with 'hard', see nfs(5)")


def _is_nfs(mount: Mount) -> bool:
    return mount.type.startswith("nfs")
