"""The post script: a request is conveyed behind a job that succeeded, and what became of one that failed is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.engine.claim import Holder
from conveyor.engine.host import Process
from conveyor.errors import ConveyorError, tree
from conveyor.htcondor.post_script import JobResult
from support.inventory import inventory
from support.workspace import make_workspace

if TYPE_CHECKING:
    from support.workspace import Workspace

PROGRAM = Path(sys.executable).with_name("conveyor")
# What DAGMan leaves of the environment, and what coverage is measured by.
BARE = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "LANG": "C", "_CONDOR_JOB_PIDS": "", "CONDOR_ID": "12.0"}
BARE |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
FAILED = [
    (1, 101, "job-failed", "ended with status 1"),
    (75, 101, "job-failed", "ended with status 75"),
    (-9, 102, "job-killed", "signal 9 (SIGKILL)"),
    (-40, 102, "job-killed", "signal 40"),
    (-1002, 103, "job-removed", "removed"),
    (-1001, 104, "job-not-submitted", "could not be submitted"),
    (-1004, 105, "job-not-started", "PRE script failed"),
    (-1003, 101, "job-failed", "DAGMan says -1003"),
]


def post_script(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program as DAGMan runs a script."""
    command = [str(PROGRAM), "post-script", *map(str, arguments)]
    return subprocess.run(
        command, env=BARE, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def log_of(workspace: Workspace) -> list[dict[str, Any]]:
    """The lines of the request's own log."""
    lines = (workspace.spool / ".conveyor" / "post-script.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(("returned", "status", "code", "says"), FAILED, ids=str)
def test_behind_a_failed_job_nothing_is_conveyed(
    workspace: Workspace, returned: int, status: int, code: str, says: str
) -> None:
    """Whatever way the job failed, the request stays as it is, the exit status tells how, and the log why."""
    (workspace.spool / ".conveyor").mkdir()
    before = inventory(workspace.root)
    done = post_script("--return", returned, "--job", "calibrate", "deliver", workspace.metadata)
    assert done.returncode == status
    [line] = log_of(workspace)
    assert (line["code"], line["job"], line["return"], line["level"]) == (code, "calibrate", returned, "error")
    assert says in line["event"]
    after = inventory(workspace.root)
    own = os.fsencode(f"spool/{workspace.request}/.conveyor")
    assert set(after) - set(before) == {own + b"/post-script.jsonl"}
    assert {path: after[path] for path in before if path != own} == {
        path: item for path, item in before.items() if path != own
    }


def test_behind_a_job_that_succeeded_the_request_is_conveyed(workspace: Workspace) -> None:
    """Deliver, retrieve and qa-fail convey from the node's directory with a relative path, each step in the log."""
    for operation, state in (
        ("deliver", "in-qa"),
        ("retrieve", "in-spool"),
        ("deliver", "in-qa"),
        ("qa-fail", "in-spool"),
    ):
        arguments = [
            "--return",
            0,
            "--job",
            "A",
            "--retry",
            1,
            "--max-retries",
            3,
            operation,
            "metadata.json",
            "--json",
        ]
        done = post_script(*arguments, cwd=workspace.spool)
        assert done.returncode == 0
        assert json.loads(done.stdout)["requests"][0]["state"] == state
        assert done.stderr == ""
        last = log_of(workspace)[-1]
        assert (last["event"], last["job"]) == (f"{operation}: the request is {state} now", "A")
        assert (last["retry"], last["max_retries"]) == (1, 3)
    assert {"write-ready", "record-verdict"} <= {line.get("step") for line in log_of(workspace)}


def test_a_conveyance_that_fails_is_the_nodes_failure(workspace: Workspace) -> None:
    """A held request ends with 75, a conflict with 73, and with --unless-exit only what no retry helps changes."""
    inner = workspace.spool / ".conveyor"
    inner.mkdir()
    claim = inner / "claim.1"
    claim.symlink_to(Holder(Process("elsewhere", "", "", "", 7, ""), "2026-11-24T03:00:00.000+00:00").text)
    for options in ([], ["--unless-exit", 100]):
        assert post_script("--return", 0, *options, "deliver", workspace.metadata).returncode == 75
    claim.unlink()
    (workspace.qa / "products").mkdir(parents=True)
    assert post_script("--return", 0, "deliver", workspace.metadata).returncode == 73
    done = post_script("--return", 0, "--unless-exit", 100, "deliver", workspace.metadata)
    assert (done.returncode, log_of(workspace)[-1]["code"]) == (100, "conflict")
    assert post_script("--return", 3, "--unless-exit", 100, "deliver", workspace.metadata).returncode == 101


def test_a_failed_job_is_told_though_the_metadata_is_bad(tmp_path: Path) -> None:
    """Where the job failed and left no metadata, the node still says that the job failed."""
    done = post_script("--return", -9, "deliver", tmp_path / "metadata.json")
    assert done.returncode == 102
    assert "SIGKILL" in done.stderr
    assert post_script("--return", 0, "deliver", tmp_path / "metadata.json").returncode == 66


@pytest.mark.parametrize("written", ["--return -9", "--return=-9", "--job x --return -9"])
def test_a_negative_number_is_a_value(workspace: Workspace, written: str) -> None:
    """-9 after --return is its value, not an option."""
    assert post_script(*written.split(), "deliver", workspace.metadata).returncode == 102


@pytest.mark.parametrize("returned", ["", "$RETURN", "nine"])
def test_what_is_no_number_conveys_nothing(workspace: Workspace, returned: str) -> None:
    """A $RETURN that DAGMan did not replace, or that is missing, is a usage error, and nothing is conveyed."""
    assert post_script("--return", returned, "deliver", workspace.metadata).returncode == 2
    assert post_script("deliver", workspace.metadata).returncode == 2
    assert not workspace.qa.exists()


@pytest.mark.parametrize("redirect", [">&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 | true", "2>&1 | head -c 10"])
def test_output_that_nobody_takes_stops_nothing(workspace: Workspace, redirect: str) -> None:
    """With stdout and stderr closed, full or a broken pipe the request is delivered, with status 0, and logged."""
    command = f"'{PROGRAM}' post-script --return 0 deliver -vv --json '{workspace.metadata}'"
    script = f"{command} {redirect}; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], env=BARE, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "0"
    assert (workspace.qa / "READY").is_file()
    assert log_of(workspace)[-1]["event"] == "deliver: the request is in-qa now"


def test_a_pipe_that_nobody_reads_ends_nothing(workspace: Workspace) -> None:
    """With SIGPIPE at its default and a pipe whose reader is gone before the start, the conveyance succeeds."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [str(PROGRAM), "post-script", "--return", "0", "deliver", "-vv", str(workspace.metadata)],
        env=BARE,
        stdout=writing,
        stderr=writing,
        check=False,
        restore_signals=True,
    )
    os.close(writing)
    assert done.returncode == 0
    assert (workspace.qa / "READY").is_file()


def test_the_log_leads_nowhere_else(workspace: Workspace, tmp_path: Path) -> None:
    """A link in the place of the log, or of Conveyor's own folder, is not followed, and stops no conveyance."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    inner = workspace.spool / ".conveyor"
    inner.mkdir()
    (inner / "post-script.jsonl").symlink_to(victim)
    assert post_script("--return", 0, "deliver", workspace.metadata).returncode == 0
    assert victim.read_text() == "untouched"


def test_a_log_file_that_is_named_takes_the_lines(workspace: Workspace) -> None:
    """--log-file has the steps, and the request's own log is not made."""
    log = workspace.root / "post.log"
    assert post_script("--return", 0, "deliver", "--log-file", log, workspace.metadata).returncode == 0
    assert '"write READY"' in log.read_text()
    assert not (workspace.spool / ".conveyor" / "post-script.jsonl").exists()


def test_killed_at_any_moment_it_is_run_again(tmp_path: Path) -> None:
    """Killed by SIGKILL after a random while, again and again, the post script ends with the request delivered."""
    for number in range(12):
        workspace = make_workspace(tmp_path / "ws", request=f"request{number}")
        command = [str(PROGRAM), "post-script", "--return", "0", "deliver", str(workspace.metadata)]
        child = subprocess.Popen(command, env=BARE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(timeout=0.1 + number * 0.03)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        assert child.wait() in (0, -signal.SIGKILL)
        assert post_script("--return", 0, "deliver", workspace.metadata).returncode == 0
        assert (workspace.qa / "READY").is_file()


def test_a_dry_run_leaves_no_log(workspace: Workspace) -> None:
    """With -n nothing is written, not even the log."""
    assert post_script("--return", 0, "deliver", "-n", workspace.metadata).returncode == 0
    assert not (workspace.spool / ".conveyor").exists()


def test_no_failure_of_a_job_can_be_taken_for_another() -> None:
    """No ending of a job has the status of a conveyance's error, or 75, which would defer it."""
    ours = {kind.exit_code for kind in tree() if not kind.code.startswith("job-")}
    for returned, status, _, _ in FAILED:
        error = JobResult(returned).error
        assert isinstance(error, ConveyorError)
        assert error.exit_code == status
        assert status not in ours
    assert JobResult(0).error is None


def test_what_a_retry_may_help_is_what_the_page_says() -> None:
    """Only an I/O error, 75 and a failed job are worth another try without a person."""
    assert {kind.exit_code for kind in tree() if kind.retryable} == {74, 75, 101, 102, 103, 104, 105}


# What ends a post script before it looks at its request, and its own exit status: (options of post-script, those of the
# conveyance, variables, status).
PERMANENT: list[tuple[str, str, dict[str, str], int]] = [
    ("", "--config none.toml metadata.json", {}, 78),
    ("", "--config wrong.toml metadata.json", {}, 78),
    ("", "--config unknown.toml metadata.json", {}, 78),
    ("", "metadata.json", {"CONVEYOR_BOGUS": "1"}, 78),
    ("", "metadata.json", {"CONVEYOR_LINKS": "hard"}, 78),
    ("", "--log-file none/x.log metadata.json", {}, 78),
    ("", "--log-file . metadata.json", {}, 2),
    ("", "--bogus metadata.json", {}, 2),
    ("", "--links hard metadata.json", {}, 2),
    ("", "", {}, 2),
    ("", "metadata.json another.json", {}, 2),
    ("--bogus", "metadata.json", {}, 2),
    ("", "--capability none metadata.json", {}, 78),
    ("", "none.json", {}, 66),
    ("", "PPR.xml", {}, 65),
]


@pytest.mark.parametrize(("before", "after", "variables", "own"), PERMANENT, ids=str)
def test_every_error_that_no_retry_helps_ends_the_retries(
    workspace: Workspace, before: str, after: str, variables: dict[str, str], own: int
) -> None:
    """--unless-exit is heeded whatever part of the command line, the settings or the request is wrong."""
    (workspace.spool / "wrong.toml").write_text("spool_root = 'relative'\n")
    (workspace.spool / "unknown.toml").write_text("spool_rot = '/spool'\n")
    for job, options, expected in (
        (0, "--return 0", own),
        (0, "--return 0 --unless-exit=100", 100),
        (-9, "--return=-9 --unless-exit 100", 102),
    ):
        command = [str(PROGRAM), "post-script", *options.split(), *before.split(), "deliver", *after.split()]
        done = subprocess.run(
            command, env=BARE | variables, cwd=workspace.spool, capture_output=True, text=True, check=False
        )
        assert done.returncode == expected, (job, options, done.stderr)
        assert ("nothing is conveyed" in done.stderr) == (job != 0)
    assert not workspace.qa.exists()


def test_the_document_of_a_failed_job_names_the_job(workspace: Workspace) -> None:
    """Behind a failed job the JSON document has the job's failure, though no settings can be read, and both are said."""
    arguments = ["--return", 3, "--job", "A", "deliver", "--json", "--config", "none.toml", workspace.metadata]
    done = post_script(*arguments)
    assert json.loads(done.stdout)["error"]["code"] == "job-failed"
    assert done.returncode == json.loads(done.stdout)["exit_code"] == 101
    assert "the job A ended with status 3" in done.stderr
    assert "none.toml cannot be read" in done.stderr


@pytest.mark.parametrize(("retry", "logged"), [("2", 2), ("$RETRY", "$RETRY"), ("", "")])
def test_what_is_for_the_log_stops_nothing(workspace: Workspace, retry: str, logged: object) -> None:
    """$RETRY and $MAX_RETRIES are written to the log as they are, though DAGMan did not replace them."""
    done = post_script("--return", 0, "--retry", retry, "--max-retries", retry, "deliver", workspace.metadata)
    assert done.returncode == 0, done.stderr
    last = log_of(workspace)[-1]
    assert (last["retry"], last["max_retries"]) == (logged, logged)


@pytest.mark.parametrize("number", ["0", "126", "$N", ""])
def test_a_number_that_is_no_exit_status_is_refused(workspace: Workspace, number: str) -> None:
    """--unless-exit takes 1 to 125; anything else is a usage error, and behind a failed job the job's failure."""
    assert post_script("--return", 0, "--unless-exit", number, "deliver", workspace.metadata).returncode == 2
    assert post_script("--return", 1, "--unless-exit", number, "deliver", workspace.metadata).returncode == 101
