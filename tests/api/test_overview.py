"""One look at a workspace: whatever is out is in the list, and what cannot be looked at is an entry with its error."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.api.overview import overview
from conveyor.engine.outcome import exit_code
from conveyor.engine.survey import State
from support.unprivileged import as_nobody
from support.workspace import make_workspace

if TYPE_CHECKING:
    from conveyor.engine.outcome import Outcome
    from support.workspace import Workspace

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")


def config_of(workspace: Workspace) -> conveyor.Config:
    return conveyor.load_config({"spool_root": workspace.root / "spool"})


def status_of(workspace: Workspace) -> dict[str | None, Outcome]:
    return {one.request: one for one in conveyor.status(config=config_of(workspace))}


@pytest.mark.parametrize("workflow", ["std_calibrtion", "vlass_quicklook", None])
def test_a_request_that_was_delivered_by_its_capability_is_listed(workspace: Workspace, workflow: str | None) -> None:
    """Delivered with -c, it is in QA whatever its metadata say: listed with the capability that READY names."""
    workspace.write_metadata(workflowName=workflow)
    conveyor.deliver(workspace.metadata, capability="calibration").raise_for_error()
    found = status_of(workspace)[workspace.request]
    assert (found.state, found.capability, found.error) == (State.IN_QA, "calibration", None)
    assert overview(config_of(workspace)).not_shown == {}


def test_a_capability_that_the_metadata_do_not_mean_is_the_one_of_the_delivery(workspace: Workspace) -> None:
    """A calibration that somebody delivered as imaging is in the imaging area, and not broken."""
    workspace.write_metadata(workflowName="mystery")
    conveyor.deliver(workspace.metadata, capability="imaging").raise_for_error()
    workspace.write_metadata()
    found = status_of(workspace)[workspace.request]
    assert (found.state, found.capability) == (State.IN_QA, "imaging")


def test_a_request_that_is_out_and_lost_its_metadata_is_listed_with_an_error(workspace: Workspace) -> None:
    """Where it is can still be said; that nothing brings it home without the file is its error."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    workspace.metadata.unlink()
    found = status_of(workspace)[workspace.request]
    assert (found.state, found.capability) == (State.IN_QA, "calibration")
    assert found.error is not None
    assert (found.error.code, "is out" in found.error.message) == ("metadata-missing", True)


def test_a_qa_folder_whose_request_is_gone_is_listed_with_an_error(workspace: Workspace) -> None:
    """It may be the only copy of something."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    shutil.rmtree(workspace.spool)
    error = status_of(workspace)[workspace.request].error
    assert error is not None
    assert (error.code, str(workspace.qa) in error.message) == ("request-missing", True)


def test_a_qa_folder_that_was_renamed_is_its_requests(workspace: Workspace) -> None:
    """The request stays in the list once, under its own name."""
    conveyor.deliver(workspace.metadata, capability="calibration").raise_for_error()
    workspace.qa.rename(workspace.qa.with_name("done"))
    assert {name: one.state for name, one in status_of(workspace).items()} == {workspace.request: State.BROKEN}


def test_requests_of_another_workspace_in_the_same_qa_area_are_not_ours(workspace: Workspace) -> None:
    """Two spool areas may deliver to one QA area; each status is of its own."""
    other = make_workspace(workspace.root / "other", request="theirs", qa_root=workspace.root)
    settings = {"spool_root": other.root / "spool", "qa_root": workspace.root, "weblog_cache": workspace.root / "cache"}
    config = conveyor.load_config(settings)
    conveyor.deliver(other.metadata, config=config).raise_for_error()
    assert list(status_of(workspace)) == [workspace.request]
    assert [one.request for one in conveyor.status(config=config)] == ["theirs"]


def test_what_is_not_shown_is_counted(workspace: Workspace) -> None:
    """Requests at home of workflows that nobody claims are left out, and told by workflow."""
    for name, workflow in (("a", "std_calibrtion"), ("b", "vlass"), ("c", "vlass"), ("d", None)):
        make_workspace(workspace.root, request=name).write_metadata(workflowName=workflow)
    (workspace.root / "spool" / "lost+found").mkdir()
    (workspace.root / "spool" / "nothing of a workflow's").mkdir()
    found = overview(config_of(workspace))
    assert [one.name for one in found.entries] == [workspace.request]
    assert found.not_shown_text == "not shown: 4 of other workflows (no workflow 1, std_calibrtion 1, vlass 2)"


@ROOT_ONLY
@pytest.mark.parametrize(
    ("closed", "hidden"),
    [("spool/tmpiox5trbp", "tmpiox5trbp"), ("spool", None), ("qa2", None), ("qa2/tmpiox5trbp", None)],
)
def test_what_may_not_be_looked_at_is_an_entry(public_workspace: Workspace, closed: str, hidden: str | None) -> None:
    """A folder or an area that is closed to the account is named, with 77, and never 'nothing is there'."""
    make_workspace(public_workspace.root, request="open")
    conveyor.deliver(public_workspace.metadata).raise_for_error()
    act = as_nobody(public_workspace.root)
    os.chown(public_workspace.root / closed, 0, 0)
    (public_workspace.root / closed).chmod(0o700)

    def look() -> tuple[int, str]:
        found = conveyor.status(config=config_of(public_workspace))
        return exit_code(found), json.dumps([[one.request, one.error and one.error.message] for one in found])

    status, said = act(look)
    assert status == 77
    assert str(public_workspace.root / closed) in said
    assert closed in ("spool", "qa2") or '["open", null]' in said
    assert hidden is None or f'"{hidden}"' in said
