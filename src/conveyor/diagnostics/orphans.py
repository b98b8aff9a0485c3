"""Checks for what belongs to no request: it is reported and never removed, since it could be the only copy of something."""

from __future__ import annotations

import posixpath
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import info, ok, warning
from conveyor.diagnostics.workspace import CACHE, QA, SPOOL
from conveyor.filesystem.posix import Kind
from conveyor.layout import META_DIR, METADATA, PEER_LINK, weblog_staged_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Workspace
    from conveyor.filesystem.posix import DirFd, FileSystem


def qa_directories(workspace: Workspace) -> Iterator[Finding]:
    """Check that the request of each QA directory that Conveyor made is still in spool."""
    for area in workspace.areas:
        if area.kind != QA or area.handle is None:
            continue
        peers = _peers(workspace.environment.fs, area.handle)
        orphans = [(name, peer) for name, peer in peers if _is_gone(peer)]
        for name, peer in orphans:
            what = f"the QA folder {area.path / name} is of a request that is gone: there is no {peer}"
            advice = "it may hold the only copy of the data. Look at it, and ask who removed the request:"
            yield warning(name, what, advice, f"ls -la {shlex.quote(str(area.path / name))}")
        if not orphans:
            yield ok(area.label, "every QA folder of Conveyor's has its request")


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


def lost_metadata(workspace: Workspace) -> Iterator[Finding]:
    """Check for requests that are out and have no metadata file: a listing of the spool area passes them over."""
    known = {one.request.places.spool for one in workspace.requests if one.request}
    for area in workspace.areas:
        if area.kind != SPOOL or area.handle is None:
            continue
        for name, _ in _peers(workspace.environment.fs, area.handle):
            if area.path / name not in known and _is_gone(area.path / name / METADATA):
                what = f"{area.path / name} is out, and has no metadata.json in it: 'conveyor status' passes it over"
                yield info(name, what, "name its metadata file, wherever that is, to have it looked at")


def _peers(fs: FileSystem, area: DirFd) -> Iterator[tuple[str, Path]]:
    """Each directory in an area that names a peer, as a request's two do while it is out, and the path of the peer."""
    for name in fs.listdir(area):
        try:
            if not _is(fs, area, name, Kind.DIRECTORY):
                continue
            with fs.open_directory(area, name) as directory:
                if not _is(fs, directory, META_DIR, Kind.DIRECTORY):
                    continue
                with fs.open_directory(directory, META_DIR) as meta:
                    if _is(fs, meta, PEER_LINK, Kind.LINK):
                        text = fs.readlink(meta, PEER_LINK)
                        yield name, Path(posixpath.realpath(area.path / name / META_DIR / text))
        except OSError:  # somebody else's, or gone at this moment
            continue


def _is(fs: FileSystem, directory: DirFd, name: str, kind: Kind) -> bool:
    entry = fs.lstat(directory, name)
    return entry is not None and entry.kind is kind


def _is_gone(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:  # a directory above it is closed to this account, which says that it is there
        return False
