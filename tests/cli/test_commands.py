"""The command line, in process and as the installed program: results on stdout, logs and errors on stderr, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor.cli import main as program
from support.workspace import make_workspace, weblog_tar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.workspace import Workspace


CONVEYANCES = ("deliver", "retrieve", "qa-fail")


@dataclass(frozen=True)
class Result:
    """What a run of the program came to."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)


#: For what hangs on the process: its streams, its signals, its start.
both_ways = pytest.mark.parametrize("run", ["in process", "installed"], indirect=True)


@pytest.fixture
def run(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run the program with some arguments: by its entry point in this process, or as a process of its own."""

    def in_process(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["conveyor", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            program.run()
        said = capfd.readouterr()
        assert isinstance(end.value.code, int)
        return Result(end.value.code, said.out, said.err)

    def installed(*arguments: object) -> Result:
        done = subprocess.run(
            [Path(sys.executable).with_name("conveyor"), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return installed if getattr(request, "param", "") == "installed" else in_process


@both_ways
def test_a_request_goes_out_and_home(run: Callable[..., Result], workspace: Workspace) -> None:
    """Deliver, status, retrieve and qa-fail succeed and say in one line what happened."""
    name = f"{workspace.request} (calibration)"
    done = run("deliver", workspace.metadata)
    assert (done.status, done.stdout.splitlines()[0]) == (0, f"{name}: delivered to {workspace.qa}")
    assert run("deliver", workspace.metadata).stdout.startswith(f"{name}: already delivered")
    assert run("status", workspace.metadata).stdout.splitlines()[:2] == [f"{name}: in-qa", "  rawdata   in-qa"]
    done = run("retrieve", workspace.metadata)
    assert (done.status, done.stdout) == (0, f"{name}: retrieved to {workspace.spool}\n")
    assert run("retrieve", workspace.metadata).stdout == f"{name}: already home\n"
    assert run("deliver", workspace.metadata).status == 0
    assert run("qa-fail", workspace.metadata).stdout == f"{name}: retrieved to {workspace.spool}; QA failed\n"
    assert run("qa-fail", workspace.metadata).stdout == f"{name}: already home; QA failed\n"


@pytest.mark.parametrize(
    ("area", "out", "home"),
    [
        ("qa2", "--deliver", "--retrieve"),
        ("image-qa", "--deliver-img", "--retrieve-img"),
        ("qa2", "--deliver", "--qa-fail"),
    ],
)
def test_the_upstream_flags_do_the_same(
    run: Callable[..., Result], tmp_path: Path, area: str, out: str, home: str
) -> None:
    """Upstream's flags deliver to the area that they name, and carry home again."""
    workspace = make_workspace(tmp_path / "other", qa_area=area)
    assert run(out, workspace.metadata).status == 0
    assert (workspace.qa / "READY").is_file()
    assert run(home, workspace.metadata).status == 0
    assert not workspace.qa.exists()


@pytest.mark.parametrize("workflow", ["mystery", None])
def test_the_upstream_flags_choose_for_a_workflow_that_nobody_claims(
    run: Callable[..., Result], workspace: Workspace, workflow: str | None
) -> None:
    """--deliver-img is imaging where no capability claims the workflow, and any way home knows that it was."""
    workspace.write_metadata(workflowName=workflow)
    for home in (["--retrieve-img"], ["retrieve"], ["--qa-fail"]):
        assert run("--deliver-img", workspace.metadata).status == 0
        assert (workspace.root / "image-qa" / workspace.request / "READY").is_file()
        assert run(*home, workspace.metadata).status == 0
        assert not (workspace.root / "image-qa" / workspace.request).exists()


def test_the_upstream_flag_of_another_area_is_refused(run: Callable[..., Result], workspace: Workspace) -> None:
    """A calibration is not delivered to the area of images, nor taken home as one; both names are said."""
    refused = run("--deliver-img", workspace.metadata)
    assert refused.status == 78
    assert "'calibration'" in refused.stderr
    assert "'imaging'" in refused.stderr
    assert not (workspace.root / "image-qa" / workspace.request).exists()
    assert run("--deliver", workspace.metadata).status == 0
    assert run("--retrieve-img", workspace.metadata).status == 78
    assert run("--retrieve", workspace.metadata).status == 0


def test_two_conveyances_in_one_command_line_are_refused(run: Callable[..., Result], workspace: Workspace) -> None:
    """A flag beside another flag, or beside a command, is a usage error, and nothing moves."""
    for arguments in (["--deliver", workspace.metadata, "--retrieve", workspace.metadata],
                      ["--deliver", workspace.metadata, "status"]):  # fmt: skip
        done = run(*arguments)
        assert done.status == 2
        assert "do not go together" in done.stderr
    assert not workspace.qa.exists()


def test_several_requests_are_independent(run: Callable[..., Result], tmp_path: Path) -> None:
    """One request that fails stops no other; the status is the common code of those that failed, or 1."""
    good = [make_workspace(tmp_path / "ws", request=f"good{number}") for number in range(3)]
    missing = tmp_path / "missing.json"
    done = run("deliver", good[0].metadata, missing, good[1].metadata, "--jobs", 2, "--json")
    assert done.status == 66
    assert [one["state"] for one in done.document["requests"]] == ["in-qa", None, "in-qa"]
    (tmp_path / "empty.json").write_text("")
    done = run("deliver", missing, tmp_path / "empty.json", good[2].metadata, "--json")
    assert done.status == 1
    assert [one["error"] and one["error"]["code"] for one in done.document["requests"]] == [
        "metadata-missing",
        "metadata-invalid",
        None,
    ]


@both_ways
def test_many_requests_at_a_time(run: Callable[..., Result], tmp_path: Path) -> None:
    """--jobs conveys requests in several processes; the results are in the order of the arguments."""
    requests = [make_workspace(tmp_path / "ws", request=f"request{number:02}") for number in range(12)]
    done = run("deliver", *(one.metadata for one in requests), "--jobs", 4, "--json")
    assert done.status == 0
    assert [one["request"] for one in done.document["requests"]] == [one.request for one in requests]
    assert all((one.qa / "READY").exists() for one in requests)


@both_ways
def test_a_dry_run_ends_as_the_real_run(run: Callable[..., Result], workspace: Workspace) -> None:
    """--dry-run prints the plan, has the exit status of the refusal if there is one, and changes nothing."""
    done = run("deliver", "-n", workspace.metadata)
    assert done.status == 0
    assert "would do this:" in done.stdout
    assert "  write READY" in done.stdout
    assert not workspace.qa.exists()
    (workspace.qa / "products").mkdir(parents=True)
    done = run("deliver", "-n", workspace.metadata)
    assert done.status == 73
    assert "would be refused" in done.stdout


@both_ways
def test_errors_are_one_sentence_and_a_hint(run: Callable[..., Result], workspace: Workspace) -> None:
    """In the console format an error is a sentence and a hint on stderr, and never a traceback."""
    done = run("deliver", "--log-format", "console", workspace.root / "nothing.json")
    assert done.status == 66
    assert done.stderr == (
        f"conveyor: there is no metadata file {workspace.root}/nothing.json\n"
        "  hint: give the path of the request's metadata.json\n"
    )


@both_ways
def test_off_a_terminal_every_log_line_is_json(run: Callable[..., Result], workspace: Workspace) -> None:
    """Off a terminal stderr has nothing but JSON lines, errors with their code and hint among them."""
    assert run("deliver", workspace.metadata).status == 0
    done = run("deliver", "-v", workspace.metadata, workspace.root / "nothing.json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["code"] for line in lines if line["level"] == "error"] == ["metadata-missing"]
    (workspace.spool / "metadata.json").rename(workspace.root / "metadata.json")
    assert run("retrieve", "-n", workspace.root / "metadata.json").stderr == ""
    lines = [json.loads(line) for line in run("retrieve", "-v", workspace.root / "metadata.json").stderr.splitlines()]
    assert {line["request"] for line in lines} == {workspace.request}
    assert [line["step"] for line in lines][:1] == ["withdraw-ready"]


@both_ways
def test_quiet_and_log_file(run: Callable[..., Result], workspace: Workspace) -> None:
    """-q logs errors only; --log-file takes the lines from stderr, has each step, and is added to."""
    (workspace.spool / "products" / "weblog.tgz").unlink()
    assert "no weblog to cache" in run("deliver", "-n", workspace.metadata).stdout
    assert run("deliver", "-q", workspace.metadata).stderr == ""
    log = workspace.root / "conveyor.log"
    assert run("retrieve", "--log-file", log, workspace.metadata).stderr == ""
    before = log.read_text()
    assert '"event": "withdraw READY"' in before
    assert run("deliver", "--log-file", log, workspace.metadata).stderr == ""
    assert log.read_text().startswith(before)
    done = run("deliver", "--log-file", workspace.root / "no" / "folder", workspace.metadata)
    assert done.status == 78
    assert "the log file" in done.stderr


def test_status_finds_the_requests_of_the_spool_area(run: Callable[..., Result], tmp_path: Path) -> None:
    """Without arguments, status tells of every request in the spool root that a capability claims."""
    out = make_workspace(tmp_path / "ws", request="out")
    make_workspace(tmp_path / "ws", request="home")
    other = make_workspace(tmp_path / "ws", request="download")
    other.write_metadata(workflowName="download")
    assert run("deliver", out.metadata).status == 0
    done = run("status", "--spool-root", tmp_path / "ws" / "spool", "--json")
    assert done.status == 0
    assert {one["request"]: one["state"] for one in done.document["requests"]} == {"out": "in-qa", "home": "in-spool"}
    done = run("status")
    assert done.status == 78
    assert "CONVEYOR_SPOOL_ROOT" in done.stderr


def test_listings(run: Callable[..., Result], workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """capabilities and config list what is registered and set, by whom and from where."""
    listed = run("capabilities", "--json").document["capabilities"]
    assert [(one["name"], one["kind"]) for one in listed if one["kind"] == "built in"] == [
        ("calibration", "built in"),
        ("imaging", "built in"),
    ]
    assert "rawdata (optional)" in run("capabilities").stdout
    monkeypatch.setenv("CONVEYOR_LINKS", "absolute")
    done = run("config", "--qa-root", workspace.root, "--json")
    assert done.document["settings"]["links"]["value"] == "absolute"
    assert done.document["settings"]["links"]["source"] == "environment CONVEYOR_LINKS"
    assert done.document["settings"]["qa_root"]["source"] == "flag"
    assert "links                absolute  (environment CONVEYOR_LINKS)" in run("config").stdout


@both_ways
def test_demo(run: Callable[..., Result], tmp_path: Path) -> None:
    """The demonstration shows the links and the way back; with --keep its workspace can be played with."""
    done = run("demo", "--keep", tmp_path / "demo")
    assert done.status == 0
    assert "products -> ../../qa2/tmpiox5trbp/products" in done.stdout
    assert "The analyst's report came home: PASS" in done.stdout
    [metadata] = (tmp_path / "demo").glob("workspaces/spool/*/metadata.json")
    assert run("deliver", metadata).status == 0
    done = run("demo", "--keep", tmp_path / "demo")
    assert done.status == 73
    assert "not empty" in done.stderr


def test_demo_without_keep_leaves_nothing(run: Callable[..., Result], tmp_path: Path) -> None:
    """Without --keep the scratch workspace is gone afterwards."""
    assert run("demo").status == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["deliver"], "Missing argument 'METADATA...'"),
        (["delivr", "x"], "No such command 'delivr'"),
        (["deliver", "--nosuch", "x"], "No such option"),
        (["deliver", "--jobs", "0", "x"], "Invalid value for '--jobs'"),
    ],
)
def test_usage_errors(run: Callable[..., Result], arguments: list[str], says: str) -> None:
    """A mistyped command line ends with 2, says what is wrong, and with --json has a document all the same."""
    done = run(*arguments)
    assert done.status == 2
    assert says in done.stderr
    done = run(*arguments, "--json")
    assert done.status == 2
    assert done.document["error"]["code"] == "usage"
    assert not done.document["ok"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("statsu", "status"),
        ("Status", "status"),
        ("delivr", "deliver"),
        ("qafail", "qa-fail"),
        ("qa_fail", "qa-fail"),
        ("help", "--help"),
        ("version", "--version"),
        ("list", "status"),
        ("capability", "capabilities"),
    ],
)
def test_a_command_that_is_nearly_right_is_answered_with_the_right_one(
    run: Callable[..., Result], typed: str, meant: str
) -> None:
    """A misspelt command, and one of another program, names the one that was meant; nothing is done."""
    done = run(typed, "metadata.json")
    assert done.status == 2
    assert f"did you mean 'conveyor {meant}'?" in done.stderr


