"""The DAG that is written, and what its nodes do, without a pool."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conveyor import ConveyorError, Operation, convey_all, deliver, load_config
from conveyor.api.runners import Batch
from conveyor.documents.codec import dump, load, validate
from conveyor.documents.request_documents import RequestEntry
from conveyor.engine.claim import Holder
from conveyor.engine.context import Environment
from conveyor.engine.host import Process
from conveyor.errors import ConfigurationError, IoFailedError
from conveyor.filesystem.posix import FileSystem
from conveyor.htcondor.dag import Throttle, draft
from conveyor.htcondor.dag_folder import DagFolder, outcome_of
from conveyor.htcondor.node import end_node, run_node, summary
from conveyor.htcondor.post_script import JobResult
from support.inventory import inventory
from support.workspace import make_workspace

if TYPE_CHECKING:
    from conveyor import Outcome
    from support.workspace import Workspace

PROGRAM = Path(sys.executable).with_name("conveyor")
ELSEWHERE = Holder(Process("elsewhere", "", "", "", 7, ""), "2026-11-24T03:00:00.000+00:00").text


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def entry_of(outcome: Outcome) -> RequestEntry:
    """An outcome as a node writes it down and another process reads it."""
    return load(RequestEntry, dump(validate(RequestEntry, vars(outcome))))


def order_of(*requests: Workspace, operation: Operation = Operation.DELIVER) -> Batch:
    return Batch(operation, tuple(one.metadata for one in requests), None, load_config(), Environment())


@pytest.fixture
def folder(workspace: Workspace, tmp_path: Path) -> DagFolder:
    """A DAG of one request, in the folder ``dag``."""
    return draft(order_of(workspace), tmp_path / "dag").write(Throttle())


def test_a_request_has_a_node_and_one_that_is_done_has_none(tmp_path: Path) -> None:
    """Each request that is still to be delivered has its lines; one that is done is in the manifest only."""
    requests = [make_workspace(tmp_path / "ws", request=name) for name in ("one", "two", "done", "a b'c")]
    assert run("deliver", requests[2].metadata).returncode == 0
    before = inventory(tmp_path / "ws")
    files = [one.metadata for one in requests]
    done = run("dag", "deliver", "--output", "dag", "--max-jobs", 2, "--retries", 5, "--wait", 30, *files)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 to deliver, 1 done already")
    lines = (tmp_path / "dag" / "conveyor.dag").read_text().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("JOB ")] == ["0001-one", "0002-two", "0004"]
    python = f"{sys.executable} -P -m conveyor dag"
    assert [line for line in lines if "0001-one" in line] == [
        f"JOB 0001-one request.sub DIR {tmp_path}/dag",
        'VARS 0001-one node="0001-one"',
        "CATEGORY 0001-one qa2-rename",
        f"SCRIPT DEFER 75 30 POST 0001-one {python} end-node 0001-one --return $RETURN --wait 30",
        "RETRY 0001-one 5 UNLESS-EXIT 100",
    ]
    assert "MAXJOBS qa2-rename 2" in lines
    assert f"FINAL summary request.sub DIR {tmp_path}/dag NOOP" in lines
    manifest = json.loads((tmp_path / "dag" / "dag.json").read_text())
    assert [one["node"] for one in manifest["requests"]] == ["0001-one", "0002-two", None, "0004"]
    assert inventory(tmp_path / "ws") == before


def test_a_path_need_not_be_utf8(workspace: Workspace, tmp_path: Path) -> None:
    """A metadata file and a DAG's folder whose names are not UTF-8 are written, and read again."""
    metadata = Path(os.fsdecode(os.fsencode(tmp_path) + b"/metadata \xff.json"))
    metadata.symlink_to(workspace.metadata)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/dag\xfe"))
    batch = Batch(Operation.DELIVER, (metadata,), None, load_config(), Environment())
    folder = draft(batch, path).write(Throttle())
    assert DagFolder.read(path).nodes == folder.nodes
    assert run_node(DagFolder.read(path), f"0001-{workspace.request}").ok
    assert summary(DagFolder.read(path), 0)[1] == 0


def test_copies_are_a_category_of_their_own(tmp_path: Path, memory_folder: Path) -> None:
    """What has to be copied to another file system is throttled apart from what is renamed."""
    far = make_workspace(tmp_path / "ws", request="far", qa_root=memory_folder)
    run("dag", "deliver", "--output", "dag", "--qa-root", memory_folder, far.metadata)
    assert "CATEGORY 0001-far qa2-copy" in (tmp_path / "dag" / "conveyor.dag").read_text()


def test_nothing_to_do_is_no_dag(workspace: Workspace, tmp_path: Path) -> None:
    """Where every request is done already no folder is made."""
    done = run("dag", "retrieve", "--output", "dag", workspace.metadata)
    assert (done.returncode, done.stdout) == (0, "nothing to retrieve, 1 done already: no DAG is written\n")
    assert not (tmp_path / "dag").exists()


