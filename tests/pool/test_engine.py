"""``--runner htcondor`` on a real pool: the same result document and exit status as on this host."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from conveyor import deliver, qa_fail, retrieve
from conveyor.engine.claim import Holder
from conveyor.engine.host import Process
from support.dags import wait_until
from support.scenes import kill
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from support.condor import Pool

PROGRAM = Path(sys.executable).with_name("conveyor")
SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "conveyor-1.schema.json"
ELSEWHERE = Holder(Process("elsewhere", "", "", "", 7, ""), "2026-11-24T03:00:00.000+00:00").text


def conveyor(pool: Pool, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program where the pool is known."""
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | pool.environment, capture_output=True, text=True, check=False)


def forty(root: Path) -> list[Workspace]:
    """Forty requests: one has a directory in its way, one lacks a directory, one has no metadata."""
    requests = [make_workspace(root, request=f"request{number:02}") for number in range(40)]
    (requests[7].qa / "products").mkdir(parents=True)
    shutil.rmtree(requests[17].spool / "working")
    requests[27].metadata.write_text("[]")
    return requests


def plain(document: dict[str, Any], root: Path) -> Any:
    """A document without what differs between two workspaces."""
    return json.loads(json.dumps(document).replace(str(root), "ROOT"))


def test_forty_requests_end_as_on_this_host(pool: Pool, tmp_path: Path) -> None:
    """Of forty requests 37 are delivered and three fail: document and exit status are those of a local run."""
    roots = {engine: tmp_path / engine for engine in ("local", "htcondor")}
    ended = {}
    for engine, root in roots.items():
        files = [one.metadata for one in forty(root)]
        ended[engine] = conveyor(pool, "deliver", "--runner", engine, "--json", *files)
    documents = {engine: json.loads(done.stdout) for engine, done in ended.items()}
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(documents["htcondor"])
    assert ended["htcondor"].returncode == ended["local"].returncode == 1
    assert plain(documents["htcondor"], roots["htcondor"]) == plain(documents["local"], roots["local"])
    failed = {one["metadata"] for one in documents["htcondor"]["requests"] if one["error"]}
    assert {Path(one).parent.name for one in failed} == {"request07", "request17", "request27"}
    [folder] = tmp_path.glob("conveyor-deliver-*")
    summary = json.loads((folder / "summary.json").read_text())
    assert plain(summary, roots["htcondor"]) == plain(documents["htcondor"], roots["htcondor"])


def test_what_is_done_is_not_submitted(pool: Pool, workspace: Workspace) -> None:
    """A request that is delivered already ends as a success at once, and no DAG is written for it."""
    assert conveyor(pool, "deliver", workspace.metadata).returncode == 0
    done = conveyor(pool, "deliver", "--runner", "htcondor", workspace.metadata)
    assert (done.returncode, "already delivered" in done.stdout) == (0, True)
    assert not list(Path.cwd().glob("conveyor-deliver-*"))


@pytest.mark.parametrize("runner", ["local", "htcondor"])
def test_what_was_interrupted_goes_on_in_its_direction(pool: Pool, tmp_path: Path, runner: str) -> None:
    """A killed delivery, a killed way home and one after a failed QA are finished by one command, as jobs too."""
    out, home, failed = (make_workspace(tmp_path / "ws", request=name) for name in ("out", "home", "failed"))
    for request in (home, failed):
        deliver(request.metadata).raise_for_error()
    kill(out, deliver, "deliver")
    kill(home, retrieve, "retrieve")
    kill(failed, qa_fail, "retrieve")
    options = ("--runner", runner, "--spool-root", out.spool.parent)
    done = conveyor(pool, "resume", *options, "--all", "--json")
    assert done.returncode == 0, done.stderr
    ended = {one["request"]: (one["state"], one["verdict"]) for one in json.loads(done.stdout)["requests"]}
    assert ended == {"out": ("in-qa", None), "home": ("in-spool", None), "failed": ("in-spool", "qa-fail")}
    assert conveyor(pool, "resume", *options, "--all").stdout == "nothing was interrupted\n"
    assert bool(list(Path.cwd().glob("conveyor-*"))) == (runner == "htcondor")


