"""What lies about and belongs to no request: told, never removed, since it could be the only copy of something."""

from __future__ import annotations

import posixpath
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import info, ok, warning
from conveyor.diagnostics.workspace import CACHE, QA, SPOOL
from conveyor.filesystem.posix import Kind
from conveyor.layout import META_DIR, PEER_LINK, weblog_staged_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Area, Workspace
    from conveyor.filesystem.posix import DirFd, FileSystem


def qa_folders(scene: Workspace) -> Iterator[Finding]:
    """QA folders of Conveyor's whose request is gone from spool."""
    for area in scene.areas:
        if area.kind != QA or area.folder is None:
            continue
        orphans = 0
        for name, peer in _peers(scene.visit.environment.fs, area.folder):
            if _is_gone(peer):
                orphans += 1
                what = f"the QA folder {area.path / name} is of a request that is gone: there is no {peer}"
                advice = "it may hold the only copy of the data. Look at it, and ask who removed the request:"
                yield warning("qa-folders", name, what, advice, f"ls -la {shlex.quote(str(area.path / name))}")
        if not orphans:
            yield ok("qa-folders", area.label, "every QA folder of Conveyor's has its request")


def _peers(fs: FileSystem, area: DirFd) -> Iterator[tuple[str, Path]]:
    """Each folder that Conveyor made in a QA area, and the request that it is of."""
    for name in fs.listdir(area):
        try:
            if not _is(fs, area, name, Kind.DIRECTORY):
                continue
            with fs.open_directory(area, name) as folder:
                if not _is(fs, folder, META_DIR, Kind.DIRECTORY):
                    continue
                with fs.open_directory(folder, META_DIR) as inner:
                    if _is(fs, inner, PEER_LINK, Kind.LINK):
                        text = fs.readlink(inner, PEER_LINK)
                        yield name, Path(posixpath.realpath(area.path / name / META_DIR / text))
        except OSError:  # somebody else's, or gone at this moment
            continue


def _is_gone(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:  # a folder above it is closed to this account, which says that it is there
        return False


def _is(fs: FileSystem, folder: DirFd, name: str, kind: Kind) -> bool:
    entry = fs.lstat(folder, name)
    return entry is not None and entry.kind is kind


def cached_weblogs(scene: Workspace) -> Iterator[Finding]:
    """Half-made weblogs in the cache whose request is gone, so that no conveyance will ever remove them."""
    fs, spool = scene.visit.environment.fs, None
    for area in scene.areas:
        if area.kind == SPOOL:
            spool = area
        if area.kind != CACHE or area.folder is None or area.stands_for is not None or spool is None:
            continue
        left = [name for name in fs.listdir(area.folder) if _is_orphan(spool, name)]
        for name in left:
            what = (
                f"{area.path / name} is what a conveyance left of a weblog, and its request is gone from {spool.path}"
            )
            yield warning(
                "cached-weblogs", name, what, "nobody needs it:", f"rm -r {shlex.quote(str(area.path / name))}"
            )
        if not left:
            yield ok("cached-weblogs", area.label, "nothing half-made is left of a request that is gone")


def _is_orphan(spool: Area, name: str) -> bool:
    request = weblog_staged_for(name)
    return request is not None and spool.folder is not None and _is_gone(spool.path / request)


def lost_metadata(scene: Workspace) -> Iterator[Finding]:
    """Requests that are out, and have no metadata file beside them: a listing of the spool area passes them over."""
    fs = scene.visit.environment.fs
    known = {case.request.places.spool for case in scene.cases if case.request}
    for area in scene.areas:
        if area.kind != SPOOL or area.folder is None:
            continue
        for name, _ in _peers(fs, area.folder):
            if area.path / name not in known and _is_gone(area.path / name / "metadata.json"):
                what = f"{area.path / name} is out, and has no metadata.json in it: 'conveyor status' passes it over"
                yield info(
                    "lost-metadata", name, what, "name its metadata file, wherever that is, to have it looked at"
                )