def test_what_dagman_cannot_name_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    """A folder with a space in its name, or one that is there already, is refused, and nothing is written."""
    assert run("dag", "deliver", "--output", "a dag", workspace.metadata).returncode == 78
    (tmp_path / "taken").mkdir()
    assert run("dag", "deliver", "--output", "taken", workspace.metadata).returncode == 73
    assert list((tmp_path / "taken").iterdir()) == []
    assert not (tmp_path / "a dag").exists()


@pytest.mark.parametrize(
    ("letter", "says"),
    [
        (" ", "a space"),
        ("\t", "a tab"),
        ("\n", "a line break"),
        ("$", "a dollar sign"),
        ('"', "a quotation mark"),
        ("'", "an apostrophe"),
        ("\\", "a backslash"),
    ],
)
def test_the_character_that_dagman_cannot_have_is_named(
    workspace: Workspace, tmp_path: Path, letter: str, says: str
) -> None:
    """The refusal says which character of the path it is about, and no other."""
    with pytest.raises(ConfigurationError, match=f"DAGMan cannot have {says} in a path"):
        draft(order_of(workspace), tmp_path / f"a{letter}dag")


@pytest.mark.parametrize("delivered", [False, True])
def test_a_dag_in_what_is_conveyed_is_refused(workspace: Workspace, tmp_path: Path, delivered: bool) -> None:
    """A folder in a directory of a request, at either end and by any path, or in a QA area, is refused before it is made."""
    other = make_workspace(workspace.root, request="other")
    (tmp_path / "link").symlink_to(workspace.spool / "working")
    if delivered:
        deliver(workspace.metadata).raise_for_error()
    operation = Operation.RETRIEVE if delivered else Operation.DELIVER
    (workspace.root / "qa2" / "third").mkdir()
    for place in (
        workspace.spool / "working" / "dag",
        workspace.spool / "products" / "folder" / "dag",
        workspace.spool / "rawdata",
        tmp_path / "link" / "dag",
        other.spool / "working" / "dag",
        workspace.root / "qa2" / "third" / "dag",
        workspace.root / "qa2" / "dag",
        workspace.qa / "dag",
    ):
        with pytest.raises(ConfigurationError, match="in a directory of a request"):
            draft(order_of(workspace, operation=operation), place)
    for place in (workspace.spool / "dag", workspace.root / "dag", workspace.root / "working" / "dag"):
        assert draft(order_of(workspace, operation=operation), place).nodes == 1


def test_what_a_dag_is_to_be_made_in_has_to_be_there(workspace: Workspace, tmp_path: Path) -> None:
    """A missing directory, and a file in its place, are said with the directory, and are no errors of a disk."""
    (tmp_path / "file").touch()
    for place in ("gone/dag", "file/dag"):
        done = run("dag", "deliver", "--output", place, workspace.metadata)
        assert (done.returncode, f"there is no directory {tmp_path / place.partition('/')[0]}" in done.stderr) == (
            78,
            True,
        )