def test_an_empty_name_is_a_usage_error(run: Callable[..., Result]) -> None:
    """A variable of the shell that is not set is not taken for the working directory."""
    for command in (
        ["deliver", ""],
        ["status", ""],
        ["--deliver", ""],
        ["doctor", ""],
        ["deliver", "--config", "", "x"],
    ):
        done = run(*command)
        assert (done.status, "the name is empty" in done.stderr) == (2, True)


def test_stdin_may_name_the_files(tmp_path: Path) -> None:
    """A dash stands for the names on stdin, one a line or each with a null byte; blank lines are passed over."""
    names = ("one", "two", "with\nbreak", "not \udcff utf-8")
    requests = [make_workspace(tmp_path / "ws", request=name.replace("\n", " ")) for name in names]
    links = [tmp_path / f"{name}.json" for name in names]
    for link, request in zip(links, requests, strict=True):
        link.symlink_to(request.metadata)
    written = [os.fsencode(link) for link in links]
    program = [Path(sys.executable).with_name("conveyor")]
    for arguments, content, count in (
        (["deliver", "-"], b"\0".join(written) + b"\0", 3),
        (["status", "-"], b"\n".join(written[:2]) + b"\n\n", 2),
        (["retrieve", written[1], "-", written[0]], written[0] + b"\n" + written[1], 2),
    ):
        done = subprocess.run([*program, *arguments, "--json"], input=content, capture_output=True, check=False)
        assert sum(one["error"] is None for one in json.loads(done.stdout)["requests"]) == count, done.stderr
    empty = subprocess.run([*program, "deliver", "-"], input=b"\n", capture_output=True, check=False)
    assert (empty.returncode, b"stdin names no metadata files" in empty.stderr) == (2, True)


