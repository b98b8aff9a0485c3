"""The DAGs that ``conveyor dag`` writes, on a real pool: killed, held, removed and submitted again, they lose nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.engine.claim import Holder
from conveyor.engine.host import Process
from support.dags import Dag, is_copying, wait_until
from support.verdicts import data_in
from support.workspace import DIRECTORIES, make_workspace

if TYPE_CHECKING:
    from support.dags import Dags
    from support.workspace import Workspace

PROGRAM = Path(sys.executable).with_name("conveyor")
ELSEWHERE = Holder(Process("elsewhere", "", "", "", 7, ""), "2026-11-24T03:00:00.000+00:00").text


def written(dags: Dags, operation: str, *arguments: object) -> str:
    """Let the program write a DAG into ``conveyances``; its path relative to the folder that DAGs are submitted from."""
    command = [str(PROGRAM), "dag", operation, "--output", str(dags.folder / "conveyances"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
    return "conveyances/conveyor.dag"


def summary_of(dags: Dags) -> dict[str, Any]:
    document = json.loads((dags.folder / "conveyances" / "summary.json").read_text())
    assert isinstance(document, dict)
    return document


def states_of(document: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """For each request its state, and the code of its error."""
    return {one["request"]: (one["state"], one["error"] and one["error"]["code"]) for one in document["requests"]}


def running_job(dag: Dag) -> str:
    """The id of a job of the DAG that runs; nothing while there is none."""
    constraint = f"DAGManJobId == {dag.cluster} && JobStatus == 2"
    return dag.pool.run("condor_q", "-constraint", constraint, "-af", "ClusterId").strip()


def options_for(workspace: Workspace) -> list[object]:
    return ["--qa-root", workspace.qa_root, "--weblog-cache", workspace.weblog.parent, workspace.metadata]


def test_a_failed_request_fails_the_dag_and_the_last_node_tells(dags: Dags, tmp_path: Path) -> None:
    """Of five requests one is done already and has no node, one is refused once and not again: FINAL runs, the DAG fails."""
    requests = [make_workspace(tmp_path / "ws", request=f"request{number}") for number in range(5)]
    subprocess.run([str(PROGRAM), "deliver", str(requests[0].metadata)], check=True, capture_output=True)
    (requests[3].qa / "products").mkdir(parents=True)
    name = written(dags, "deliver", *(one.metadata for one in requests))
    assert "request0" not in (dags.folder / name).read_text()
    dag = dags.submit(name)
    assert dag.wait() == 1
    [refused] = [dag.status_of(f"000{number}-request{number - 1}") for number in (4,)]
    assert refused == [100]
    document = summary_of(dags)
    assert document["exit_code"] == 73
    assert states_of(document) == {
        "request0": ("in-qa", None),
        "request1": ("in-qa", None),
        "request2": ("in-qa", None),
        "request3": ("broken", "conflict"),
        "request4": ("in-qa", None),
    }
    # What was in the way is taken away, and the same DAG, submitted again, is its rescue DAG.
    shutil.rmtree(requests[3].qa)
    assert dags.submit(name).wait() == 0
    assert summary_of(dags)["exit_code"] == 0
    assert all((one.qa / "READY").is_file() for one in requests)


def test_a_held_request_waits_without_a_job(dags: Dags, workspace: Workspace) -> None:
    """A job that finds its request held ends; the POST script waits, deferred, until it is free; then a job delivers."""
    inner = workspace.spool / ".conveyor"
    inner.mkdir()
    (inner / "claim.1").symlink_to(ELSEWHERE)
    dag = dags.submit(written(dags, "deliver", "--wait", 2, workspace.metadata))
    wait_until(lambda: dag.log.count("Deferring POST") > 1, "the POST script is deferred twice")
    assert not running_job(dag)
    (inner / "claim.1").unlink()
    assert dag.wait() == 0
    assert (workspace.qa / "READY").is_file()
    assert states_of(summary_of(dags)) == {workspace.request: ("in-qa", None)}


def test_a_dag_removed_in_the_middle_of_a_copy_loses_nothing(dags: Dags, large: Workspace) -> None:
    """condor_rm of the DAG while a directory is copied, then the rescue DAG: everything is in the QA area."""
    before = data_in(large.spool, DIRECTORIES)
    name = written(dags, "deliver", *options_for(large))
    dag = dags.submit(name)
    wait_until(lambda: is_copying(large), "a directory is being copied")
    dag.remove()
    wait_until(lambda: dag.is_over, "the DAG is gone")
    assert not (large.qa / "READY").exists()
    again = dags.submit(name)
    assert again.wait() == 0
    assert data_in(large.qa, DIRECTORIES) == before
    assert (large.qa / "READY").is_file()


@pytest.mark.parametrize("what", ["job", "dag"])
def test_a_hold_in_the_middle_of_a_copy_loses_nothing(dags: Dags, large: Workspace, what: str) -> None:
    """The job, or DAGMan itself, is held while a directory is copied, and released: everything is in the QA area."""
    before = data_in(large.spool, DIRECTORIES)
    dag = dags.submit(written(dags, "deliver", *options_for(large)))
    wait_until(lambda: is_copying(large), "a directory is being copied")
    held = str(dag.cluster) if what == "dag" else running_job(dag)
    dags.pool.run("condor_hold", held)
    if what == "job":
        # Not before its event is there: released sooner, it is put on hold when its last process has gone.
        wait_until(lambda: "ULOG_JOB_HELD" in dag.log, "the job is held")
        assert not (large.qa / "READY").exists()
    dags.pool.run("condor_release", held)
    assert dag.wait() == 0
    assert data_in(large.qa, DIRECTORIES) == before
    assert (large.qa / "READY").is_file()


def test_a_job_that_is_removed_is_not_tried_again(dags: Dags, large: Workspace) -> None:
    """A node's job that a person removes while it copies ends the node with 100; the rescue DAG brings the rest."""
    before = data_in(large.spool, DIRECTORIES)
    name = written(dags, "deliver", *options_for(large))
    dag = dags.submit(name)
    wait_until(lambda: is_copying(large), "a directory is being copied")
    dags.pool.run("condor_rm", running_job(dag))
    assert dag.wait() == 1
    assert dag.status_of(f"0001-{large.request}") == [100]
    assert states_of(summary_of(dags)) == {large.request: ("in-transit", "job-removed")}
    assert dags.submit(name).wait() == 0
    assert data_in(large.qa, DIRECTORIES) == before
