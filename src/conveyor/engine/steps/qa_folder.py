"""The steps that open the QA folder before anything moves, and close it when everything is home."""

from __future__ import annotations

import contextlib
import errno
import time
from typing import TYPE_CHECKING

from conveyor.capabilities.hook import StepResult
from conveyor.engine.lingering import put_lingering_link, remove_lingering_links
from conveyor.engine.links import put_final_link, put_peers, remove_bridge, remove_peers
from conveyor.engine.retagging import forget_projects
from conveyor.engine.staging import remove_manifest
from conveyor.engine.steps.base import EngineStep, Run
from conveyor.errors import ConflictError, LinksRefusedError
from conveyor.filesystem.posix import Kind
from conveyor.layout import META_DIR, METADATA, PEER, PEER_SUFFIX, reserved_names, temporary_name

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint, Endpoints


# nosymfollow of mount(8) answers ELOOP; sshfs, which holds back links that lead out of what it serves, EPERM.
_NOT_FOLLOWED = frozenset({errno.ELOOP, errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENOTDIR})


class OpenQaFolder(EngineStep):
    """Make sure of the QA folder and of ``.conveyor`` at both ends, each with the name of its peer.

    Links in the QA folder lead to what is still in spool: a relative link from one directory to another resolves while the
    one has moved and the other has not.
    """

    name = "open-qa-folder"
    text = "open the QA folder"

    def perform(self, run: Run) -> StepResult:
        """Spool's peer comes first: by it the way home knows that a QA folder, even an empty one, is ours."""
        endpoints = run.endpoints
        changed = _name_peer(endpoints, endpoints.spool)
        if endpoints.qa.handle is None and endpoints.area is not None:
            if endpoints.is_lingering(endpoints.places.request):
                run.fs.unlink(endpoints.area, endpoints.places.request)
            with contextlib.suppress(FileExistsError):
                run.fs.mkdir(endpoints.area, endpoints.places.request)
                run.fs.fsync(endpoints.area)
                changed = True
            endpoints.open_qa()
        if endpoints.area is not None:
            endpoints.let_read(endpoints.area, endpoints.places.request)
        changed = _name_peer(endpoints, endpoints.qa) or changed
        remove_lingering_links(endpoints, endpoints.qa, run.names)
        for name in run.names:
            if endpoints.spool.kind(name) is Kind.DIRECTORY and endpoints.qa.kind(name) is None:
                changed = put_final_link(endpoints, endpoints.qa, name) or changed
        try:
            _follow_links(endpoints, run.names)
        except LinksRefusedError:
            if not any(endpoints.qa.kind(name) is Kind.DIRECTORY for name in run.names):
                CloseQaFolder().perform(run)
            raise
        return StepResult(changed)


def _follow_links(endpoints: Endpoints, names: list[str]) -> None:
    """Go once from spool to the QA folder and back, over a link at each end, before a directory moves there."""
    fs, spool = endpoints.fs, endpoints.spool
    name = next((name for name in names if endpoints.qa.kind(name) is Kind.LINK), None)
    there = fs.lstat(spool.root, name) if name else None
    if name is None or there is None or there.kind is not Kind.DIRECTORY:
        return
    put_peers(endpoints, name)
    link = spool.path / META_DIR / (name + PEER_SUFFIX)
    try:
        found = fs.follow(spool.meta, name + PEER_SUFFIX)
    except OSError as error:
        if error.errno not in _NOT_FOLLOWED:
            raise
        raise LinksRefusedError(
            f"{link} does not lead to {spool.path / name} by way of the QA folder: {error.strerror}"
        ) from None
    if (found.kind, found.inode) != (there.kind, there.inode):
        raise LinksRefusedError(f"{link} does not lead to {spool.path / name} by way of the QA folder")


class LinkRest(EngineStep):
    """Put links in the QA folder to what stays in spool: a relative link out of a directory resolves in QA too."""

    name = "link-rest"
    text = "link what stays in spool"

    def perform(self, run: Run) -> StepResult:
        endpoints = run.endpoints
        own = {*run.names, *reserved_names(run.capability.marker.name)} - {METADATA}
        staying = [name for name in run.fs.listdir(endpoints.spool.root) if name not in own]
        missing = [name for name in staying if endpoints.qa.kind(name) is None]
        for name in missing:
            run.fs.symlink(endpoints.qa.root, name, endpoints.link_text(endpoints.qa, name))
        return StepResult(bool(missing), ", ".join(missing))


