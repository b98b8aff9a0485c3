"""Orphans are reported, and stay."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.diagnostics.findings import Severity
from support.doctor import examined, findings_of, only_finding
from support.inventory import inventory
from support.unprivileged import as_nobody
from support.workspace import make_workspace

if TYPE_CHECKING:
    from support.workspace import Workspace


def test_a_qa_directory_whose_request_is_gone_is_reported_and_stays(workspace: Workspace) -> None:
    """It may hold the only copy, so it is named, shown and never removed; one whose request is there is not named."""
    gone = make_workspace(workspace.root, request="gone")
    for one in (workspace, gone):
        conveyor.deliver(one.metadata).raise_for_error()
    assert [one.severity for one in findings_of(examined(workspace), "qa-folders")] == [Severity.OK, Severity.OK]
    shutil.rmtree(gone.spool)
    before = inventory(gone.qa)
    finding = only_finding(examined(workspace), "qa-folders", "gone")
    assert finding.severity is Severity.WARNING
    assert finding.commands == (f"ls -la {gone.qa}",)
    assert inventory(gone.qa) == before


def test_what_is_not_conveyors_in_a_qa_area_is_passed_over(workspace: Workspace) -> None:
    """Files, links, and directories that others made have no request to be of."""
    area = workspace.root / "qa2"
    (area / "file").touch()
    (area / "link").symlink_to("nowhere")
    (area / "folder").mkdir()
    (area / "pretender").mkdir()
    (area / "pretender" / ".conveyor").symlink_to("nowhere")
    (area / "half").mkdir()
    (area / "half" / ".conveyor").mkdir()
    (area / "half" / ".conveyor" / "peer").touch()
    assert {one.severity for one in findings_of(examined(workspace), "qa-folders")} == {Severity.OK}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_a_directory_that_may_not_be_opened_stops_nothing(public_workspace: Workspace) -> None:
    """Somebody's closed directory in a QA area could be a request's folder: it is named, and the rest is looked at."""
    act = as_nobody(public_workspace.root)
    closed = public_workspace.root / "qa2" / "closed"
    closed.mkdir(mode=0o700)
    found = act(lambda: [[one.severity, one.subject] for one in findings_of(examined(public_workspace), "qa-folders")])
    assert found == [["ok", "image-qa"], ["warning", "closed"]]


def test_half_made_weblogs_of_requests_that_are_gone_are_told(workspace: Workspace) -> None:
    """A conveyance of the request would remove them; if the request is gone nobody does."""
    cache = workspace.root / "weblog-cache"
    for name in (f".{workspace.request}.conveyor", "kept", ".hidden"):
        (cache / name).mkdir(parents=True)
    assert only_finding(examined(workspace), "cached-weblogs").severity is Severity.OK
    for name in (".gone.conveyor", ".lost.replaced"):
        (cache / name).mkdir()
    found = findings_of(examined(workspace), "cached-weblogs")
    assert [(one.subject, one.severity) for one in found] == [
        (".gone.conveyor", Severity.WARNING),
        (".lost.replaced", Severity.WARNING),
    ]
    assert (cache / ".gone.conveyor").is_dir()


def test_scratch_directories_of_killed_dry_runs_are_told(workspace: Workspace) -> None:
    """At both ends; one that was made just now may be in use."""
    for folder in (workspace.root / "qa2", workspace.spool):
        for name, age in ((".conveyor-scratch.old", 7200), (".conveyor-scratch.new", 0)):
            (folder / name).mkdir(parents=True)
            os.utime(folder / name, (time.time() - age, time.time() - age))
    found = findings_of(examined(workspace), "scratch-directories")
    assert {one.commands for one in found} == {
        (f"rm -r {folder / '.conveyor-scratch.old'}",) for folder in (workspace.root / "qa2", workspace.spool)
    }


def test_a_request_that_is_out_and_has_no_metadata_is_told(workspace: Workspace) -> None:
    """A listing of the spool root passes it over; if its file is named it is known."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    settings = {"spool_root": workspace.root / "spool"}
    assert findings_of(examined(workspace, metadata=(), settings=settings), "lost-metadata") == []
    elsewhere = workspace.metadata.rename(workspace.root / "metadata.json")
    assert (
        only_finding(examined(workspace, metadata=(), settings=settings), "lost-metadata").subject == workspace.request
    )
    assert findings_of(examined(workspace, metadata=(elsewhere,), settings=settings), "lost-metadata") == []


def test_of_a_whole_workspace_a_request_that_is_gone_is_told_once(workspace: Workspace) -> None:
    """By its QA folder; metadata that name a directory which is not there are told with the requests."""
    settings = {"spool_root": workspace.root / "spool"}
    wrong = make_workspace(workspace.root, request="wrong")
    wrong.write_metadata(destinationDirectory=str(workspace.root / "elsewhere" / "gone"))
    conveyor.deliver(workspace.metadata).raise_for_error()
    shutil.rmtree(workspace.spool)
    report = examined(workspace, metadata=(), settings=settings, probe=False)
    found = [(one.check, one.subject) for one in report.findings if one.severity in (Severity.ERROR, Severity.WARNING)]
    assert found == [("request", str(wrong.metadata)), ("qa-folders", workspace.request)]
