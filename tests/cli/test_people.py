"""What people say of requests on the command line, and how they name them."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import conveyor
from conveyor import ConveyorError, State
from conveyor.api.overview import overview
from conveyor.cli.main import main
from conveyor.layout import HISTORY, META_DIR
from conveyor.request.naming import metadata_file
from conveyor.settings.model import Settings
from conveyor.settings.sources import Config
from support.workspace import make_workspace

if TYPE_CHECKING:
    from click.testing import Result

    from support.workspace import Workspace

ME = pwd.getpwuid(os.geteuid()).pw_name


def run(workspace: Workspace, *arguments: object, given: str | None = None) -> Result:
    spool = str(workspace.root / "spool")
    return CliRunner().invoke(main, [*map(str, arguments), "--spool-root", spool], input=given)


def history(workspace: Workspace) -> list[dict[str, Any]]:
    lines = (workspace.spool / ".conveyor/history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def entry(workspace: Workspace) -> Any:
    config = Config(Settings(spool_root=workspace.root / "spool"), {}, None)
    return next(one for one in overview(config).entries if one.name == workspace.request)


def test_a_verdict_that_a_request_passed(workspace: Workspace) -> None:
    """`pass` keeps who, when and why, moves nothing, and is seen by the overview; the next delivery begins with none."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    done = run(workspace, "pass", workspace.request, "-m", "fine")
    assert (done.exit_code, "passed its QA" in done.output) == (0, True), done.output
    assert conveyor.status(workspace.metadata)[0].state is State.IN_QA
    seen = entry(workspace)
    assert (seen.verdict.verdict, seen.verdict.by, seen.verdict.reason) == ("pass", ME, "fine")
    [line] = [one for one in history(workspace) if one.get("event") == "verdict"]
    assert (line["command"], line["outcome"], line["account"], line["reason"]) == ("pass", "pass", ME, "fine")
    conveyor.retrieve(workspace.metadata).raise_for_error()
    assert entry(workspace).verdict is not None
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert entry(workspace).verdict is None


