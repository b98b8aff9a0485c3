"""Every refusal: its own message, code and hint, and the whole workspace as it was before, in a dry run too."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.diagnostics import doctor
from conveyor.engine.claim import Claim
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.host import Host
from conveyor.errors import NotInQaError
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import held_scratch
from conveyor.request.metadata import read_metadata
from conveyor.request.places import locate
from conveyor.settings.model import Settings
from support.inventory import inventory
from support.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.workspace import Workspace


def required_directory_missing(workspace: Workspace) -> None:
    shutil.rmtree(workspace.spool / "working")


def qa_folder_has_a_directory_that_is_not_ours(workspace: Workspace) -> None:
    (workspace.qa / "products").mkdir(parents=True)


def optional_directory_is_in_qa_only(workspace: Workspace) -> None:
    shutil.rmtree(workspace.spool / "rawdata")
    (workspace.qa / "rawdata").mkdir(parents=True)


def both_sides_have_a_directory(workspace: Workspace) -> None:
    conveyor.deliver(workspace.metadata).raise_for_error()
    (workspace.spool / "products").unlink()
    (workspace.spool / "products").mkdir()


def link_points_elsewhere(workspace: Workspace) -> None:
    conveyor.deliver(workspace.metadata).raise_for_error()
    (workspace.spool / "products").unlink()
    (workspace.spool / "products").symlink_to(workspace.root)


def link_points_nowhere(workspace: Workspace) -> None:
    conveyor.deliver(workspace.metadata).raise_for_error()
    shutil.rmtree(workspace.qa / "products")


def directory_is_a_link_before_delivery(workspace: Workspace) -> None:
    (workspace.spool / "rawdata").rename(workspace.root / "elsewhere")
    (workspace.spool / "rawdata").symlink_to(workspace.root / "elsewhere")


def directory_is_a_dangling_link_before_delivery(workspace: Workspace) -> None:
    shutil.rmtree(workspace.spool / "rawdata")
    (workspace.spool / "rawdata").symlink_to("/nowhere/at/all")


def directory_is_a_file(workspace: Workspace) -> None:
    shutil.rmtree(workspace.spool / "rawdata")
    (workspace.spool / "rawdata").write_text("a file")


def qa_area_missing(workspace: Workspace) -> None:
    (workspace.root / workspace.qa_area).rmdir()


def qa_folder_is_a_link(workspace: Workspace) -> None:
    (workspace.root / "elsewhere").mkdir()
    workspace.qa.symlink_to(workspace.root / "elsewhere")


def qa_folder_is_a_file(workspace: Workspace) -> None:
    workspace.qa.write_text("a file")


def qa_folder_belongs_to_another_request(workspace: Workspace) -> None:
    (workspace.qa / ".conveyor").mkdir(parents=True)
    (workspace.qa / ".conveyor" / "peer").symlink_to(workspace.root / "spool" / "another")


def request_is_out_elsewhere(workspace: Workspace) -> None:
    (workspace.spool / ".conveyor").mkdir()
    (workspace.spool / ".conveyor" / "peer").symlink_to("../../../image-qa/" + workspace.request)


def ready_is_somebody_elses(workspace: Workspace) -> None:
    workspace.qa.mkdir()
    (workspace.qa / "READY").write_text("an analyst's note\n")


def something_is_in_the_way(workspace: Workspace) -> None:
    workspace.qa.mkdir()
    (workspace.qa / "products").write_text("a file")


def own_folder_is_a_link(workspace: Workspace) -> None:
    (workspace.root / "elsewhere").mkdir()
    (workspace.spool / ".conveyor").symlink_to(workspace.root / "elsewhere")


def weblog_is_damaged(workspace: Workspace) -> None:
    weblog_is_not_whole_yet(workspace)
    os.utime(workspace.spool / "products" / "weblog.tgz", (1_600_000_000, 1_600_000_000))


def weblog_is_not_whole_yet(workspace: Workspace) -> None:
    tar = workspace.spool / "products" / "weblog.tgz"
    tar.write_bytes(tar.read_bytes()[:-40])


def cached_weblog_is_not_ours(workspace: Workspace) -> None:
    workspace.weblog.mkdir(parents=True)
    (workspace.weblog / "index.html").write_text("somebody's")


def request_outside_the_spool_root(workspace: Workspace) -> None:
    os.environ["CONVEYOR_SPOOL_ROOT"] = str(workspace.root / "qa2")


def parent_directory_is_a_link(workspace: Workspace) -> None:
    (workspace.root / "spool" / "alias").symlink_to(workspace.request)
    workspace.write_metadata(destinationDirectory=str(workspace.root / "spool" / "alias"))


def parent_directory_is_missing(workspace: Workspace) -> None:
    workspace.write_metadata(destinationDirectory=str(workspace.root / "spool.old" / "gone"))


def metadata_of_another_request(workspace: Workspace) -> None:
    workspace.write_metadata(destinationDirectory=str(workspace.root / "spool" / "another"))


def no_capability_claims_the_workflow(workspace: Workspace) -> None:
    workspace.write_metadata(workflowName="download")


@dataclass(frozen=True)
class Case:
    """A refusal: how it comes about, what it says, and whether the way home meets it as well."""

    arrange: Callable[[Workspace], None]
    code: str
    exit_code: int
    says: str
    home_too: bool = False


CASES = [
    Case(
        required_directory_missing, "directory-missing", 66, "the required directory working is missing", home_too=True
    ),
    Case(qa_folder_has_a_directory_that_is_not_ours, "conflict", 73, "it is not ours", home_too=True),
    Case(optional_directory_is_in_qa_only, "conflict", 73, "it is not ours", home_too=True),
    Case(both_sides_have_a_directory, "both-sides", 73, "real directory at both ends", home_too=True),
    Case(link_points_elsewhere, "link-foreign", 73, "a link that points elsewhere", home_too=True),
    Case(link_points_nowhere, "link-foreign", 73, "there is no directory there", home_too=True),
    Case(directory_is_a_link_before_delivery, "link-foreign", 73, "symbolic link that points elsewhere", home_too=True),
    Case(directory_is_a_dangling_link_before_delivery, "link-foreign", 73, "points nowhere", home_too=True),
    Case(directory_is_a_file, "conflict", 73, "neither a directory nor a link", home_too=True),
    Case(qa_area_missing, "qa-area-missing", 78, "is not there"),
    Case(qa_folder_is_a_link, "conflict", 73, "is a link, where the request's QA folder has to be", home_too=True),
    Case(qa_folder_is_a_file, "conflict", 73, "is a file, where the request's QA folder has to be", home_too=True),
    Case(qa_folder_belongs_to_another_request, "conflict", 73, "belongs to another request", home_too=True),
    Case(request_is_out_elsewhere, "conflict", 73, "was delivered to ", home_too=True),
    Case(ready_is_somebody_elses, "conflict", 73, "is not a receipt of this request"),
    Case(something_is_in_the_way, "conflict", 73, "something stands in the way"),
    Case(own_folder_is_a_link, "conflict", 73, "is not a folder", home_too=True),
    Case(weblog_is_damaged, "weblog-damaged", 65, "is damaged"),
    Case(weblog_is_not_whole_yet, "weblog-changing", 75, "may still be written"),
    Case(cached_weblog_is_not_ours, "conflict", 73, "is no weblog that Conveyor cached"),
    Case(request_outside_the_spool_root, "metadata-invalid", 65, "is outside the spool root", home_too=True),
    Case(parent_directory_is_a_link, "metadata-invalid", 65, "is a symbolic link", home_too=True),
    Case(parent_directory_is_missing, "request-missing", 66, "a directory that is not there", home_too=True),
    Case(metadata_of_another_request, "metadata-misplaced", 65, "names the request 'another'", home_too=True),
    Case(no_capability_claims_the_workflow, "capability-unknown", 78, "no capability claims", home_too=True),
]


def _name(case: object) -> str:
    return case.arrange.__name__ if isinstance(case, Case) else str(case)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("case", CASES, ids=_name)
def test_a_refused_delivery_changes_nothing(
    workspace: Workspace, case: Case, dry_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery is refused with its code, its sentence and a hint; every byte, mode and time is as before."""
    monkeypatch.setenv("CONVEYOR_SPOOL_ROOT", "")
    case.arrange(workspace)
    before = inventory(workspace.root)
    outcome = conveyor.deliver(workspace.metadata, dry_run=dry_run)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == (case.code, case.exit_code)
    assert case.says in outcome.error.message
    assert outcome.error.hint
    assert not outcome.changed
    assert inventory(workspace.root) == before