def test_in_a_working_directory_that_is_gone(workspace: Workspace, tmp_path: Path) -> None:
    """Nothing prints a traceback there: what needs the directory ends with 78 and a way out, the rest works."""
    gone = tmp_path / "gone"
    pool = "import sys, types; sys.modules['htcondor2'] = types.SimpleNamespace(Schedd=object, HTCondorException=OSError); "
    script = pool + "sys.argv[0] = 'conveyor'; from conveyor.cli.main import run; run()"
    for arguments, status, says in (
        ([PROGRAM, "dag", "deliver", "--output", "dag", workspace.metadata], 78, "the working directory is gone"),
        ([sys.executable, "-c", script, "deliver", "--runner", "htcondor", workspace.metadata], 78, "set dag_folder"),
        ([PROGRAM, "deliver", "--spool-root", "spool", workspace.metadata], 78, "--spool-root spool is relative"),
        ([PROGRAM, "deliver", "metadata.json"], 66, "there is no metadata file"),
        ([PROGRAM, "status", os.path.relpath(workspace.metadata, gone)], 78, "the working directory is gone"),
        ([PROGRAM, "doctor", "metadata.json"], 78, "the working directory is gone"),
        ([PROGRAM, "dag", "summary"], 78, "the working directory is gone"),
        ([PROGRAM, "deliver", workspace.metadata, workspace.metadata], 0, ""),
        ([PROGRAM, "retrieve", workspace.metadata], 0, ""),
    ):
        gone.mkdir()
        command = ["sh", "-c", 'rmdir "$0" && exec "$@"', *map(str, [gone, *arguments])]
        done = subprocess.run(command, cwd=gone, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_a_node_knows_its_settings(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node has the settings that held when the DAG was written, in whatever environment it runs."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "qa2").mkdir(parents=True)
    monkeypatch.setenv("CONVEYOR_QA_ROOT", str(elsewhere))
    assert run("dag", "deliver", "--output", "dag", workspace.metadata).returncode == 0
    monkeypatch.delenv("CONVEYOR_QA_ROOT")
    name = f"0001-{workspace.request}"
    done = run("dag", "run-node", name, cwd=tmp_path / "dag")
    assert done.returncode == 0
    assert '"write READY"' in done.stderr
    assert (elsewhere / "qa2" / workspace.request / "READY").is_file()
    assert run("dag", "end-node", name, "--return", 0, cwd=tmp_path / "dag").returncode == 0
    done = run("dag", "summary", "--failed", 0, cwd=tmp_path / "dag")
    assert (done.returncode, "delivered to" in done.stdout) == (0, True)


def test_a_refusal_ends_the_retries(workspace: Workspace, folder: DagFolder, tmp_path: Path) -> None:
    """A conflict in the job makes the node end with 100; the summary has its own code, and is never 0."""
    (workspace.qa / "products").mkdir(parents=True)
    [name] = [node.name for node in folder.nodes]
    assert name is not None
    assert run("dag", "run-node", name, cwd=folder.path).returncode == 73
    assert run("dag", "end-node", name, "--return", 73, cwd=folder.path).returncode == 100
    done = run("dag", "summary", folder.path, "--failed", 1, cwd=tmp_path)
    assert done.returncode == 73
    assert json.loads((folder.path / "summary.json").read_text())["requests"][0]["error"]["code"] == "conflict"


def test_an_io_error_is_tried_again(workspace: Workspace, folder: DagFolder) -> None:
    """A job that ended by an I/O error is retried: its node ends with 74."""
    [node] = folder.nodes
    assert node.name is not None
    outcome = deliver(workspace.metadata, dry_run=True)
    failed = outcome_of("deliver", entry_of(replace(outcome, error=IoFailedError("m"))))
    folder.save(node, failed, FileSystem())
    assert end_node(folder, node.name, JobResult(74), 1) == 74


def test_a_held_request_is_waited_for(workspace: Workspace, folder: DagFolder) -> None:
    """While the request is held, and a while after the last try, the node waits with 75; then the job is to run again."""
    [node] = folder.nodes
    assert node.name is not None
    (workspace.spool / ".conveyor").mkdir()
    claim = workspace.spool / ".conveyor" / "claim.1"
    claim.symlink_to(ELSEWHERE)
    assert run_node(folder, node.name).error is not None
    result = folder.path / "results" / f"{node.name}.json"
    assert end_node(folder, node.name, JobResult(75), 60) == 75
    os.utime(result, (1, 1))
    assert end_node(folder, node.name, JobResult(75), 60) == 75
    claim.unlink()
    assert end_node(folder, node.name, JobResult(75), 60) == 101


@pytest.mark.parametrize(
    ("returned", "status", "code"),
    [(-9, 102, "job-killed"), (-1002, 100, "job-removed"), (-1001, 100, "job-not-submitted"), (1, 101, "job-failed")],
)
def test_a_job_without_a_result_is_told(folder: DagFolder, returned: int, status: int, code: str) -> None:
    """A job that was killed, removed or never ran has an outcome that says so, and where the request is."""
    [node] = folder.nodes
    assert node.name is not None
    assert end_node(folder, node.name, JobResult(returned), 60) == status
    [outcome], total = summary(folder, 1)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.state, outcome.command) == (code, "in-spool", "deliver")
    assert total == outcome.error.exit_code


def test_a_result_that_is_not_seen_is_looked_for(workspace: Workspace, folder: DagFolder) -> None:
    """Where a job succeeded and its result is not to be seen, the request itself is looked at: done, or tried again."""
    [node] = folder.nodes
    assert node.name is not None
    assert end_node(folder, node.name, JobResult(0), 60) == 101
    assert deliver(workspace.metadata).ok
    assert end_node(folder, node.name, JobResult(0), 60) == 0
    [outcome], status = summary(folder, 0)
    assert (outcome.state, outcome.error, status) == ("in-qa", None, 0)


def test_status_does_without_a_pool(workspace: Workspace, tmp_path: Path) -> None:
    """Where no pool can be asked, status says so and tells everything else."""
    done = run("status", "--runner", "htcondor", workspace.metadata)
    assert (done.returncode, "in-spool" in done.stdout) == (0, True)
    assert "the pool cannot be asked" in done.stderr


def test_an_old_result_is_not_taken_for_a_new_one(workspace: Workspace, folder: DagFolder) -> None:
    """What came of an earlier try is not what came of a job that was killed."""
    [node] = folder.nodes
    assert node.name is not None
    (workspace.qa / "products").mkdir(parents=True)
    run_node(folder, node.name)
    shutil.rmtree(workspace.qa)
    assert end_node(folder, node.name, JobResult(-9), 60) == 102
    [outcome] = folder.outcomes()
    assert outcome.error is not None
    assert outcome.error.code == "job-killed"


def test_the_last_node_hides_no_failure(folder: DagFolder) -> None:
    """Nodes that never ran are told as interrupted; and where DAGMan counts failures the status is never 0."""
    outcomes, status = summary(folder, 0)
    assert [one.error and one.error.code for one in outcomes] == ["interrupted"]
    assert status == 75
    [node] = folder.nodes
    assert node.name is not None
    run_node(folder, node.name)
    assert summary(folder, 0)[1] == 0
    assert summary(folder, 1)[1] == 1


def test_what_is_no_dag_is_refused(tmp_path: Path, folder: DagFolder) -> None:
    """A folder without a manifest, one with another's, and a node that is not there are configuration errors."""
    for content in (None, "{}", '{"schema": "other"}', "no json"):
        if content is not None:
            (tmp_path / "dag.json").write_text(content)
        with pytest.raises(ConfigurationError):
            DagFolder.read(tmp_path)
    with pytest.raises(ConfigurationError):
        DagFolder.read(folder.path).node("0002")
    assert DagFolder.read(folder.path).nodes == folder.nodes
    assert DagFolder.read(folder.path).config.values == folder.config.values


def test_an_outcome_survives_its_document(workspace: Workspace) -> None:
    """What a document tells of an outcome is all there is in it, for done, planned and failed ones."""
    planned = deliver(workspace.metadata, dry_run=True)
    done = deliver(workspace.metadata)
    (workspace.qa / "READY").unlink()
    shutil.rmtree(workspace.qa / "products")
    failed = deliver(workspace.metadata)
    for outcome in (planned, done, failed):
        again = outcome_of("deliver", entry_of(outcome))
        assert entry_of(again) == entry_of(outcome)
        assert (again.already, [one.meaning for one in again.steps]) == (
            outcome.already,
            [one.meaning for one in outcome.steps],
        )
        assert type(again.error) is type(outcome.error)


def test_a_step_of_a_package_survives_where_it_is_not_installed(workspace: Workspace) -> None:
    """A step that this process does not know is kept by its name; an error that it does not know is no outcome."""
    entry = entry_of(deliver(workspace.metadata, dry_run=True))
    entry["steps"].append({"step": "checksum", "subject": "rawdata", "outcome": "done", "detail": ""})
    step = outcome_of("deliver", entry).steps[-1]
    assert (step.step, step.subject, step.meaning, step.outcome) == ("checksum", "rawdata", "checksum", "done")
    entry["error"] = {"code": "of-tomorrow", "message": "m", "hint": "h"}
    with pytest.raises(ValueError, match="of-tomorrow"):
        outcome_of("deliver", entry)


def test_another_engine_may_convey(workspace: Workspace) -> None:
    """convey_all hands its order to the engine that it is given, but makes a dry run here."""
    orders: list[Batch] = []

    class Refusing:
        def convey(self, batch: Batch) -> list[object]:
            orders.append(batch)
            raise IoFailedError("no")

    with pytest.raises(ConveyorError):
        convey_all(Operation.DELIVER, [workspace.metadata], runner=Refusing())  # type: ignore[arg-type]  # gives no outcomes
    assert orders[0].metadata == (workspace.metadata,)
    [planned] = convey_all(Operation.DELIVER, [workspace.metadata], runner=Refusing(), dry_run=True)  # type: ignore[arg-type]  # as above
    assert planned.ok
    assert len(orders) == 1


def test_the_bindings_are_asked_for_where_they_are_used(workspace: Workspace) -> None:
    """Without the bindings --runner htcondor ends with 78 and says what to install; nothing else imports them."""
    missing = "import sys; sys.modules['htcondor2'] = None; sys.argv[0] = 'conveyor'; "
    script = missing + "from conveyor.cli.main import run; run()"
    command = [sys.executable, "-c", script, "deliver", "--runner"]
    done = subprocess.run([*command, "htcondor", workspace.metadata], capture_output=True, text=True, check=False)
    assert (done.returncode, "pip install 'conveyor[htcondor]'" in done.stderr) == (78, True)
    assert subprocess.run([*command, "local", workspace.metadata], check=False).returncode == 0
    imported = "import sys, atexit; atexit.register(lambda: print(*sys.modules)); sys.argv[0] = 'conveyor'; "
    command = [sys.executable, "-c", imported + "from conveyor.cli.main import run; run()", "status"]
    done = subprocess.run([*command, workspace.metadata], capture_output=True, text=True, check=True)
    assert "conveyor.engine.survey" in done.stdout
    assert not [name for name in done.stdout.split() if "htcondor" in name]
