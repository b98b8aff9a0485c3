"""Each trouble, made for real, is told by the overview with its words and the command to run next."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import conveyor
from conveyor.api.operations import resolve_request
from conveyor.api.overview import overview
from conveyor.api.overview_entry import OverviewEntry, Section, Trouble
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.host import Host
from conveyor.engine.qa_record import assigned, change_qa_record, judged
from conveyor.engine.survey import State
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import QA_FILE
from support.faults import Faults, injected
from support.workspace import make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from support.sweep import Sweep
    from support.workspace import Workspace

SAMPLE = 12


def entry_of(workspace: Workspace) -> OverviewEntry:
    """The one entry of the overview of a workspace."""
    (found,) = overview(conveyor.load_config({"spool_root": workspace.root / "spool"})).entries
    assert found.name == workspace.request
    return found


def delivered(workspace: Workspace) -> Workspace:
    conveyor.deliver(workspace.metadata).raise_for_error()
    return workspace


def test_a_request_in_qa_waits_since_its_delivery(workspace: Workspace) -> None:
    """No trouble: its project, its age, its page and who ran what last are told."""
    found = entry_of(delivered(workspace))
    assert (found.trouble, found.section, found.project) == (None, Section.IN_QA, "13B-014")
    assert found.since == found.delivered
    assert found.age_in_qa is not None
    assert 0 <= found.age_in_qa < 600
    assert (found.weblog_page or "").endswith("html/index.html")
    assert found.last_attempt is not None
    assert (found.last_attempt.command, found.last_attempt.host) == ("deliver", os.uname().nodename)
    assert found.next_command == ("conveyor", "retrieve", str(workspace.metadata))


def test_a_delivery_that_is_killed_at_any_call_is_stalled(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, sweep: Sweep
) -> None:
    """Whatever call it was, the request is in the list, and what is named as the next command finishes it."""

    def killed(workspace: Workspace, faults: Faults) -> None:
        if (pid := os.fork()) == 0:
            try:
                with injected(monkeypatch, faults):
                    conveyor.deliver(workspace.metadata)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    counted, first = Faults(), make_workspace(quick_folder / "counted")
    with injected(monkeypatch, counted):
        conveyor.deliver(first.metadata).raise_for_error()
    stalled = 0
    for at in sweep.choose(range(len(counted.calls)), SAMPLE):
        with sweep.at(f"killed at call {at}: {counted.calls[at]}"):
            workspace = make_workspace(quick_folder / str(at))
            killed(workspace, Faults(at=at))
            sweep.was_hit(at, hit=True)
            found = entry_of(workspace)
            is_begun = found.state is State.IN_TRANSIT
            stalled += is_begun
            assert (found.trouble is Trouble.STALLED) == is_begun, found
            assert found.section is not Section.MOVING
            if is_begun:
                assert "was interrupted" in found.detail
                assert found.last_attempt is not None
                assert found.last_attempt.result == "did not end, or runs"
                assert (found.begun, found.next_command[1]) == ("deliver", "resume")
            assert conveyor.deliver(workspace.metadata).raise_for_error().state is State.IN_QA
    sweep.finish(20)
    assert stalled


def test_directories_that_moved_are_counted(workspace: Workspace) -> None:
    """What is at the wanted end is done, also while only a bridge leads there."""

    def end(level: str, event: str, **fields: object) -> None:
        if fields.get("step") == "link":
            raise RuntimeError("a bug")

    conveyor.deliver(workspace.metadata, on_event=end)
    assert entry_of(workspace).detail == "a delivery was interrupted, 3 of 3 directories done"


def test_a_claim_of_another_host_is_no_trouble_that_is_known(workspace: Workspace) -> None:
    """Whether its holder is alive cannot be told from here: it is shown as moving, with its host."""
    delivered(workspace)
    (workspace.qa / "READY").unlink()
    holder = {"host": "nmpost042", "machine": "other", "boot": "b", "namespace": "n", "pid": 7, "started": "1"}
    text = json.dumps({"since": "2026-01-01T00:00:00+00:00", "token": "t", **holder})
    (workspace.spool / ".conveyor" / "claim.1").symlink_to(text)
    found = entry_of(workspace)
    assert (found.trouble, found.section, found.holder_is_alive) == (None, Section.MOVING, None)
    assert found.holder is not None
    assert found.holder.process.host == "nmpost042"


def test_an_area_that_is_not_mounted_leaves_links_that_lead_to_nothing(workspace: Workspace) -> None:
    """What stands in the place of the area is empty; nothing says that all is well."""
    delivered(workspace)
    workspace.qa.parent.rename(workspace.root / "elsewhere")
    workspace.qa.parent.mkdir()
    found = entry_of(workspace)
    assert (found.trouble, found.state) == (Trouble.DANGLING, State.BROKEN)
    assert found.detail == "the links of rawdata, products, working lead to nothing"
    shutil.rmtree(workspace.qa.parent)
    assert entry_of(workspace).trouble is Trouble.DANGLING


def test_a_qa_folder_behind_a_link_is_not_said_to_be_gone(workspace: Workspace) -> None:
    """Somebody moved it to another disk: the paths work, and what is wrong is the link."""
    delivered(workspace)
    workspace.qa.rename(workspace.root / "elsewhere")
    workspace.qa.symlink_to(workspace.root / "elsewhere")
    found = entry_of(workspace)
    assert found.trouble is Trouble.NEEDS_PERSON
    assert "is a link, where the request's QA folder has to be" in found.detail


def test_a_renamed_qa_folder_is_found(workspace: Workspace) -> None:
    """Its new name is told, with the command that gives the old one back."""
    delivered(workspace)
    done = workspace.qa.with_name(f"{workspace.request}-done")
    workspace.qa.rename(done)
    found = entry_of(workspace)
    assert found.trouble is Trouble.RENAMED
    assert found.next_command == ("mv", str(done), str(workspace.qa))
    shutil.copytree(done, workspace.qa, symlinks=True)  # a copy beside it is no renamed folder
    assert entry_of(workspace).trouble is None


def test_a_qa_folder_whose_request_is_gone_is_orphaned(workspace: Workspace) -> None:
    """It is listed under the name of the request, with the folder."""
    delivered(workspace)
    shutil.rmtree(workspace.spool)
    found = entry_of(workspace)
    assert (found.trouble, found.qa, found.state) == (Trouble.ORPHANED, str(workspace.qa), None)


def test_metadata_that_is_damaged_or_gone_is_told(workspace: Workspace) -> None:
    """Damaged, the request cannot be read; gone while it is out, a person has to find it."""
    content = workspace.metadata.read_bytes()
    workspace.metadata.write_bytes(content[:20])
    assert entry_of(workspace).trouble is Trouble.UNREADABLE
    workspace.metadata.write_bytes(content)
    delivered(workspace)
    workspace.metadata.unlink()
    found = entry_of(workspace)
    assert (found.trouble, found.state) == (Trouble.NEEDS_PERSON, State.IN_QA)
    assert found.error is not None


def test_a_directory_at_both_ends_needs_a_person(workspace: Workspace) -> None:
    """The words are those of the refusal."""
    delivered(workspace)
    (workspace.spool / "rawdata").unlink()
    (workspace.spool / "rawdata").mkdir()
    found = entry_of(workspace)
    assert found.trouble is Trouble.NEEDS_PERSON
    assert "rawdata is a real directory at both ends" in found.detail


def test_what_was_left_behind_is_told(workspace: Workspace) -> None:
    """A second copy that could not be removed is the least of the troubles."""
    delivered(workspace)
    (workspace.spool / ".conveyor" / "rawdata.left.1").mkdir()
    found = entry_of(workspace)
    assert (found.trouble, found.state) == (Trouble.LEFT_OVER, State.IN_QA)
    assert "rawdata.left.1" in found.detail


def test_what_people_said_is_in_the_entry(workspace: Workspace) -> None:
    """To whom it is assigned, and the verdict with its reason; a record that is damaged hides nothing."""
    delivered(workspace)
    config = conveyor.load_config()
    request = resolve_request(workspace.metadata, None, config)
    with Endpoints(FileSystem(), request.places) as endpoints:
        change_qa_record(endpoints.spool, Host(), workspace.request, assigned("da02", "ops"))
        change_qa_record(endpoints.spool, Host(), workspace.request, judged("fail", "da02", "flux scale off"))
    found = entry_of(workspace)
    assert found.assigned is not None
    assert (found.assigned.to, found.assigned.by) == ("da02", "ops")
    assert found.verdict is not None
    assert (found.verdict.verdict, found.verdict.by, found.verdict.reason) == ("fail", "da02", "flux scale off")
    (workspace.spool / ".conveyor" / QA_FILE).write_text("{")
    assert (entry_of(workspace).verdict, entry_of(workspace).state) == (None, State.IN_QA)


def test_a_delivery_that_was_refused_is_told(workspace: Workspace) -> None:
    """At home, and tried: by what it was refused."""
    (workspace.spool / "products" / "weblog.tgz").write_bytes(b"no tar")
    assert conveyor.deliver(workspace.metadata).error is not None
    found = entry_of(workspace)
    assert (found.trouble, found.state) == (Trouble.REFUSED, State.IN_SPOOL)
    assert "weblog-damaged" in found.detail


def test_a_workflow_that_computes_is_no_trouble(workspace: Workspace) -> None:
    """A directory that is not written yet is not lost; one that was conveyed and is gone is."""
    shutil.rmtree(workspace.spool / "products")
    found = entry_of(workspace)
    assert (found.trouble, found.is_computing, found.section) == (None, True, Section.COMPUTING)


def test_many_requests_are_looked_at_by_several_processes(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request has its entry, in order of names, whichever process looked at it; one that dies loses nothing."""
    monkeypatch.setattr("conveyor.api.look_at_all._WORTH", 0.0)
    root = quick_folder / "many"
    names = [f"tmp{number:03}" for number in range(120)]
    for name in names:
        spool = root / "spool" / name
        spool.mkdir(parents=True)
        document = {"workflowName": "std_calibration", "destinationDirectory": str(spool)}
        (spool / "metadata.json").write_text(json.dumps(document))
    (root / "qa2").mkdir()
    told: list[int] = []
    config = conveyor.load_config({"spool_root": root / "spool"})
    found = overview(config, on_seen=lambda count, _: told.append(count))
    assert [one.name for one in found.entries] == names
    assert told[0] < told[-1] == len(names)
    parent = os.getpid()

    def dies(*_: object) -> None:
        if os.getpid() != parent:
            os._exit(9)

    monkeypatch.setattr("conveyor.filesystem.snapshot.Snapshot.renew", dies)
    assert [one.name for one in overview(config).entries] == names