def test_progress_is_told(pool: Pool, tmp_path: Path) -> None:
    """A line for each request that is done is on stderr, the ordinary result on stdout."""
    requests = [make_workspace(tmp_path / "ws", request=f"request{number}") for number in range(3)]
    files = [one.metadata for one in requests]
    done = conveyor(pool, "retrieve", "--runner", "htcondor", *files)
    assert done.returncode == 0
    done = conveyor(pool, "deliver", "--runner", "htcondor", "--log-format", "console", *files)
    assert done.returncode == 0
    told = re.findall(r"^conveyor: (\d) of 3: (request\d) \(calibration\): delivered to ", done.stderr, re.MULTILINE)
    assert [number for number, _ in told] == ["1", "2", "3"]
    assert {name for _, name in told} == {"request0", "request1", "request2"}
    assert done.stdout.count("delivered to") == 3


def test_copies_are_told_of_as_on_this_host(pool: Pool, tmp_path: Path, memory_folder: Path) -> None:
    """Two jobs that copy at the same time are told of in the log lines of a local run, which come as often as is set."""
    requests = [make_workspace(tmp_path / "ws", request=name, qa_root=memory_folder) for name in ("one", "two")]
    for request in requests:
        (request.spool / "rawdata" / "large.bin").write_bytes(os.urandom(15_000_000))
    (tmp_path / "often.toml").write_text("progress_seconds = 1\n")
    told = [f"--config={tmp_path}/often.toml", f"--qa-root={memory_folder}", "--max-rate=1M", "--log-format=json"]
    done = conveyor(pool, "deliver", "--runner", "htcondor", *told, *[one.metadata for one in requests])
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    copies = [line for line in lines if line["event"] == "progress"]
    assert {line["request"] for line in copies} == {"one", "two"}
    assert {line["directory"] for line in copies if line["phase"] == "copy"} == {"rawdata"}
    assert all(15_000_000 < line["total_bytes"] < 16_000_000 for line in copies if line["phase"] == "copy")


@pytest.mark.parametrize("answer", ["y", "n"])
def test_ctrl_c_asks_what_becomes_of_the_jobs(pool: Pool, workspace: Workspace, answer: str) -> None:
    """After Ctrl-C 'y' removes the DAG, 'n' leaves it in the queue, where status knows of it; either ends with 75."""
    inner = workspace.spool / ".conveyor"
    inner.mkdir()
    (inner / "claim.1").symlink_to(ELSEWHERE)
    shown = bytearray()
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(pool.environment)
        os.execv(PROGRAM, [str(PROGRAM), "deliver", "--runner", "htcondor", str(workspace.metadata)])
    is_sent = is_answered = False
    while True:
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:  # the other side has closed it
                break
        if b"submitted as job" in shown and not is_sent:
            is_sent = bool(os.write(terminal, b"\x03"))
        if shown.endswith(b"[y/N]: ") and not is_answered:
            is_answered = bool(os.write(terminal, answer.encode() + b"\n"))
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    [cluster] = re.findall(r"submitted as job (\d+)", shown.decode())
    assert status == 75, shown.decode()

    def queued() -> str:
        return pool.run("condor_q", cluster, "-af", "JobStatus").strip()

    known = conveyor(pool, "status", "--runner", "htcondor", workspace.metadata).stdout
    if answer == "y":
        wait_until(lambda: not queued(), "the DAG is removed")
        assert "a job of the pool" not in known
    else:
        assert queued()
        assert "a job of the pool is to deliver it: node 0001-" in known
        (inner / "claim.1").unlink()
        pool.run("condor_rm", cluster)
        wait_until(lambda: not queued(), "the DAG is removed")
    assert not (workspace.qa / "READY").exists()


@pytest.mark.usefixtures("pool")  # so that it runs where the bindings are installed
def test_without_a_pool_nothing_is_done(workspace: Workspace) -> None:
    """Where no scheduler answers, the command says so with 78, and leaves nothing behind."""
    command = [str(PROGRAM), "deliver", "--runner", "htcondor", str(workspace.metadata)]
    environment = os.environ | {"CONDOR_CONFIG": os.devnull}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert "no scheduler" in done.stderr
    assert not list(Path.cwd().glob("conveyor-deliver-*"))