def test_status_tells_a_failed_qa(run: Callable[..., Result], workspace: Workspace) -> None:
    """A request whose QA failed is not taken for one that passed, or was never delivered."""
    assert run("status", workspace.metadata, "--json").document["requests"][0]["verdict"] is None
    assert run("deliver", workspace.metadata).status == 0
    assert run("qa-fail", workspace.metadata, "--json").document["requests"][0]["verdict"] == "qa-fail"
    assert run("status", workspace.metadata).stdout.startswith(
        f"{workspace.request} (calibration): in-spool, QA failed"
    )
    assert run("deliver", workspace.metadata, "--json").document["requests"][0]["verdict"] is None


@pytest.mark.parametrize(
    ("one", "other", "claimed"),
    [
        ("w", "w", "w"),
        ("std_calibration", "x", "std_calibration"),
        ("vlass_*", "vlass_*", "vlass_*"),
        ("vlass_*", "vlass_q*", "vlass_q*"),
        ("vlass_*", "vlass_[12]", "vlass_[12]"),
        ("vlass_*", "vlass_quick", ""),
        ("std_*", "x", ""),
        ("a*", "*b", ""),
    ],
)
def test_a_workflow_that_two_claim_is_found_by_the_listing(
    run: Callable[..., Result], tmp_path: Path, one: str, other: str, claimed: str
) -> None:
    """conveyor capabilities lists both, and ends with 78 if no conveyance could choose between them."""
    table = '[capabilities.{}]\nworkflows = ["{}"]\nqa_area = "qa2"\ndirectories = ["products"]\n'
    (tmp_path / "site.toml").write_text(table.format("one", one) + table.format("other", other))
    done = run("capabilities", "--config", tmp_path / "site.toml")
    assert "one  (configuration:" in done.stdout
    assert done.status == (78 if claimed else 0)
    assert (f"the workflow {claimed!r} is claimed twice" in done.stderr) is bool(claimed)
    (tmp_path / "spool").mkdir()
    doctor = run("doctor", "--no-probe", "-q", "--config", tmp_path / "site.toml", "--spool-root", tmp_path / "spool")
    assert (f"the workflow {claimed!r} is claimed twice" in doctor.stdout) is bool(claimed)
    as_json = run("capabilities", "--config", tmp_path / "site.toml", "--json")
    assert (as_json.status, as_json.document["ok"]) == (done.status, not claimed)


