"""The doctor's findings about each request, and that the commands it names do as it says."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor.api.areas import init_areas
from conveyor.api.operations import new_outcome, resolve_request
from conveyor.cli.main import run
from conveyor.diagnostics.findings import Severity
from conveyor.engine.claim import Holder
from conveyor.engine.context import Environment
from conveyor.engine.conveyance import convey
from conveyor.engine.host import Host
from conveyor.engine.plan import Operation
from conveyor.engine.survey import survey
from conveyor.filesystem.posix import FileSystem
from conveyor.settings.sources import load_config
from support.doctor import DeadHost, examined, findings_of, only_finding
from support.faults import Crash, Faults, exchange, injected
from support.unprivileged import as_nobody
from support.workspace import HTML, make_workspace

if TYPE_CHECKING:
    from conveyor.diagnostics.findings import Finding, Report
    from conveyor.engine.host import Process
    from conveyor.engine.survey import Survey
    from conveyor.filesystem.posix import DirFd, Entry
    from support.workspace import Workspace


def interrupt(
    workspace: Workspace, operation: Operation, monkeypatch: pytest.MonkeyPatch, host: Host | None = None
) -> None:
    """A conveyance that dies when the second directory is about to move."""

    class Dies(Faults):
        def point(self, call: str) -> None:
            if call == "exchange" and self.calls.count("exchange") == 1:
                self.at = len(self.calls)
            super().point(call)

    faults = Dies()
    request = resolve_request(workspace.metadata, None, load_config())
    outcome = new_outcome(str(operation), workspace.metadata)
    with injected(monkeypatch, faults), pytest.raises(Crash):
        convey(request, operation, Environment(FileSystem(exchange=exchange(faults)), host or DeadHost()), outcome)


def claim(workspace: Workspace, process: Process) -> None:
    (workspace.spool / ".conveyor").mkdir(exist_ok=True)
    (workspace.spool / ".conveyor" / "claim.1").symlink_to(Holder(process, "then").text)


def request_of(report: Report) -> Finding:
    return only_finding(report, "request")


def perform(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run an advised command as a shell would; its exit status."""
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        run()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_requests_at_rest_are_well(workspace: Workspace) -> None:
    """In spool, in QA and home again there is nothing to do."""
    assert (request_of(examined(workspace)).severity, request_of(examined(workspace)).what) == (
        Severity.OK,
        "in spool",
    )
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert (request_of(examined(workspace)).severity, request_of(examined(workspace)).what) == (Severity.OK, "in QA")
    conveyor.retrieve(workspace.metadata).raise_for_error()
    assert request_of(examined(workspace)).severity is Severity.OK


