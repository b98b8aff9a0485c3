"""The JSON document of every command is the one that the documentation's schema describes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from conveyor.cli.main import run
from conveyor.engine.claim import Claim
from conveyor.engine.copy_progress import ProgressReporter
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.host import Host
from conveyor.engine.steps import STEPS
from conveyor.engine.survey import State
from conveyor.errors import tree
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import Totals
from conveyor.request.places import Places
from support.holders import holding
from support.workspace import make_workspace
from tools import json_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.workspace import Workspace

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SCHEMA = json.loads((REFERENCE / "conveyor-1.schema.json").read_text())


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs the program with ``--json``: the document, checked against the schema and the exit status."""

    def call(*arguments: str | Path) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["conveyor", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as ended:
            run()
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        assert document["exit_code"] == (ended.value.code or 0)
        assert document["ok"] == (document["exit_code"] == 0)
        return document

    return call


def test_the_schema_is_a_schema() -> None:
    """The schema itself is valid in its draft."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_made_from_the_types() -> None:
    """The file is what ``python -m tools.json_schema`` writes."""
    assert json_schema.FILE.read_text() == json_schema.text()


def test_the_schema_names_every_state() -> None:
    """The states of a request and of a directory are those of the engine."""
    request = SCHEMA["$defs"]["RequestEntry"]["properties"]
    states = {str(state) for state in State}
    assert set(request["directories"]["additionalProperties"]["enum"]) == states
    assert set(request["state"]["anyOf"][0]["enum"]) == states - {"missing"}


def test_the_example_of_the_reference_page_follows_the_schema() -> None:
    """What the page shows above the schema is a document of it."""
    _, _, rest = (REFERENCE / "json.md").read_text().partition("```json\n")
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(rest.partition("```")[0]))


def test_the_schema_names_every_error_code_exit_code_and_step() -> None:
    """What the code can say is in the schema, and nothing else is."""
    definitions = SCHEMA["$defs"]
    assert set(definitions["ErrorEntry"]["properties"]["code"]["enum"]) == {kind.code for kind in tree()}
    statuses = definitions["RequestsDocument"]["properties"]["exit_code"]["enum"]
    assert set(statuses) == {0, 1} | {kind.exit_code for kind in tree()}
    assert set(definitions["FailureDocument"]["properties"]["exit_code"]["enum"]) == set(statuses) - {0}
    steps = definitions["StepEntry"]["properties"]["step"]
    assert steps["type"] == "string"  # a capability may bring steps of its own
    assert set(steps["examples"]) == {step.name for step in STEPS}


def test_the_schema_is_strict() -> None:
    """A key that nobody documented fails the check."""
    document = {"schema": "conveyor/1", "command": "deliver", "ok": True, "exit_code": 0, "error": None}
    document |= {"dry_run": False, "requests": []}
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(document)
    assert not validator.is_valid(document | {"surprise": 1})
    assert not validator.is_valid(document | {"schema": "conveyor/2"})


def test_a_request_goes_out_and_home(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """Deliver, deliver again, status and retrieve: done, already, in QA, done."""
    (done,) = program("deliver", workspace.metadata)["requests"]
    assert (done["state"], done["changed"], done["error"]) == ("in-qa", True, None)
    assert (done["qa"], done["weblog"]) == (str(workspace.qa), str(workspace.weblog))
    assert {step["outcome"] for step in done["steps"]} <= {"done", "already"}
    (already,) = program("deliver", workspace.metadata)["requests"]
    assert (already["state"], already["changed"], already["steps"]) == ("in-qa", False, [])
    (now,) = program("status", workspace.metadata)["requests"]
    assert now["directories"] == {"rawdata": "in-qa", "products": "in-qa", "working": "in-qa"}
    (home,) = program("retrieve", workspace.metadata)["requests"]
    assert (home["state"], home["changed"]) == ("in-spool", True)


def test_a_qa_fail(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """A QA fail is a document of its own command, with the verdict among its steps."""
    program("deliver", workspace.metadata)
    (failed,) = program("qa-fail", workspace.metadata)["requests"]
    assert "record-verdict" in {step["step"] for step in failed["steps"]}


def test_a_dry_run(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """A dry run says so, and its steps are planned."""
    document = program("deliver", "--dry-run", workspace.metadata)
    assert document["dry_run"] is True
    (planned,) = document["requests"]
    assert {step["outcome"] for step in planned["steps"]} == {"planned"}
    assert (planned["state"], planned["changed"]) == ("in-spool", False)


def test_a_refusal(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """A refused delivery has its error in the request, and the state that is really there."""
    (workspace.qa / "products").mkdir(parents=True)
    document = program("deliver", workspace.metadata)
    (refused,) = document["requests"]
    assert (document["exit_code"], document["error"], refused["error"]["code"]) == (73, None, "conflict")
    assert (refused["state"], refused["changed"]) == ("broken", False)


def test_a_step_that_fails(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """A delivery that is refused by a step shows the step as failed."""
    (workspace.spool / "products" / "weblog.tgz").write_bytes(b"no tar")
    (refused,) = program("deliver", workspace.metadata)["requests"]
    assert refused["error"]["code"] == "weblog-damaged"
    assert [step["outcome"] for step in refused["steps"]] == ["failed"]


def test_users(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """Who has something open is listed, and with --exit-status that is an error (75); once it is closed, nobody is."""
    program("deliver", workspace.metadata)
    log = workspace.spool / "working" / "casa.log"
    log.touch()
    with holding("append", log) as process:
        (seen,) = program("users", workspace.metadata)["requests"]
        document = program("users", "--exit-status", workspace.metadata)
    [user] = seen["users"]
    assert (user["path"], user["kind"], user["writes"]) == (str(workspace.qa / "working" / "casa.log"), "file", True)
    assert (seen["state"], user["pid"]) == ("in-qa", process.pid)
    assert (document["exit_code"], document["requests"][0]["error"]["code"]) == (75, "in-use")
    assert program("users", "--exit-status", workspace.metadata)["requests"][0]["users"] == []
    workspace.metadata.unlink()
    (unknown,) = program("users", workspace.metadata)["requests"]
    assert (unknown["state"], unknown["users"], unknown["error"]["code"]) == (None, [], "metadata-missing")


def test_a_missing_directory(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """The status of a request that lost a directory is a document too."""
    shutil.rmtree(workspace.spool / "working")
    (lost,) = program("status", workspace.metadata)["requests"]
    assert (lost["state"], lost["directories"]["working"]) == ("broken", "missing")


def test_the_status_of_a_copy_that_runs(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """What a running conveyance left for whoever asks is in the status; without the conveyance it is not."""
    places = Places(workspace.request, workspace.spool, workspace.root / "qa2", workspace.root, relative_links=True)
    with Endpoints(FileSystem(), places) as endpoints, Claim(endpoints.spool, Host()) as claim:
        clock = iter((0.0, 0.0, 60.0, 60.0))
        reporter = ProgressReporter(
            endpoints.spool, workspace.request, claim.token, lambda *_: None, lambda: next(clock)
        )
        with reporter.about("rawdata"):
            reporter.tell("copy", Totals(0, 0), Totals(10, 6000))
            reporter.tell("copy", Totals(1, 600), Totals(10, 6000))
            (found,) = program("status", workspace.metadata)["requests"]
        claim.used = True
    wanted = {"directory": "rawdata", "phase": "copy", "files": 1, "bytes": 600, "total_files": 10, "rate": 10}
    assert {name: found["progress"][name] for name in wanted} == wanted
    assert found["progress"]["seconds_left"] == 540
    (free,) = program("status", workspace.metadata)["requests"]
    assert free["progress"] is None


def test_a_verification(program: Callable[..., dict[str, Any]], workspace: Workspace, memory_folder: Path) -> None:
    """What became of each directory is told by path, where it was copied; where it was moved, that."""
    program("deliver", workspace.metadata)
    (moved,) = program("verify", workspace.metadata)["requests"]
    assert {one["manifest"] for one in moved["verified"]} == {"none"}
    program("retrieve", workspace.metadata)
    (memory_folder / "qa2").mkdir()
    areas = ["--qa-root", memory_folder]
    program("deliver", *areas, workspace.metadata)
    (memory_folder / "qa2" / workspace.request / "products" / "qa_report.txt").write_text("PASS")
    (copied,) = program("verify", *areas, workspace.metadata)["requests"]
    assert [(one["directory"], one["new"]) for one in copied["verified"]] == [
        ("rawdata", []),
        ("products", ["qa_report.txt"]),
        ("working", []),
    ]
    assert {one["manifest"] for one in copied["verified"]} == {"whole"}


def test_an_unlocking(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """A claim that was given up is a change of the request; without one there is nothing to do."""
    (free,) = program("unlock", "--yes", workspace.metadata)["requests"]
    (workspace.spool / ".conveyor").mkdir()
    (workspace.spool / ".conveyor" / "claim.1").symlink_to("somebody")
    (held,) = program("unlock", workspace.metadata)["requests"]
    (unlocked,) = program("unlock", "--yes", workspace.metadata)["requests"]
    assert [(one["changed"], one["state"]) for one in (free, unlocked)] == [(False, "in-spool"), (True, "in-spool")]
    assert held["error"]["code"] == "locked"


def test_what_the_doctor_found(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """A healthy workspace and one with an error are documents; only the second has an error and its exit status."""
    document = program("doctor", workspace.metadata)
    assert (document["exit_code"], document["error"]) == (0, None)
    assert {one["group"] for one in document["findings"]} == {"host", "workspace", "trials", "requests", "litter"}
    shutil.rmtree(workspace.root / "qa2")
    document = program("doctor", workspace.metadata)
    assert (document["exit_code"], document["error"]["code"]) == (69, "unfit")
    assert "error" in {one["severity"] for one in document["findings"]}


@pytest.mark.parametrize("command", ["deliver", "retrieve", "qa-fail", "status", "verify", "unlock"])
def test_bad_metadata(program: Callable[..., dict[str, Any]], tmp_path: Path, command: str) -> None:
    """Metadata that cannot be read leaves what cannot be told null."""
    (tmp_path / "metadata.json").write_text("[]")
    document = program(command, tmp_path / "metadata.json")
    (bad,) = document["requests"]
    assert (document["exit_code"], bad["error"]["code"]) == (65, "metadata-invalid")
    assert (bad["request"], bad["capability"], bad["state"], bad["spool"]) == (None, None, None, None)


@pytest.mark.parametrize(
    "command",
    [
        *(
            "deliver",
            "retrieve",
            "qa-fail",
            "pass",
            "fail",
            "assign",
            "note",
            "status",
            "verify",
            "unlock",
            "post-script",
        ),
        *("dag", "doctor", "capabilities", "config", "demo", "notify"),
    ],
)
def test_a_usage_error(program: Callable[..., dict[str, Any]], command: str) -> None:
    """An unknown option is told as a document as well, whatever the command."""
    document = program(command, "--no-such-option")
    assert (document["command"], document["exit_code"]) == (command, 2)
    assert (document["error"]["code"], document["requests"]) == ("usage", [])


def test_a_usage_error_without_a_command(program: Callable[..., dict[str, Any]]) -> None:
    """Where no command can be told, it is null."""
    assert program("no-such-command")["command"] is None


@pytest.mark.parametrize("command", ["deliver", "status", "doctor", "capabilities", "config"])
def test_wrong_settings(
    program: Callable[..., dict[str, Any]], workspace: Workspace, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that does not exist is an early failure of every command."""
    monkeypatch.setenv("CONVEYOR_NO_SUCH_SETTING", "1")
    document = program(command, *([workspace.metadata] if command in ("deliver", "status") else []))
    assert (document["exit_code"], document["error"]["code"]) == (78, "configuration")


def test_several_requests_with_different_failures(program: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """One entry a metadata file, in their order; failures with different codes make the exit status 1."""
    good = make_workspace(tmp_path / "workspaces", request="good")
    refused = make_workspace(tmp_path / "workspaces", request="refused")
    shutil.rmtree(refused.spool / "working")
    (refused.qa / "products").mkdir(parents=True)
    document = program("deliver", refused.metadata, good.metadata, tmp_path / "missing.json")
    assert document["exit_code"] == 1
    assert [entry["error"] and entry["error"]["code"] for entry in document["requests"]] == [
        "conflict",
        None,
        "metadata-missing",
    ]


def test_several_requests_with_one_code(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """Where those that failed have one code in common, it is the exit status."""
    document = program("deliver", workspace.metadata, workspace.root / "missing.json", workspace.root / "gone.json")
    assert document["exit_code"] == 66


def test_the_status_of_a_spool_area(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """Without metadata files, status tells of every request in the spool root."""
    document = program("status", "--spool-root", workspace.root / "spool")
    assert [entry["request"] for entry in document["requests"]] == [workspace.request]


def test_the_capabilities(program: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """The listing has the built-in capabilities and those of the configuration file, with or without a weblog."""
    config = tmp_path / "conveyor.toml"
    config.write_text(
        '[capabilities.plain]\nworkflows = []\nqa_area = "qa2"\ndirectories = ["products"]\nweblog = false\n'
    )
    entries = {entry["name"]: entry for entry in program("capabilities", "--config", config)["capabilities"]}
    assert {"calibration", "imaging", "plain"} <= set(entries)
    assert (entries["plain"]["kind"], entries["plain"]["weblog"]) == ("configuration", None)


def test_the_settings(program: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """The settings have their values as JSON, and each its source."""
    config = tmp_path / "conveyor.toml"
    config.write_text('qa_root = "/somewhere"\n[capo]\n')
    document = program("config", "--config", config, "--links", "absolute")
    assert document["file"] == str(config)
    assert document["settings"]["qa_root"] == {
        "value": "/somewhere",
        "source": str(config),
        "meaning_of_none": "derived: beside the spool area",
    }
    links = document["settings"]["links"]
    assert (links["value"], links["source"]) == ("absolute", "flag")
    assert program("config")["file"] is None


def test_a_status_of_a_whole_workspace(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """It has what it does not show too."""
    document = program("status", "--spool-root", workspace.root / "spool")
    assert (len(document["requests"]), document["not_shown"]) == (1, {})


def test_areas_that_are_marked(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """Each has its path, its id, and whether it was marked now."""
    areas = program("init-area", workspace.root / "qa2")["areas"]
    assert [(one["path"], one["made"]) for one in areas] == [(str(workspace.root / "qa2"), True)]


def test_notices_that_are_sent_and_not(program: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """What came of each notice is in the document, and what could not be sent is its error; then nothing is left to do."""
    config = workspace.root / "conveyor.toml"
    receivers = '[receivers.a]\ncommand = "true"\n[receivers.b]\ncommand = "false"\n'
    config.write_text(f'spool_root = "{workspace.spool.parent}"\n{receivers}')
    program("deliver", "--config", config, workspace.metadata)
    document = program("notify", "--config", config)
    assert {one["receiver"]: one["outcome"] for one in document["notices"]} == {"a": "sent", "b": "later"}
    assert (document["error"]["code"], document["waiting"]) == ("not-notified", 1)
    document = program("notify", "--config", config)
    assert (document["ok"], document["notices"], document["waiting"]) == (True, [], 1)