def test_a_sum_comes_last(run: Callable[..., Result], tmp_path: Path) -> None:
    """After the results of several requests a line says how many were conveyed, and how many were not."""
    requests = [make_workspace(tmp_path / "ws", request=f"request{number}") for number in range(3)]
    assert "1 delivered" not in run("deliver", requests[0].metadata).stdout
    paths = [one.metadata for one in requests]
    done = run("deliver", *paths, tmp_path / "none.json")
    assert done.stdout.splitlines()[-1] == "2 delivered, 1 delivered already, 1 refused"
    assert run("retrieve", "-n", *paths).stdout.splitlines()[-1] == "3 to convey"
    assert run("qa-fail", *paths).stdout.splitlines()[-1] == "3 failed"


def test_a_metadata_file_in_the_place_of_a_command(run: Callable[..., Result], workspace: Workspace) -> None:
    """Who forgets the command is told which one was probably meant."""
    done = run(workspace.metadata)
    assert done.status == 2
    assert f"did you mean 'conveyor deliver {workspace.metadata}'" in done.stderr


@both_ways
def test_help_and_version(run: Callable[..., Result]) -> None:
    """Every command has help that ends with the exit status, by -h and --help."""
    assert run("--version").stdout == f"conveyor {conveyor.__version__}\n"
    assert run().stdout == run("-h").stdout
    assert run("--config", "x").status == 2
    for command in (*CONVEYANCES, "status", "post-script", "dag", "doctor", "capabilities", "config", "demo"):
        done = run(command, "-h")
        assert done.status == 0
        assert "Exit status: 0 done or already done" in done.stdout
        assert run(command, "--help").stdout == done.stdout
    assert "deliver" in run("-h").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shells get their completion scripts, and commands and capabilities are completed."""
    monkeypatch.setenv("_CONVEYOR_COMPLETE", f"{shell}_source")
    done = subprocess.run([Path(sys.executable).with_name("conveyor")], capture_output=True, text=True, check=False)
    assert "_CONVEYOR_COMPLETE" in done.stdout
    monkeypatch.setenv("_CONVEYOR_COMPLETE", "bash_complete")
    for words, expected in (("conveyor re", "retrieve"), ("conveyor deliver -c im", "imaging")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        done = subprocess.run([Path(sys.executable).with_name("conveyor")], capture_output=True, text=True, check=False)
        assert expected in done.stdout


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full >/dev/full", "2>&1 | true", "<&-"])
def test_closed_and_full_streams_never_stop_a_conveyance(workspace: Workspace, redirect: str) -> None:
    """Whatever becomes of stdout and stderr, the conveyance runs to its end."""
    program_ = Path(sys.executable).with_name("conveyor")
    subprocess.run(["bash", "-c", f"'{program_}' deliver -v '{workspace.metadata}' {redirect}"], check=False)
    assert (workspace.qa / "READY").is_file()


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGHUP, signal.SIGHUP)], ids=["TERM", "HUP twice"])
def test_a_signal_ends_the_run_at_the_next_safe_point(tmp_path: Path, signals: Sequence[signal.Signals]) -> None:
    """SIGTERM ends a run of many requests with 75, as SIGHUP does, which may come twice; each request is either finished or
    untouched, and a re-run finishes.
    """
    requests = [make_workspace(tmp_path / "ws", request=f"request{number:03}") for number in range(60)]
    program_ = str(Path(sys.executable).with_name("conveyor"))
    arguments = [program_, "deliver", "-q", *(str(one.metadata) for one in requests)]
    child = subprocess.Popen([*arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (requests[2].qa / "READY").exists() and child.poll() is None:
        time.sleep(0.001)
    for number in signals:
        child.send_signal(number)
    out, err = child.communicate()
    assert "ending at the next safe point" in err
    assert child.returncode == 75
    codes = {one["error"]["code"] for one in json.loads(out)["requests"] if one["error"]}
    assert codes == {"interrupted"}
    assert subprocess.run(arguments, capture_output=True, check=False).returncode == 0
    assert all((one.qa / "READY").exists() for one in requests)


def test_nohup_is_respected(tmp_path: Path) -> None:
    """Where whoever started the program has SIGHUP ignored, the end of a terminal does not end the run."""
    requests = [make_workspace(tmp_path / "ws", request=f"request{number:03}") for number in range(20)]
    program_ = str(Path(sys.executable).with_name("conveyor"))
    arguments = [program_, "deliver", "-q", *(str(one.metadata) for one in requests)]
    child = subprocess.Popen(["env", "--ignore-signal=HUP", *arguments])
    while not (requests[2].qa / "READY").exists() and child.poll() is None:
        time.sleep(0.001)
    child.send_signal(signal.SIGHUP)
    assert child.wait() == 0


def test_who_ignores_that_children_end_may_start_the_program(workspace: Workspace) -> None:
    """Daemons and wrappers do, and it is inherited: a large weblog and a run of two at once are helped by processes."""
    (workspace.spool / "products" / "weblog.tgz").write_bytes(weblog_tar(plots={"plot.png": os.urandom(3_000_000)}))
    other = make_workspace(workspace.root, request="another")
    program_ = str(Path(sys.executable).with_name("conveyor"))
    arguments = [program_, "deliver", "--jobs", "2", str(workspace.metadata), str(other.metadata)]
    ignored = subprocess.run(["env", "--ignore-signal=CHLD", *arguments], capture_output=True, text=True, check=False)
    assert ignored.returncode == 0, ignored.stderr


def test_a_bug_of_ours_is_told_as_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An exception that nobody foresaw ends with 70 and a traceback for the report, and names itself a bug."""
    monkeypatch.setattr("conveyor.api.operations.locate", lambda *_: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["conveyor", "deliver", "--log-format", "console", str(workspace.metadata)])
    with pytest.raises(SystemExit) as end:
        program.run()
    assert end.value.code == 70
    said = capfd.readouterr().err
    assert "ZeroDivisionError" in said
    assert "this is a bug in Conveyor" in said
    assert "Traceback" in said


