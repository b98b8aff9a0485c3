"""The steps that open the QA folder before anything moves, and close it when everything is home."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from conveyor.capabilities.hook import StepResult
from conveyor.engine.endpoints import bridge_text
from conveyor.engine.links import put_bridge, remove_bridge
from conveyor.engine.staging import remove_manifest
from conveyor.engine.steps.base import EngineStep, Run
from conveyor.errors import ConflictError
from conveyor.filesystem.posix import Kind
from conveyor.layout import META_DIR, PEER_LINK

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint, Endpoints


class OpenQaFolder(EngineStep):
    """Make sure of the QA folder and of ``.conveyor`` at both ends, each with the link to its peer.

    Bridges in the QA folder lead to what is still in spool: a relative link from one directory to another resolves while the
    one has moved and the other has not.
    """

    name = "open-qa-folder"
    text = "open the QA folder"

    def perform(self, run: Run) -> StepResult:
        """Spool's peer link comes first: by it the way home knows that a QA folder, even an empty one, is ours."""
        endpoints = run.endpoints
        changed = _link_peer(endpoints, endpoints.spool)
        if endpoints.qa.handle is None and endpoints.area is not None:
            with contextlib.suppress(FileExistsError):
                run.fs.mkdir(endpoints.area, endpoints.places.request)
                run.fs.fsync(endpoints.area)
                changed = True
            endpoints.open_qa()
        if endpoints.area is not None:
            endpoints.let_read(endpoints.area, endpoints.places.request)
        changed = _link_peer(endpoints, endpoints.qa) or changed
        for name in run.names:
            if endpoints.spool.kind(name) is Kind.DIRECTORY and endpoints.qa.kind(name) is None:
                put_bridge(endpoints, endpoints.qa, name)
                changed = True
        return StepResult(changed)


def _link_peer(endpoints: Endpoints, end: Endpoint) -> bool:
    made = end.make_meta()
    endpoints.let_read(end.root, META_DIR)
    if end.meta_kind(PEER_LINK) is not None:
        if end.peer_leads_to(endpoints.other(end).path) is False:  # another request of that name came before
            raise ConflictError(f"{end.path / META_DIR / PEER_LINK} does not lead to {endpoints.other(end).path}")
        return made
    end.fs.symlink(end.meta, PEER_LINK, endpoints.peer_text(end))
    return True


class CloseQaFolder(EngineStep):
    """Remove Conveyor's bridges and directories from the QA side; what is not Conveyor's stays, and is named."""

    name = "close-qa-folder"
    text = "close the QA folder"

    def perform(self, run: Run) -> StepResult:
        """Spool's peer link goes last, since as long as it stands the way home is not finished."""
        endpoints, fs, left = run.endpoints, run.fs, ""
        qa, spool = endpoints.qa, endpoints.spool
        fs.fsync(spool.root)
        if qa.handle is not None:
            bridges = [name for name in run.names if _is_bridge(qa, name)]
            if bridges:  # a reader may have read a link to one of them and not yet followed it
                fs.wait_grace_period()
            for name in bridges:
                remove_bridge(endpoints, qa, name)
            left = close_qa_folder(endpoints)
        for name in run.names:
            remove_manifest(endpoints, name)
        if spool.meta_kind(PEER_LINK) is Kind.LINK:
            fs.unlink(spool.meta, PEER_LINK)
        return StepResult(detail=left)


def close_qa_folder(endpoints: Endpoints) -> str:
    """Remove Conveyor's directories from the QA side, if nothing else is in them; what is left there, in words."""
    if endpoints.qa.handle is None:
        return ""
    return _remove_meta_dir(endpoints.qa) or _remove_qa_folder(endpoints)


def _is_bridge(end: Endpoint, name: str) -> bool:
    return end.kind(name) is Kind.LINK and end.fs.readlink(end.root, name) == bridge_text(name)


def _remove_meta_dir(qa: Endpoint) -> str:
    """Remove the QA folder's ``.conveyor``; what is left in it, in words."""
    if qa.meta_handle is None:
        return ""
    if qa.meta_kind(PEER_LINK) is Kind.LINK:
        qa.fs.unlink(qa.meta, PEER_LINK)
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
