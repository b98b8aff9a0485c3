"""Checks for what belongs to no request: it is reported and never removed, since it could be the only copy of something."""

from __future__ import annotations

import contextlib
import shlex
import time
from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import error, ok, warning
from conveyor.diagnostics.workspace import CACHE, QA, SPOOL
from conveyor.engine.endpoints import peer_of
from conveyor.layout import METADATA, SCRATCH, weblog_staged_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.api.area_listings import QaFolder
    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Workspace
    from conveyor.filesystem.posix import DirFd, FileSystem

#: A trial takes milliseconds. What is older than this, in nanoseconds, is nobody's any more.
_LONG_AGO = 3600 * 10**9


def qa_directories(workspace: Workspace) -> Iterator[Finding]:
    """Check that the request of each QA directory that Conveyor made is still in spool."""
    for area in workspace.areas:
        if area.kind != QA or area.handle is None:
            continue
        folders = [one for one in workspace.folders if one.path.parent == area.path]
        yield from (finding for folder in folders for finding in _folder_findings(workspace, folder))
        if all(one.error is None and not is_orphan(one) for one in folders):
            yield ok(area.label, "every QA folder of Conveyor's has its request")


def is_orphan(folder: QaFolder) -> bool:
    """Tell whether the request of a QA folder is gone."""
    return folder.home is not None and _is_gone(folder.home)


def _folder_findings(workspace: Workspace, folder: QaFolder) -> Iterator[Finding]:
    name = folder.path.name
    if folder.error is not None and workspace.listed is None:  # else it is told with the requests
        yield warning(name, f"{folder.path} cannot be looked at: {folder.error.message}", folder.error.hint)
    elif is_orphan(folder):
        what = f"the QA folder {folder.path} is of a request that is gone: there is no {folder.home}"
        advice = "it may hold the only copy of the data. Look at it, and ask who removed the request:"
        yield warning(name, what, advice, f"ls -la {shlex.quote(str(folder.path))}")


def cached_weblogs(workspace: Workspace) -> Iterator[Finding]:
    """Check for half-made weblogs in the cache whose request is gone, so that no conveyance will ever remove them."""
    spool = None
    for area in workspace.areas:
        if area.kind == SPOOL:
            spool = area
        if area.kind != CACHE or area.handle is None or area.stands_for is not None or spool is None:
            continue
        staged = {name: weblog_staged_for(name) for name in workspace.environment.fs.listdir(area.handle)}
        orphans = [
            name for name, request in staged.items() if spool.handle and request and _is_gone(spool.path / request)
        ]
        for name in orphans:
            path = area.path / name
            what = f"{path} is what a conveyance left of a weblog, and its request is gone from {spool.path}"
            yield warning(name, what, "nobody needs it:", f"rm -r {shlex.quote(str(path))}")
        if not orphans:
            yield ok(area.label, "nothing half-made is left of a request that is gone")


def scratch_directories(workspace: Workspace) -> Iterator[Finding]:
    """Check for scratch directories of dry runs that were killed, in the QA areas and in the requests."""
    fs = workspace.environment.fs
    folders = [(area.path, area.handle) for area in workspace.areas if area.kind == QA and area.handle is not None]
    left = [path / name for path, handle in folders for name in _abandoned(fs, handle)]
    for spool in {one.spool for one in workspace.requests if one.spool is not None}:
        with contextlib.suppress(OSError), fs.open_root(spool) as opened:
            left += [spool / name for name in _abandoned(fs, opened)]
    for path in left:
        what = f"{path} is what a dry run left that was killed"
        yield warning(path.name, what, "nobody needs it:", f"rm -r {shlex.quote(str(path))}")


def _abandoned(fs: FileSystem, folder: DirFd) -> Iterator[str]:
    for name in fs.listdir(folder):
        entry = fs.lstat(folder, name) if name.startswith(SCRATCH) else None
        if entry is not None and time.time_ns() - entry.modified > _LONG_AGO:
            yield name


def lost_metadata(workspace: Workspace) -> Iterator[Finding]:
    """Check for requests that are out and have no metadata file, if only some requests were named."""
    if workspace.listed is not None:  # told with the requests
        return
    known = {one.spool for one in workspace.requests if one.spool is not None}
    for area in workspace.areas:
        if area.kind != SPOOL or area.handle is None:
            continue
        for name in _out_in(workspace.environment.fs, area.handle):
            if area.path / name not in known and _is_gone(area.path / name / METADATA):
                what = f"{area.path / name} is out, and has no metadata.json in it"
                yield error(name, what, "name its metadata file, wherever that is, to have it looked at")


def _out_in(fs: FileSystem, area: DirFd) -> Iterator[str]:
    """Each directory in the spool area whose data are in a QA area."""
    for name in fs.list_directories(area):
        try:
            if peer_of(fs, area, name) is not None:
                yield name
        except OSError:  # somebody else's, or gone at this moment
            continue


def _is_gone(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:  # a directory above it is closed to this account, which says that it is there
        return False