def test_pass_may_carry_home(workspace: Workspace) -> None:
    """With --retrieve a request that passed is brought home at once; a dry run says what would be, and does nothing."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert "would be recorded" in run(workspace, "pass", "-n", "--retrieve", workspace.request).output
    assert not (workspace.spool / ".conveyor/qa.json").exists()
    assert run(workspace, "pass", "--retrieve", workspace.request).exit_code == 0
    assert conveyor.status(workspace.metadata)[0].state is State.IN_SPOOL
    assert entry(workspace).verdict.verdict == "pass"


@pytest.mark.parametrize("command", ["fail", "qa-fail"])
def test_a_verdict_that_a_request_failed(workspace: Workspace, command: str) -> None:
    """Both names carry the request home, and keep who, when and why; a verdict on what is home is refused with 66."""
    assert run(workspace, command, workspace.request, "-m", "flux off").exit_code == 66
    assert run(workspace, "pass", workspace.request).exit_code == 66
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert run(workspace, command, workspace.request, "-m", "flux off").exit_code == 0
    seen = entry(workspace)
    assert (seen.state, seen.verdict.verdict, seen.verdict.reason) == (State.IN_SPOOL, "fail", "flux off")
    assert (workspace.spool / ".conveyor/qa-fail.json").is_file()
    assert [one["error"] for one in history(workspace) if one.get("event") == "refused"][:1] == ["not-in-qa"]


def test_assignments_and_notes(workspace: Workspace) -> None:
    """An assignment and a note are kept wherever the request is, and an empty one is refused with 2."""
    assert run(workspace, "assign", workspace.request, "da02").exit_code == 0
    document = json.loads(run(workspace, "note", workspace.request, "spw 7", "--json").output)
    assert (document["command"], document["ok"]) == ("note", True)
    assert (entry(workspace).assigned.to, entry(workspace).assigned.by) == ("da02", ME)
    kept = json.loads((workspace.spool / ".conveyor/qa.json").read_text())
    assert [(one["text"], one["by"]) for one in kept["notes"]] == [("spw 7", ME)]
    empty = run(workspace, "note", workspace.request, " ").exception
    assert isinstance(empty, ConveyorError)
    assert empty.exit_code == 2


def test_nothing_that_people_write_moves_the_cursor(workspace: Workspace) -> None:
    """Words and names of files may have anything: each line stays one, and none sets a colour."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    (workspace.qa / "\x1b[31mnote\nhome").touch()
    assert run(workspace, "note", workspace.request, "a\x1b[2Jb\nc").exit_code == 0
    commands = (["history"], ["status"], ["retrieve", "-v", "--log-format", "console"])
    shown = "".join(run(workspace, *command, workspace.request).output for command in commands)
    assert "\x1b" not in shown
    assert r'"a\x1b[2Jb\nc"' in shown
    assert shown.count(r"\x1b[31mnote\nhome") >= 2  # by the status, and by the retrieval, once or in its log too


def test_a_request_is_named_by_whatever_leads_to_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, its folder at either end, READY, and lists of them all mean the same metadata file."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    spool = workspace.root / "spool"
    for named in (workspace.request, workspace.spool, workspace.qa, workspace.qa / "READY", workspace.metadata):
        assert metadata_file(str(named), spool) == workspace.metadata
    (workspace.qa / "READY").unlink()
    renamed = workspace.qa.rename(workspace.qa.with_name("done"))
    assert metadata_file(str(renamed), spool) == workspace.metadata
    renamed.rename(workspace.qa)
    monkeypatch.chdir(workspace.qa)
    assert metadata_file(".", None) == workspace.metadata
    names = Path("names")
    names.write_text(f"{workspace.request}\n")
    for arguments, given in ((["-"], str(names.read_text())), (["--from-file", names.resolve()], None)):
        done = run(workspace, "retrieve", "-n", *arguments, given=given)
        assert (done.exit_code, workspace.request in done.output) == (0, True), done.output


def test_names_that_mean_nothing_or_two(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown name is refused with those that begin so; one that may mean two with both; a glob says that it is one."""
    other = make_workspace(workspace.root.parent / "other", request=workspace.request)
    monkeypatch.chdir(other.root / "spool")
    spool = workspace.root / "spool"
    with pytest.raises(ConveyorError, match="may mean") as two:
        metadata_file(workspace.request, spool)
    assert two.value.exit_code == 65
    with pytest.raises(ConveyorError, match="there is no request") as unknown:
        metadata_file(workspace.request[:5], spool)
    assert workspace.request in unknown.value.hint
    glob = conveyor.status(metadata_file("nothing/*/metadata.json", spool))[0].error
    assert glob is not None
    assert (glob.exit_code, "pattern of the shell" in glob.hint) == (66, True)


def test_the_history_and_the_report(workspace: Workspace) -> None:
    """Both tell of a delivery, a refusal and a verdict: who, what came of it, and why."""
    assert run(workspace, "pass", workspace.request).exit_code == 66
    conveyor.deliver(workspace.metadata).raise_for_error()
    run(workspace, "fail", workspace.request, "-m", "flux off")
    shown = run(workspace, "history", workspace.request)
    assert (shown.exit_code, f"{ME}@" in shown.output, '"flux off"' in shown.output) == (0, True, True)
    document = json.loads(run(workspace, "history", "--json", workspace.request).output)
    said = [(one["command"], one["outcome"]) for one in document["runs"]]
    assert sorted(said) == [("deliver", "done"), ("pass", "refused"), ("qa-fail", "done"), ("qa-fail", "fail")]
    found = json.loads(run(workspace, "report", "--since", "1h", "--json").output)["report"]
    assert (found["delivered"], found["failed"], found["refused"]) == (1, 1, {"not-in-qa": 1})
    assert found["turnaround"]["count"] == 1
    table = run(workspace, "report", "--csv").output.splitlines()
    assert (table[0], table[1].split(",")[1:]) == ("date,delivered,passed,failed,refused", ["1", "0", "1", "1"])
    assert "worst" in run(workspace, "report").output


@pytest.mark.parametrize(
    "damage",
    [
        {"time": "2026-11-28T10:00:00Zjunk"},
        {"time": "2026-11-28"},
        {"time": "9999-12-31T23:59:59-14:00"},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
    ],
    ids=lambda damage: str(*damage.values()),
)
def test_a_line_that_says_no_time_is_passed_over(workspace: Workspace, damage: dict[str, Any]) -> None:
    """It ends neither the report, of whatever length, nor the history, the status and the metrics, which tell the rest."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    history = workspace.spool / META_DIR / HISTORY
    end = json.loads(history.read_text().splitlines()[-1])
    with history.open("a") as file:
        file.write(json.dumps({**end, "run": "x", **damage}) + "\n")
    found = json.loads(run(workspace, "report", "--since", "999999999w", "--json").output)["report"]
    assert (found["delivered"], found["since"]) == (1, "1970-01-01T00:00:00.000+00:00")
    for command in (["history", workspace.request], ["status", workspace.request], ["metrics"], ["report"]):
        assert run(workspace, *command).exit_code == 0


def test_what_was_interrupted_is_finished(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that was stopped half-way is rehearsed, then finished in its direction; then there is nothing left."""
    steps = iter(range(1000))
    conveyor.convey_all(conveyor.Operation.DELIVER, workspace.metadata, stop=lambda: next(steps) > 3)
    assert conveyor.status(workspace.metadata)[0].state is State.IN_TRANSIT
    rehearsed = run(workspace, "resume", "--all", "-n")
    assert (rehearsed.exit_code, "would do this" in rehearsed.output) == (0, True), rehearsed.output
    assert run(workspace, "resume", workspace.request).exit_code == 0
    assert conveyor.status(workspace.metadata)[0].state is State.IN_QA
    assert "nothing was interrupted" in run(workspace, "resume", "--all").output


def test_each_outcome_comes_and_a_sum(workspace: Workspace) -> None:
    """Of several requests each has its line, then there is one with the sum, also where some are refused."""
    other = make_workspace(workspace.root, request="other")
    conveyor.deliver(workspace.metadata).raise_for_error()
    done = run(workspace, "pass", workspace.request, other.request)
    assert done.exit_code == 66
    assert done.stdout.splitlines()[-1] == "1 passed, 1 refused"