@pytest.mark.parametrize(
    ("operation", "commands", "says"),
    [
        (Operation.DELIVER, ["deliver", "retrieve"], "a delivery was interrupted"),
        (Operation.RETRIEVE, ["retrieve", "deliver"], "a retrieval was interrupted"),
        (Operation.QA_FAIL, ["qa-fail", "deliver"], "a retrieval after a failed QA"),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_an_interrupted_conveyance_is_finished_or_undone_by_the_commands(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    operation: Operation,
    commands: list[str],
    says: str,
    which: int,
) -> None:
    """The history tells which operation was interrupted, first the command that finishes it; either does what it says."""
    if operation is not Operation.DELIVER:
        conveyor.deliver(workspace.metadata).raise_for_error()
    interrupt(workspace, operation, monkeypatch)
    finding = request_of(examined(workspace))
    assert finding.severity is Severity.WARNING
    assert says in finding.what
    assert f"pid {os.getpid()} on" in finding.what
    assert finding.commands == tuple(f"conveyor {name} {workspace.metadata}" for name in commands)
    assert perform(finding.commands[which], monkeypatch) == 0
    assert request_of(examined(workspace)).severity is Severity.OK


def test_without_a_history_a_delivery_is_assumed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history that is gone, is no file, or says nonsense changes the order of the commands at most."""
    interrupt(workspace, Operation.DELIVER, monkeypatch)
    history = workspace.spool / ".conveyor" / "history.jsonl"
    expected = request_of(examined(workspace)).commands
    for content in (
        b"[]\nnull\n{\n",
        b'{"command": ["x"]}',
        b"\xff\xfe",
        b'{"command": "unlock"}\n{"comm',
        b"[" * 9999,
    ):
        history.write_bytes(content)
        assert request_of(examined(workspace)).commands == expected
    history.unlink()
    assert request_of(examined(workspace)).commands == expected
    history.symlink_to("/etc/passwd")
    assert request_of(examined(workspace)).commands == expected


def test_the_end_of_a_long_history_is_enough(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the tail is read, and half a line at its end is passed over."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    interrupt(workspace, Operation.RETRIEVE, monkeypatch)
    history = workspace.spool / ".conveyor" / "history.jsonl"
    history.write_bytes(b'{"command": "deliver"}\n' * 100_000 + b'{"command": "retrieve"}\n{"command": "del')
    assert request_of(examined(workspace)).commands[0] == f"conveyor retrieve {workspace.metadata}"


def test_a_command_that_would_be_refused_is_not_advised(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only one of the two commands would work, only that is named, and why the other would not."""
    interrupt(workspace, Operation.DELIVER, monkeypatch)
    (workspace.weblog / "somebody's").mkdir(parents=True, exist_ok=True)
    (workspace.weblog / ".conveyor.json").unlink()
    finding = request_of(examined(workspace))
    assert finding.commands == (f"conveyor retrieve {workspace.metadata}",)
    assert "'deliver' is refused" in finding.what
    assert perform(finding.commands[0], monkeypatch) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_where_both_commands_would_be_refused_it_is_an_error(
    public_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account that may neither finish nor undo an interrupted delivery is told so, and given no command."""
    interrupt(public_workspace, Operation.DELIVER, monkeypatch)
    act = as_nobody(public_workspace.root)
    os.chown(public_workspace.spool, 0, 0)

    def look() -> list[object]:
        finding = request_of(examined(public_workspace))
        return [finding.severity, finding.commands, "may not write" in finding.what]

    assert act(look) == ["error", [], True]


def test_a_running_conveyance_is_no_worry(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder that is alive on this host is named, and to be waited for; no command is advised."""
    interrupt(workspace, Operation.DELIVER, monkeypatch, Host())
    report = examined(workspace)
    finding = only_finding(report, "holder")
    assert (finding.severity, finding.commands, findings_of(report, "request")) == (Severity.INFO, (), [])
    assert f"pid {os.getpid()}" in finding.what


def test_a_holder_on_another_host_is_to_be_asked_about_there(workspace: Workspace) -> None:
    """It cannot be seen from here if it lives: look there first, unlock only if that host is gone."""
    claim(workspace, replace(Host().this_process(), host="elsewhere"))
    finding = only_finding(examined(workspace), "holder")
    assert finding.severity is Severity.WARNING
    assert "elsewhere" in finding.advice
    assert finding.commands == (f"conveyor doctor {workspace.metadata}", f"conveyor unlock {workspace.metadata}")


def test_a_request_that_changes_meanwhile_is_not_taken_for_interrupted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If two looks differ a conveyance was at work between them, and the state that was seen means nothing."""
    interrupt(workspace, Operation.DELIVER, monkeypatch)
    moments = count()

    def changing(*arguments: Any, **options: Any) -> Survey:
        return replace(survey(*arguments, **options), left_behind=(Path(str(next(moments))),))

    monkeypatch.setattr("conveyor.api.request_state.survey", changing)
    finding = request_of(examined(workspace))
    assert (finding.severity, finding.commands) == (Severity.INFO, (f"conveyor doctor {workspace.metadata}",))


def test_a_request_that_cannot_be_looked_at_stops_no_other(workspace: Workspace) -> None:
    """An I/O error in the middle of the look is told with the request, and the next one is looked at."""
    other = make_workspace(workspace.root, request="other")

    class Down(FileSystem):
        def lstat(self, folder: DirFd, name: str) -> Entry | None:
            if folder.path == other.spool and name == "products":
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder.path / name))
            return super().lstat(folder, name)

    report = examined(workspace, fs=Down(), metadata=(other.metadata, workspace.metadata))
    assert [one.severity for one in findings_of(report, "request")] == [Severity.ERROR, Severity.OK]


def test_a_claim_that_cannot_be_read_is_somebodys(workspace: Workspace) -> None:
    """A claim without a name is never taken for a dead one."""
    (workspace.spool / ".conveyor").mkdir()
    (workspace.spool / ".conveyor" / "claim.1").symlink_to("nonsense")
    assert only_finding(examined(workspace), "holder").severity is Severity.WARNING


def test_a_dead_holder_of_a_request_at_rest_is_told(workspace: Workspace) -> None:
    """Its claim is left, and needs nobody."""
    claim(workspace, DeadHost().this_process())
    report = examined(workspace)
    assert request_of(report).severity is Severity.OK
    assert only_finding(report, "holder").severity is Severity.INFO


def test_a_dead_holder_does_not_hide_a_living_one(workspace: Workspace) -> None:
    """Behind the claim of a dead one stands the one that counts."""
    claim(workspace, DeadHost().this_process())
    (workspace.spool / ".conveyor" / "claim.2").symlink_to(Holder(Host().this_process(), "now").text)
    assert "since now" in only_finding(examined(workspace), "holder").what


def test_a_broken_request_needs_a_person(workspace: Workspace) -> None:
    """A directory at both ends is an error with the refusal's reason, and shows both places."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    (workspace.spool / "working").unlink()
    shutil.copytree(workspace.qa / "working", workspace.spool / "working")
    finding = request_of(examined(workspace))
    assert finding.severity is Severity.ERROR
    assert "both ends" in finding.what
    assert finding.commands == (f"ls -la {workspace.spool}", f"ls -la {workspace.qa}")


def test_a_workflow_that_has_not_finished_is_no_error(workspace: Workspace) -> None:
    """A request that never went out and lacks a directory is not ready; one that was out before has lost it."""
    shutil.rmtree(workspace.spool / "working")
    assert request_of(examined(workspace)).severity is Severity.INFO
    (workspace.spool / ".conveyor").mkdir()
    assert request_of(examined(workspace)).severity is Severity.ERROR


def test_a_request_that_could_not_go_where_it_should_is_a_warning(workspace: Workspace) -> None:
    """A refusal of the next conveyance is reported before somebody tries."""
    workspace.qa.mkdir()
    (workspace.qa / "READY").write_text("somebody's own")
    finding = request_of(examined(workspace))
    assert finding.severity is Severity.WARNING
    assert "'deliver' would be refused" in finding.what


@pytest.mark.parametrize("lost", ["", HTML, f"{HTML}/index.html"])
def test_a_weblog_that_is_gone_in_qa_is_told_with_what_makes_it_again(workspace: Workspace, lost: str) -> None:
    """The command that the finding names puts the weblog in place, and then there is no finding."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert findings_of(examined(workspace), "weblog") == []
    path = workspace.weblog / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    finding = only_finding(examined(workspace), "weblog")
    assert finding.severity is Severity.WARNING
    assert str(workspace.weblog) in finding.what
    assert finding.commands == (f"conveyor deliver {workspace.metadata}",)
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert findings_of(examined(workspace), "weblog") == []


def test_files_left_in_a_qa_directory_are_reported(workspace: Workspace) -> None:
    """Files that an analyst put beside the directories are named."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert findings_of(examined(workspace), "left-over") == []
    (workspace.qa / "notes.txt").touch()
    assert "notes.txt" in only_finding(examined(workspace), "left-over").what


def test_metadata_that_cannot_be_read_is_an_error_and_stops_no_other(workspace: Workspace, tmp_path: Path) -> None:
    """A file that is missing or wrong is told, and the others are looked at."""
    (tmp_path / "wrong.json").write_text("[]")
    files = (tmp_path / "missing.json", tmp_path / "wrong.json", workspace.metadata)
    report = examined(workspace, metadata=files)
    assert [one.severity for one in findings_of(report, "request")] == [Severity.ERROR, Severity.ERROR, Severity.OK]
    assert str(tmp_path / "missing.json") == findings_of(report, "request")[0].subject


def test_without_names_every_claimed_request_of_the_spool_root_is_looked_at(workspace: Workspace) -> None:
    """Those of other workflows are passed over, those that cannot be read are told; with none at all that is said."""
    settings = {"spool_root": workspace.root / "spool"}
    make_workspace(workspace.root, request="download").write_metadata(workflowName="download")
    bad = make_workspace(workspace.root, request="bad")
    bad.metadata.write_text("{")
    report = examined(workspace, metadata=(), settings=settings)
    assert [one.subject for one in findings_of(report, "request")] == [
        str(bad.metadata),
        f"{workspace.request} (calibration)",
    ]
    for request in (workspace.spool, bad.spool):
        shutil.rmtree(request)
    assert only_finding(examined(workspace, metadata=(), settings=settings), "requests").severity is Severity.OK
    (workspace.root / "spool").rename(workspace.root / "elsewhere")
    assert "not looked at" in only_finding(examined(workspace, metadata=(), settings=settings), "requests").what


def test_commands_carry_the_options_and_awkward_names(workspace: Workspace) -> None:
    """An advised command can be pasted: options that were given are repeated, and names are quoted."""
    odd = replace(workspace, root=workspace.root.parent / "it's odd")
    workspace.root.rename(odd.root)
    odd.write_metadata()
    claim(odd, replace(Host().this_process(), host="elsewhere"))
    finding = only_finding(examined(odd, flags=("--qa-root", "/a b")), "holder")
    assert shlex.split(finding.commands[1]) == ["conveyor", "unlock", "--qa-root", "/a b", str(odd.metadata)]


@pytest.mark.parametrize("why", ["missing", "not mounted", "unmarked"])
def test_requests_of_an_area_that_is_out_of_reach_are_one_finding(workspace: Workspace, why: str) -> None:
    """One cause, one finding, that of the area: how many are out of reach, and how many wait."""
    for name in ("one", "two"):
        conveyor.deliver(make_workspace(workspace.root, request=name).metadata).raise_for_error()
    (workspace.root / "qa2").rename(workspace.root / "elsewhere")
    if why != "missing":
        (workspace.root / "qa2").mkdir()
    init_areas([workspace.root / "spool"])
    settings = {"spool_root": workspace.root / "spool", "require_area_marker": why == "unmarked"}
    report = examined(workspace, metadata=(), settings=settings, probe=False)
    finding = only_finding(report, "area-markers" if why == "unmarked" else "there", "qa2")
    assert finding.severity is Severity.ERROR
    assert finding.what.endswith(
        "; until then 2 requests in QA cannot be reached, 1 request in spool cannot be delivered"
    )
    assert [one for one in report.findings if one.severity is Severity.ERROR and one != finding] == [
        *findings_of(report, "area-markers", "image-qa") * (why == "unmarked")
    ]
    assert findings_of(report, "request") == []


def test_a_qa_folder_that_was_renamed_is_found_and_named_back(workspace: Workspace) -> None:
    """It is told where the folder is, in the request's place; the advised command makes all well."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    workspace.qa.rename(workspace.qa.with_name("it's done"))
    finding = only_finding(examined(workspace), "requests", workspace.request)
    assert finding.severity is Severity.ERROR
    assert findings_of(examined(workspace), "request") == []
    subprocess.run(finding.commands[0], shell=True, check=True)
    assert request_of(examined(workspace)).what == "in QA"


def test_a_copy_of_a_qa_folder_is_not_taken_for_it(workspace: Workspace) -> None:
    """Beside the original it changes nothing."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    shutil.copytree(workspace.qa, workspace.qa.with_name("copy"), symlinks=True)
    assert request_of(examined(workspace)).what == "in QA"


@pytest.mark.parametrize("lost", ["t1-1.html", "stage1/plot.png"])
def test_a_weblog_that_lost_files_is_told_and_unpacked_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """As after a cleaner that removes what is old: told while the request is in QA, and the advised command mends it."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert findings_of(examined(workspace), "weblog") == []
    (workspace.weblog / HTML / lost).unlink()
    finding = only_finding(examined(workspace), "weblog")
    assert finding.severity is Severity.WARNING
    assert perform(finding.commands[0], monkeypatch) == 0
    assert (workspace.weblog / HTML / lost).exists()
    assert findings_of(examined(workspace), "weblog") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_requests_of_a_spool_area_that_is_closed_are_one_finding(public_workspace: Workspace) -> None:
    """Those that are out are known by their QA folders, and counted."""
    conveyor.deliver(public_workspace.metadata).raise_for_error()
    act = as_nobody(public_workspace.root)
    spool = public_workspace.root / "spool"
    os.chown(spool, 0, 0)
    spool.chmod(0o700)

    def look() -> list[str]:
        report = examined(public_workspace, metadata=(), settings={"spool_root": spool})
        return [one.what for one in report.findings if one.severity is Severity.ERROR and one.subject == "spool"]

    [what] = act(look)
    assert what.endswith("; until then 1 request in QA cannot be looked at")
