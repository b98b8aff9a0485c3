"""Post scripts on a real pool: the node tells the truth, whatever becomes of its job, its script and its DAG."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.engine.claim import Holder
from conveyor.engine.host import Process
from support.dags import is_copying, snippets, wait_until
from support.verdicts import data_in
from support.workspace import DIRECTORIES

if TYPE_CHECKING:
    from support.dags import Dags
    from support.workspace import Workspace

ELSEWHERE = Holder(Process("elsewhere", "", "", "", 7, ""), "2026-11-24T03:00:00.000+00:00").text
POST = "conveyor post-script --return $RETURN --job $JOB --retry $RETRY --max-retries $MAX_RETRIES --unless-exit 100"


@pytest.fixture
def home(dags: Dags, workspace: Workspace) -> Workspace:
    """A request whose metadata lies beside the DAG."""
    (dags.folder / "metadata.json").symlink_to(workspace.metadata)
    return workspace


def log_of(workspace: Workspace) -> list[dict[str, Any]]:
    lines = (workspace.spool / ".conveyor" / "post-script.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def is_home(workspace: Workspace) -> bool:
    return not workspace.qa.exists() and all((workspace.spool / name).is_dir() for name in ("rawdata", "products"))


def is_delivered(workspace: Workspace) -> bool:
    return (workspace.qa / "READY").is_file()


@pytest.mark.parametrize("name", ["calibrate.dag", "apart.dag"])
def test_the_dags_of_the_page_deliver(dags: Dags, home: Workspace, name: str) -> None:
    """The documentation's DAGs, as they stand, deliver the request behind the job, one in a NOOP node."""
    dags.job("calibrate.sub")
    dag = dags.submit(name, snippets()[name])
    assert dag.wait() == 0
    assert is_delivered(home)
    assert log_of(home)[-1]["event"] == "deliver: the request is in-qa now"


def test_the_ingestion_of_the_page_brings_the_request_home(dags: Dags, home: Workspace) -> None:
    """The documentation's ingestion DAG retrieves a request that was delivered before its job runs."""
    dags.job("calibrate.sub")
    dags.job("ingest.sub", "/usr/bin/test", f"-d {home.spool}/products/folder -a ! -L {home.spool}/products")
    assert dags.submit("calibrate.dag", snippets()["calibrate.dag"]).wait() == 0
    assert dags.submit("ingest.dag", snippets()["ingest.dag"]).wait() == 0
    assert is_home(home)


@pytest.mark.parametrize(
    ("executable", "arguments", "code", "status"),
    [
        ("/bin/false", "", "job-failed", 101),
        ("/bin/sh", "-c 'kill -9 $$'", "job-killed", 102),
        (None, "", "job-not-submitted", 104),
    ],
)
def test_a_failed_job_fails_the_node_and_moves_nothing(
    dags: Dags, home: Workspace, executable: str | None, arguments: str, code: str, status: int
) -> None:
    """A job that fails, is killed, or cannot be submitted fails its node with the status that says so; nothing moves."""
    if executable is None:
        (dags.folder / "calibrate.sub").write_text("this is no submit file\nqueue\n")
    else:
        dags.job("calibrate.sub", executable, arguments)
    dag = dags.submit("failed.dag", f"JOB A calibrate.sub\nSCRIPT DEFER 75 3 POST A {POST} deliver metadata.json\n")
    assert dag.wait() == 1
    assert dag.status_of("A") == [status]
    assert is_home(home)
    assert log_of(home)[-1]["code"] == code


def test_a_job_that_is_removed_fails_the_node(dags: Dags, home: Workspace) -> None:
    """A job that somebody removes from the queue fails its node with 103, and nothing moves."""
    dags.job("calibrate.sub", "/bin/sleep", "600")
    dag = dags.submit("removed.dag", f"JOB A calibrate.sub\nSCRIPT POST A {POST} deliver metadata.json\n")
    running = ["-constraint", f"DAGManJobId == {dag.cluster} && JobStatus == 2", "-af", "ClusterId"]
    wait_until(lambda: dags.pool.run("condor_q", *running).strip(), "the job runs")
    dags.pool.run("condor_rm", dags.pool.run("condor_q", *running).strip())
    assert dag.wait() == 1
    assert (dag.status_of("A"), log_of(home)[-1]["code"]) == ([103], "job-removed")
    assert is_home(home)