def _name_peer(endpoints: Endpoints, end: Endpoint) -> bool:
    made = end.make_meta()
    endpoints.let_read(end.root, META_DIR)
    match endpoints.peer_leads_over(end):
        case True:
            return made
        case False:  # another request of that name came before
            raise ConflictError(f"{end.path / META_DIR / PEER} does not lead to {endpoints.other(end).path}")
    end.fs.write_line(end.meta, PEER, endpoints.peer_text(end))
    endpoints.let_read(end.meta, PEER)
    return True


class CloseQaFolder(EngineStep):
    """Remove Conveyor's links and directories from the QA side; what is not Conveyor's stays, and is named."""

    name = "close-qa-folder"
    text = "close the QA folder"

    def perform(self, run: Run) -> StepResult:
        """Spool's peer goes last, since as long as it stands the way home is not finished."""
        endpoints, fs, left = run.endpoints, run.fs, ""
        qa, spool = endpoints.qa, endpoints.spool
        fs.fsync(spool.root)
        if qa.handle is not None:
            links = [name for name in run.names if endpoints.is_link_of_ours(qa, name, qa.root, name)]
            if links:  # a reader may have read a link to one of them and not yet followed it
                fs.wait_grace_period()
            for name in links:
                if not put_lingering_link(endpoints, qa, name):
                    remove_bridge(endpoints, qa, name)
            for name in endpoints.links_to_rest():
                fs.unlink(qa.root, name)
        remove_peers(endpoints, run.names)
        left = close_qa_folder(endpoints)
        for name in run.names:
            remove_manifest(endpoints, name)
            forget_projects(endpoints, name)
        _forget_peer(spool)
        if run.request.qa_link is not None:
            link_home(endpoints, run.request.qa_link)
        return StepResult(detail=left)


def link_home(endpoints: Endpoints, age: float) -> None:
    """Put a link to spool in the place of the QA folder, and remove those of other requests that are older, in seconds."""
    fs, area, request = endpoints.fs, endpoints.area, endpoints.places.request
    if area is None:
        return
    if fs.lstat(area, request) is None:
        fs.symlink(area, request, endpoints.lingering_text())
    for name in fs.listdir(area):
        entry = fs.lstat(area, name)
        if entry is not None and time.time() - entry.modified / 1e9 > age and endpoints.is_lingering(name):
            fs.unlink(area, name)


def close_qa_folder(endpoints: Endpoints) -> str:
    """Remove Conveyor's directories from the QA side, if nothing else is in them; what is left there, in words."""
    if endpoints.qa.handle is None:
        return ""
    return _remove_meta_dir(endpoints.qa) or _remove_qa_folder(endpoints)


def _forget_peer(end: Endpoint) -> None:
    for name in (temporary_name(PEER), PEER):
        if end.meta_kind(name) in (Kind.FILE, Kind.LINK):
            end.fs.unlink(end.meta, name)


def _remove_meta_dir(qa: Endpoint) -> str:
    """Remove the QA folder's ``.conveyor``; what is left in it, in words."""
    if qa.meta_handle is None:
        return ""
    _forget_peer(qa)
    if names := qa.fs.listdir(qa.meta):
        return f"left in {qa.path / META_DIR}: {', '.join(names)}"
    qa.meta.close()
    qa.meta_handle = None
    qa.fs.rmdir(qa.root, META_DIR)
    return ""


def _remove_qa_folder(endpoints: Endpoints) -> str:
    """Remove the QA folder; what is left in it, in words."""
    if names := endpoints.fs.listdir(endpoints.qa.root):
        return f"left in {endpoints.qa.path}: {', '.join(names)}"
    if endpoints.area is not None:
        endpoints.qa.close()
        endpoints.fs.rmdir(endpoints.area, endpoints.places.request)
    return ""