@pytest.mark.parametrize("case", [case for case in CASES if case.home_too], ids=_name)
@pytest.mark.parametrize("act", [conveyor.retrieve, conveyor.qa_fail])
def test_a_refused_way_home_changes_nothing(
    workspace: Workspace, case: Case, act: Callable[..., conveyor.Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way home is refused for the same reasons, and changes nothing either."""
    monkeypatch.setenv("CONVEYOR_SPOOL_ROOT", "")
    case.arrange(workspace)
    before = inventory(workspace.root)
    outcome = act(workspace.metadata)
    assert outcome.error is not None
    assert outcome.error.code == case.code
    assert inventory(workspace.root) == before


def test_whose_folder_it_is_is_told(workspace: Workspace) -> None:
    """Of two requests with one name, and of a directory that was renamed or copied, the other place is named."""
    (workspace.spool / "PPR.xml").touch()
    qa_folder_belongs_to_another_request(workspace)
    (workspace.qa / "PPR.xml").symlink_to("../../spool/another/PPR.xml")
    error, [seen] = conveyor.retrieve(workspace.metadata).error, conveyor.status(workspace.metadata)
    assert error is not None
    assert f"leads to {workspace.root}/spool/another, not to" in error.message
    assert "retrieve that request first" in error.hint
    assert len(seen.warnings) == 1  # the other's own links are no litter

    workspace.qa.rename(workspace.qa.parent / "another")
    (workspace.spool / ".conveyor" / "peer").symlink_to("../../../qa2/another")
    error = conveyor.retrieve(workspace.metadata).error
    assert error is not None
    assert "renamed, or copied from that of 'another'?" in error.hint
    [finding] = [one for one in doctor([workspace.metadata], probe=False).findings if one.severity == "error"]
    assert finding.commands[-1] == f"ls -la {workspace.root}/qa2/another"


@pytest.mark.parametrize("act", [conveyor.deliver, conveyor.retrieve, conveyor.qa_fail])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_request_that_another_conveyance_holds_is_left_alone(
    workspace: Workspace, act: Callable[..., conveyor.Outcome], dry_run: bool
) -> None:
    """While a claim is held, every command ends with 75, names the holder, and changes nothing."""
    places = locate(read_metadata(workspace.metadata), Settings(), "qa2")
    with Endpoints(FileSystem(), places) as endpoints, Claim(endpoints.spool, Host()):
        before = inventory(workspace.root)
        outcome = act(workspace.metadata, dry_run=dry_run)
        assert inventory(workspace.root) == before
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("locked", 75)
    assert f"pid {os.getpid()} on {os.uname().nodename}, since 2" in outcome.error.message


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as two accounts")
@pytest.mark.parametrize(
    ("locked", "says"),
    [
        ("spool/tmpiox5trbp", "may not write in {root}/spool/tmpiox5trbp"),
        ("qa2", "may not write in the QA area {root}/qa2"),
        ("spool/tmpiox5trbp/rawdata", "{root}/spool/tmpiox5trbp/rawdata is not writable"),
        ("spool/tmpiox5trbp/.conveyor", "may not write in {root}/spool/tmpiox5trbp/.conveyor"),
    ],
)
def test_an_account_without_permission_is_told_where(public_workspace: Workspace, locked: str, says: str) -> None:
    """An unprivileged account is refused with 77 and the folder that it may not change, before anything is touched."""
    workspace = public_workspace
    (workspace.root / locked).mkdir(exist_ok=True)
    nobody = as_nobody(workspace.root)
    (workspace.root / locked).chmod(0o555)
    before = inventory(workspace.root)
    assert conveyor.deliver(workspace.metadata, dry_run=True).ok  # and has imported all that the child may not read
    outcomes = nobody(lambda: [_told(conveyor.deliver(workspace.metadata, dry_run=dry)) for dry in (True, False)])
    for outcome in outcomes:
        assert outcome[:2] == ["not-permitted", 77]
        assert says.format(root=workspace.root) in outcome[2]
    assert inventory(workspace.root) == before


def _told(outcome: conveyor.Outcome) -> list[object]:
    error = outcome.error
    return [error.code, error.exit_code, error.message] if error else []


def test_a_required_weblog_that_is_missing_refuses_the_delivery(workspace: Workspace) -> None:
    """A capability may insist on a weblog; without one, nothing moves."""
    (workspace.spool / "products" / "weblog.tgz").unlink()
    config = workspace.root / "conveyor.toml"
    config.write_text(
        """
        [capabilities.strict]
        workflows = ["strict"]
        qa_area = "qa2"
        directories = ["rawdata", "products", "working"]
        weblog = { required = true }
        """
    )
    settings = conveyor.load_config(config=config)
    before = inventory(workspace.root)
    outcome = conveyor.deliver(workspace.metadata, capability="strict", config=settings)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("weblog-missing", 66)
    assert inventory(workspace.root) == before


def test_a_dry_run_tells_the_plan_and_changes_nothing(workspace: Workspace) -> None:
    """A dry run lists the steps that a real run takes, in the same order, and touches nothing."""
    before = inventory(workspace.root)
    planned = conveyor.deliver(workspace.metadata, dry_run=True)
    assert inventory(workspace.root) == before
    assert {step.outcome for step in planned.steps} == {"planned"}
    done = conveyor.deliver(workspace.metadata)
    assert [(step.step, step.subject) for step in done.steps] == [(step.step, step.subject) for step in planned.steps]


def test_a_refusal_is_one_line_of_the_history(workspace: Workspace) -> None:
    """A refused delivery adds one line, which says why, a dry run none; the directories keep their times."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    conveyor.retrieve(workspace.metadata).raise_for_error()
    history = workspace.spool / ".conveyor" / "history.jsonl"
    lines = history.read_text().splitlines()
    shutil.rmtree(workspace.spool / "working")
    times = [path.stat().st_mtime_ns for path in (workspace.spool, history.parent)]
    assert not conveyor.deliver(workspace.metadata, dry_run=True).ok
    assert history.read_text().splitlines() == lines
    refused = conveyor.deliver(workspace.metadata).error
    assert refused is not None
    *before, line = history.read_text().splitlines()
    said = json.loads(line)
    assert before == lines
    assert (said["event"], said["error"], said["reason"]) == ("refused", refused.code, refused.message)
    assert [path.stat().st_mtime_ns for path in (workspace.spool, history.parent)] == times


@pytest.mark.parametrize("act", [conveyor.deliver, conveyor.retrieve])
def test_trials_of_a_dead_run_are_no_delivery(workspace: Workspace, act: Callable[..., conveyor.Outcome]) -> None:
    """Where a run died while it looked for the ways, nothing was delivered that could fail QA; the next run removes them."""
    left = workspace.root / workspace.qa_area / held_scratch(workspace.spool)
    (left / "full" / "in").mkdir(parents=True)
    assert isinstance(conveyor.qa_fail(workspace.metadata).error, NotInQaError)
    act(workspace.metadata).raise_for_error()
    assert not left.exists()