def test_the_program_runs_as_a_module(workspace: Workspace) -> None:
    """``python -m conveyor`` is the same program."""
    command = [sys.executable, "-m", "conveyor", "status", str(workspace.metadata)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0
    assert "in-spool" in done.stdout


def test_a_second_signal_ends_the_run_at_once(tmp_path: Path) -> None:
    """A second SIGTERM kills the program and its workers where they are; the same command then finishes the job."""
    requests = [make_workspace(tmp_path / "ws", request=f"request{number:03}") for number in range(80)]
    program_ = str(Path(sys.executable).with_name("conveyor"))
    arguments = [program_, "deliver", *(str(one.metadata) for one in requests)]
    child = subprocess.Popen([*arguments, "--jobs", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    while not (requests[2].qa / "READY").exists() and child.poll() is None:
        time.sleep(0.001)
    child.send_signal(signal.SIGTERM)
    assert "once more ends at once" in child.stderr.readline()
    child.send_signal(signal.SIGTERM)
    child.communicate()
    assert child.returncode in (-signal.SIGTERM, 75)  # 75 where it was done before the second one came
    assert subprocess.run(arguments, capture_output=True, check=False).returncode == 0
    assert all((one.qa / "READY").exists() for one in requests)


def test_status_says_what_it_does_not_show(run: Callable[..., Result], tmp_path: Path) -> None:
    """Requests of other workflows are counted last, in words and in JSON; that there is none is said with the area."""
    spool = tmp_path / "ws" / "spool"
    other = make_workspace(tmp_path / "ws", request="download")
    other.write_metadata(workflowName="std_calibrtion")
    done = run("status", "--spool-root", spool)
    assert done.status == 0
    assert done.stdout.splitlines() == [
        f"no requests that Conveyor handles in {spool}",
        "not shown: 1 of other workflows (std_calibrtion 1)",
    ]
    assert run("status", "--spool-root", spool, "--json").document["not_shown"] == {"std_calibrtion": 1}
    other.metadata.write_text("{")
    done = run("status", "--spool-root", spool)
    assert done.status == 65
    assert done.stdout.splitlines()[1:3] == ["  ✗ 1 needs a person", "✗ NEED A PERSON"]
    assert "is not JSON" in run("status", "--spool-root", spool, "--format", "tsv").stdout


def test_areas_are_marked(run: Callable[..., Result], workspace: Workspace) -> None:
    """init-area names each area and says whether it was marked before; without a workspace it asks for one."""
    spool = workspace.root / "spool"
    done = run("init-area", "--spool-root", spool)
    assert (done.status, [line.split()[1] for line in done.stdout.splitlines()]) == (0, ["marked,"] * 3)
    assert "marked already" in run("init-area", spool).stdout
    assert run("init-area").status == 78


def test_what_was_never_compared_is_not_verified(run: Callable[..., Result], workspace: Workspace) -> None:
    """A request that moved by renames has nothing to compare with: said first, and an error if a script asks for a proof."""
    name = f"{workspace.request} (calibration)"
    assert run("deliver", workspace.metadata).status == 0
    done = run("verify", workspace.metadata)
    assert (done.status, done.stdout.splitlines()[0]) == (0, f"{name}: not verified: moved, not copied")
    (request,) = run("verify", "--json", workspace.metadata).document["requests"]
    assert {one["result"] for one in request["verified"]} == {"not-verified"}
    done = run("verify", "--require-digests", workspace.metadata)
    assert (done.status, done.stdout.splitlines()[0]) == (65, f"{name}: not verified: moved, not copied [not-verified]")
    assert run("retrieve", workspace.metadata).status == 0
    assert [run("verify", *flags, workspace.metadata).status for flags in ([], ["--require-digests"])] == [0, 65]


def test_status_is_of_the_workspace_that_one_is_in(
    run: Callable[..., Result], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the usual layout no setting is needed: from a QA folder, a request or the workspace, for the doctor too."""
    assert run("deliver", workspace.metadata).status == 0
    for place in (workspace.root, workspace.spool, workspace.qa / "products"):
        monkeypatch.chdir(place)
        done = run("status")
        assert done.status == 0
        assert done.stdout.startswith(f"{workspace.root}  1 request")
    assert run("doctor", "--no-probe").status == 0


def test_status_chooses_and_tells_programs(run: Callable[..., Result], workspace: Workspace) -> None:
    """One value or several, a line a request, and an exit status that says that something needs attention."""
    spool = ("--spool-root", workspace.root / "spool")
    assert run("deliver", workspace.metadata).status == 0
    assert run("status", *spool, "--exit-status").status == 0
    assert run("status", *spool, "--state", "in-spool").stdout.splitlines()[-1] == "none of them is like that"
    lines = run("status", *spool, "--state", "in-qa,broken", "--format", "tsv").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["request", workspace.request]
    (chosen,) = run("status", *spool, "--json", "--project", "13B-014").document["requests"]
    assert (chosen["seen"]["section"], chosen["seen"]["project"]) == ("in-qa", "13B-014")
    assert run("status", *spool, "--older-than", "2 fortnights").status == 2
    for misspelt in (("--state", "inqa"), ("--trouble", "stalled,refusd")):
        refused = run("status", *spool, *misspelt)
        assert (refused.status, "is not one of 'in-spool'" in refused.stderr) == (2, "inqa" in misspelt)
    (workspace.qa / "READY").unlink()
    done = run("status", *spool, "--exit-status")
    assert done.status == 69
    assert "STALLED" in done.stdout
    assert run("status", *spool).status == 0