def test_retries_stop_where_they_cannot_help(dags: Dags, home: Workspace) -> None:
    """A job that fails is tried again to the last retry; a conflict ends the retries at once, with 100."""
    dags.job("calibrate.sub", "/bin/false")
    text = f"JOB A calibrate.sub\nSCRIPT POST A {POST} deliver metadata.json\nRETRY A 2 UNLESS-EXIT 100\n"
    dag = dags.submit("retried.dag", text)
    assert dag.wait() == 1
    assert dag.status_of("A") == [101, 101, 101]
    assert [line["retry"] for line in log_of(home)] == [0, 1, 2]
    (home.qa / "products").mkdir(parents=True)
    dags.job("calibrate.sub", "/bin/true")
    dag = dags.submit("conflict.dag", text)
    assert dag.wait() == 1
    assert dag.status_of("A") == [100]
    assert log_of(home)[-1]["code"] == "conflict"


def test_a_held_request_defers_the_script(dags: Dags, home: Workspace) -> None:
    """While another conveyance holds the request, the script alone runs again and again; then it delivers."""
    inner = home.spool / ".conveyor"
    inner.mkdir()
    (inner / "claim.1").symlink_to(ELSEWHERE)
    dags.job("calibrate.sub", "/bin/sh", f"-c 'echo ran >> {dags.folder}/ran'")
    text = f"JOB A calibrate.sub\nSCRIPT DEFER 75 2 POST A {POST} deliver metadata.json\nRETRY A 2 UNLESS-EXIT 100\n"
    dag = dags.submit("held.dag", text)
    wait_until(
        lambda: (
            (inner / "post-script.jsonl").exists() and [one.get("code") for one in log_of(home)].count("locked") > 1
        ),
        "the script was deferred twice",
    )
    (inner / "claim.1").unlink()
    assert dag.wait() == 0
    assert is_delivered(home)
    assert (dags.folder / "ran").read_text() == "ran\n"


def test_a_noop_node_before_a_job(dags: Dags, home: Workspace) -> None:
    """A NOOP node with PRE and POST conveys there and back without a job."""
    dags.job("calibrate.sub", "/bin/false")
    text = (
        "JOB A calibrate.sub NOOP\n"
        "SCRIPT PRE A conveyor deliver --log-file pre.log metadata.json\n"
        f"SCRIPT POST A {POST} retrieve metadata.json\n"
    )
    assert dags.submit("noop.dag", text).wait() == 0
    assert is_home(home)
    assert log_of(home)[-1]["event"] == "retrieve: the request is in-spool now"


def test_output_beyond_what_dagman_takes(dags: Dags, home: Workspace) -> None:
    """With SCRIPT DEBUG, which breaks the pipe after 10 KiB, a talkative post script still delivers, with status 0."""
    for number in range(300):
        (home.spool / f"working{number}").mkdir()
    dags.job("calibrate.sub")
    config = dags.folder / "many.toml"
    names = ", ".join(f'"working{number}"' for number in range(300))
    config.write_text(
        f'[capabilities.many]\nworkflows = []\nqa_area = "qa2"\ndirectories = [{names}]\nweblog = false\n'
    )
    script = f"{POST} deliver -vv -c many --config many.toml metadata.json"
    text = f"JOB A calibrate.sub\nSCRIPT DEBUG post.out ALL POST A {script}\n"
    dag = dags.submit("debug.dag", text)
    assert dag.wait() == 0
    assert is_delivered(home)
    assert (dags.folder / "post.out").stat().st_size > 10_000


@pytest.mark.parametrize("how", ["condor_rm", "condor_hold"])
def test_a_post_script_that_is_killed_in_the_middle_of_a_copy_loses_nothing(
    dags: Dags, large: Workspace, how: str
) -> None:
    """condor_rm of the DAG, or a hold, kills the script while a directory is copied; run again, it delivers everything."""
    before = data_in(large.spool, DIRECTORIES)
    dags.job("calibrate.sub")
    options = f"--qa-root {large.qa_root} --weblog-cache {large.weblog.parent} {large.metadata}"
    name = "copied.dag"
    dag = dags.submit(name, f"JOB A calibrate.sub\nSCRIPT DEFER 75 2 POST A {POST} deliver {options}\n")
    wait_until(lambda: is_copying(large), "a directory is being copied")
    dags.pool.run(how, dag.cluster)
    if how == "condor_rm":
        wait_until(lambda: dag.is_over, "the DAG is gone")
        assert not (large.qa / "READY").exists()
        dag = dags.submit(name)
    else:
        wait_until(lambda: dags.pool.run("condor_q", dag.cluster, "-af", "JobStatus").strip() == "5", "it is held")
        assert not (large.qa / "READY").exists()
        dag.release()
    assert dag.wait() == 0
    assert data_in(large.qa, DIRECTORIES) == before
    assert log_of(large)[-1]["event"] == "deliver: the request is in-qa now"
