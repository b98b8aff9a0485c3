"""What a conveyance leaves behind, and what it makes of requests that are not as Conveyor left them."""

from __future__ import annotations

import errno
import itertools
import json
import os
import pwd
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor import State
from conveyor.api.operations import resolve_request
from conveyor.capabilities.builtin import CALIBRATION, IMAGING
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.filesystem.posix import DirFd, Entry, FileSystem
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.inventory import inventory
from support.projects import NoProjects
from support.workspace import DIRECTORIES, HTML, add_awkward_files, make_workspace, weblog_tar

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyfakefs.fake_filesystem import FakeFilesystem

    from support.workspace import Workspace


def _steps(outcome: Outcome) -> list[str]:
    return [f"{step.step} {step.subject}".strip() for step in outcome.steps]


def test_the_order_of_a_delivery(workspace: Workspace) -> None:
    """The weblog comes before anything moves, READY last."""
    outcome = conveyor.deliver(workspace.metadata).raise_for_error()
    assert _steps(outcome) == [
        "cache-weblog products/weblog.tgz",
        "open-qa-folder",
        "link-rest",
        *(f"deliver {name}" for name in DIRECTORIES),
        *(f"link {name}" for name in DIRECTORIES),
        "tidy",
        "write-ready",
    ]
    assert {step.detail for step in outcome.steps if step.step == "deliver"} == {"exchange"}


def test_the_order_of_the_way_home(workspace: Workspace) -> None:
    """READY goes first, the QA folder last."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    outcome = conveyor.retrieve(workspace.metadata).raise_for_error()
    steps = _steps(outcome)
    assert (steps[0], steps[-1]) == ("withdraw-ready", "close-qa-folder")
    assert not workspace.qa.exists()
    assert sorted(path.name for path in (workspace.spool / ".conveyor").iterdir()) == ["history.jsonl"]


def test_the_receipt(workspace: Workspace) -> None:
    """READY is a small JSON receipt that names the request, its project, its directories and its weblog."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    receipt = json.loads((workspace.qa / "READY").read_text())
    assert receipt.pop("delivered").startswith("2")
    assert receipt == {
        "schema": "conveyor-ready/1",
        "request": workspace.request,
        "project_code": "13B-014",
        "capability": "calibration",
        "spool": str(workspace.spool),
        "directories": list(DIRECTORIES),
        "weblog": str(workspace.weblog),
        "weblog_page": str(workspace.weblog / HTML / "index.html"),
        "ways": dict.fromkeys(DIRECTORIES, "exchange"),
        "version": conveyor.__version__,
    }


def test_the_history_is_added_to(workspace: Workspace) -> None:
    """Each step of each run is a line of the history, and so are its beginning and its end, with who ran it, and where."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    first = (workspace.spool / ".conveyor" / "history.jsonl").read_text()
    conveyor.qa_fail(workspace.metadata).raise_for_error()
    both = (workspace.spool / ".conveyor" / "history.jsonl").read_text()
    assert both.startswith(first)
    lines = [json.loads(line) for line in both.splitlines()]
    assert {line["command"] for line in lines} == {"deliver", "qa-fail"}
    assert all(line["pid"] == os.getpid() and line["host"] == os.uname().nodename for line in lines)
    assert {line["version"] for line in lines} == {conveyor.__version__}
    assert {line["account"] for line in lines} == {pwd.getpwuid(os.geteuid()).pw_name}
    assert [line.get("event", line.get("step")) for line in lines[-3:]] == ["record-verdict", "close-qa-folder", "end"]
    [begin, end] = [line for line in lines if line["command"] == "deliver" and "event" in line]
    assert (begin["event"], end["event"], end["outcome"], end["way"]) == ("begin", "end", "done", ["exchange"])
    assert {line["run"] for line in lines if line["command"] == "deliver"} == {begin["run"]}


def test_what_an_analyst_left_beside_the_directories_stays(workspace: Workspace) -> None:
    """A file beside the directories is not deleted on the way home: it is named, with its place."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    (workspace.qa / "notes.txt").write_text("look at spw 3")
    outcome = conveyor.retrieve(workspace.metadata).raise_for_error()
    assert outcome.state is State.IN_SPOOL
    assert outcome.warnings == (f"left in {workspace.qa}, since Conveyor did not put it there: notes.txt",)
    assert [path.name for path in workspace.qa.iterdir()] == ["notes.txt"]
    assert conveyor.retrieve(workspace.metadata).already
    assert conveyor.deliver(workspace.metadata).raise_for_error().state is State.IN_QA


def test_what_analysts_changed_comes_home(workspace: Workspace) -> None:
    """Edits, additions and removals in the QA area are in spool after the retrieval."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    (workspace.qa / "working" / "qa_report.txt").write_text("PASS")
    (workspace.spool / "working" / "folder" / "file.txt").write_text("edited through the link")
    (workspace.qa / "rawdata" / "folder" / "file.txt").unlink()
    before = inventory(workspace.qa, inside="working")
    conveyor.retrieve(workspace.metadata).raise_for_error()
    assert inventory(workspace.spool, inside="working") == before
    assert (workspace.spool / "working" / "qa_report.txt").read_text() == "PASS"
    assert not (workspace.spool / "rawdata" / "folder" / "file.txt").exists()


@pytest.mark.parametrize("absolute", [True, False])
def test_a_request_that_upstream_delivered_comes_home(workspace: Workspace, absolute: bool) -> None:
    """Links by hand or by another program are ours if they lead where ours would: the request can be retrieved."""
    workspace.qa.mkdir()
    for name in DIRECTORIES:
        (workspace.spool / name).rename(workspace.qa / name)
        target = workspace.qa / name
        (workspace.spool / name).symlink_to(target if absolute else os.path.relpath(target, workspace.spool))
    before = inventory(workspace.qa, inside="rawdata")
    assert conveyor.status([workspace.metadata])[0].directories["rawdata"] is State.IN_QA
    conveyor.retrieve(workspace.metadata).raise_for_error()
    assert inventory(workspace.spool, inside="rawdata") == before
    assert not workspace.qa.exists()


@pytest.mark.parametrize("act", [conveyor.deliver, conveyor.retrieve])
def test_a_link_that_somebody_removed_is_no_obstacle(
    workspace: Workspace, act: Callable[..., conveyor.Outcome]
) -> None:
    """A delivered directory whose link is gone is still ours: deliver puts the link back, retrieve brings it home."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    (workspace.spool / "products").unlink()
    assert conveyor.status([workspace.metadata])[0].state is State.IN_TRANSIT
    act(workspace.metadata).raise_for_error()
    assert (workspace.spool / "products" / "folder" / "file.txt").read_text() == "the content of products\n"
    assert (workspace.spool / "products").is_symlink() is (act is conveyor.deliver)


def test_links_survive_another_mount(workspace: Workspace, tmp_path: Path) -> None:
    """Links are relative inside one workspace, so that they lead to the data where a web host mounts it elsewhere."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert os.readlink(workspace.spool / "rawdata") == f"../../qa2/{workspace.request}/rawdata"
    shutil.copytree(workspace.root, tmp_path / "mounted elsewhere", symlinks=True)
    shutil.rmtree(workspace.root)
    there = tmp_path / "mounted elsewhere" / "spool" / workspace.request
    assert (there / "rawdata" / "folder" / "file.txt").exists()


def test_links_are_absolute_on_request_and_between_workspaces(workspace: Workspace, tmp_path: Path) -> None:
    """Where the QA root is another workspace, or the setting says so, links are absolute."""
    (tmp_path / "other" / "qa2").mkdir(parents=True)
    elsewhere = conveyor.load_config({"qa_root": tmp_path / "other"})
    conveyor.deliver(workspace.metadata, config=elsewhere).raise_for_error()
    assert os.readlink(workspace.spool / "rawdata") == str(tmp_path / "other/qa2" / workspace.request / "rawdata")
    conveyor.retrieve(workspace.metadata, config=elsewhere).raise_for_error()
    conveyor.deliver(workspace.metadata, config=conveyor.load_config({"links": "absolute"})).raise_for_error()
    assert os.readlink(workspace.spool / "rawdata") == str(workspace.qa / "rawdata")
    conveyor.retrieve(workspace.metadata).raise_for_error()


def test_a_workspace_behind_a_symlink(tmp_path: Path) -> None:
    """Where the path in the metadata goes through a symlink, links still lead to the data."""
    real = make_workspace(tmp_path / "volumes" / "deep" / "workspaces")
    (tmp_path / "lustre").symlink_to("volumes/deep")
    real.write_metadata(destinationDirectory=str(tmp_path / "lustre" / "workspaces" / "spool" / real.request))
    conveyor.deliver(real.metadata).raise_for_error()
    assert (real.spool / "products" / "folder" / "file.txt").exists()
    assert conveyor.status([real.metadata])[0].state is State.IN_QA
    conveyor.retrieve(real.metadata).raise_for_error()
    assert not (real.spool / "products").is_symlink()


def test_the_verdict(workspace: Workspace) -> None:
    """QA fail records the verdict, once, before the last trace of the delivery goes; the next delivery clears it."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    outcome = conveyor.qa_fail(workspace.metadata).raise_for_error()
    assert _steps(outcome)[-2:] == ["record-verdict", "close-qa-folder"]
    verdict = workspace.spool / ".conveyor" / "qa-fail.json"
    assert json.loads(verdict.read_text())["verdict"] == "qa-fail"
    assert conveyor.qa_fail(workspace.metadata).already
    assert workspace.weblog.is_dir()
    assert "clear-verdict" in _steps(conveyor.deliver(workspace.metadata).raise_for_error())
    assert not verdict.exists()


def test_a_verdict_on_what_is_not_in_qa_is_refused(workspace: Workspace) -> None:
    """A request that was never delivered, or is home already, is not failed, and the message says which of the two."""
    for says in ("was never delivered", "is home already"):
        before = inventory(workspace.root)
        for dry_run in (True, False):
            error = conveyor.qa_fail(workspace.metadata, dry_run=dry_run).error
            assert error is not None
            assert (error.code, error.retryable) == ("not-in-qa", False)
            assert f"{workspace.request} {says}" in error.message
        assert inventory(workspace.root) == before
        conveyor.deliver(workspace.metadata).raise_for_error()
        conveyor.retrieve(workspace.metadata).raise_for_error()


@pytest.mark.parametrize("steps", range(9))
def test_a_qa_fail_that_was_interrupted_is_finished_by_the_same_command(workspace: Workspace, steps: int) -> None:
    """Stopped after any number of steps, a QA fail that is run again ends with the verdict recorded and all at home."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    taken = itertools.count()
    request = resolve_request(workspace.metadata, None, conveyor.load_config())
    interrupted = Environment(stop=lambda: next(taken) >= steps)
    convey(request, Operation.QA_FAIL, interrupted, Outcome("qa-fail", None))
    outcome = conveyor.qa_fail(workspace.metadata).raise_for_error()
    assert outcome.state is State.IN_SPOOL
    assert (workspace.spool / ".conveyor" / "qa-fail.json").is_file()
    assert not workspace.qa.exists()


def test_a_capability_may_forget_the_weblog_after_a_qa_fail(workspace: Workspace) -> None:
    """With keep_after_qa_fail off, the cached weblog goes with the verdict."""
    config = workspace.root / "conveyor.toml"
    config.write_text(
        '[capabilities.brief]\nworkflows = ["brief"]\nqa_area = "qa2"\n'
        'directories = ["rawdata", "products", "working"]\nweblog = { keep_after_qa_fail = false }\n'
    )
    settings = conveyor.load_config(config=config)
    conveyor.deliver(workspace.metadata, capability="brief", config=settings).raise_for_error()
    assert workspace.weblog.is_dir()
    outcome = conveyor.qa_fail(workspace.metadata, capability="brief", config=settings).raise_for_error()
    assert _steps(outcome)[-3:] == ["record-verdict", "close-qa-folder", "forget-weblog"]
    assert list((workspace.root / "weblog-cache").iterdir()) == []


def test_the_newest_of_several_weblogs_wins(workspace: Workspace) -> None:
    """Of several weblog tars the newest is cached, and a warning names the others."""
    newest = workspace.spool / "products" / "uid___A001.weblog.tar"
    newest.write_bytes(weblog_tar("w", page="the newest"))
    os.utime(workspace.spool / "products" / "weblog.tgz", (1, 1))
    outcome = conveyor.deliver(workspace.metadata).raise_for_error()
    assert (workspace.weblog / HTML / "t1-1.html").read_text() == "the newest"
    assert (workspace.weblog / newest.name).is_file()
    assert outcome.warnings == (
        "several weblogs in products: took the newest, uid___A001.weblog.tar; passed over weblog.tgz",
    )


def test_without_a_weblog_there_is_a_warning(workspace: Workspace) -> None:
    """A request without a weblog is delivered, with a warning, and its receipt has none."""
    (workspace.spool / "products" / "weblog.tgz").unlink()
    outcome = conveyor.deliver(workspace.metadata).raise_for_error()
    assert "no weblog to cache" in outcome.warnings[0]
    assert json.loads((workspace.qa / "READY").read_text())["weblog"] is None


def test_a_missing_optional_directory(tmp_path: Path) -> None:
    """Imaging goes without rawdata: it is told as missing, and the request is in QA all the same."""
    workspace = make_workspace(tmp_path / "workspaces", qa_area="image-qa")
    shutil.rmtree(workspace.spool / "rawdata")
    outcome = conveyor.deliver(workspace.metadata).raise_for_error()
    assert outcome.state is State.IN_QA
    assert dict(outcome.directories) == {
        "rawdata": State.MISSING,
        "products": State.IN_QA,
        "working": State.IN_QA,
    }
    assert conveyor.retrieve(workspace.metadata).raise_for_error().state is State.IN_SPOOL


@pytest.mark.parametrize("lost", ["", HTML, f"{HTML}/stage1/plot.png"])
def test_a_weblog_that_was_removed_in_qa_comes_back_by_the_same_command(workspace: Workspace, lost: str) -> None:
    """A delivery of what is in QA puts a weblog in place again that is gone, as a whole or in part, and moves nothing."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    ready = (workspace.qa / "READY").stat()
    path = workspace.weblog / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if "plot" not in lost:
        assert conveyor.status([workspace.metadata])[0].weblog is None
    assert _steps(conveyor.deliver(workspace.metadata, dry_run=True)) == ["cache-weblog products/weblog.tgz"]
    outcome = conveyor.deliver(workspace.metadata).raise_for_error()
    assert (outcome.changed, _steps(outcome), outcome.state) == (
        True,
        ["cache-weblog products/weblog.tgz"],
        State.IN_QA,
    )
    assert outcome.weblog_page == str(workspace.weblog / HTML / "index.html")
    assert path.exists()
    assert (workspace.qa / "READY").stat() == ready
    assert conveyor.deliver(workspace.metadata).already


def test_what_stands_in_the_place_of_a_lost_weblog_is_left_alone(workspace: Workspace) -> None:
    """A delivery of what is in QA is done, whatever somebody put into the cache since."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    shutil.rmtree(workspace.weblog)
    workspace.weblog.mkdir()
    (workspace.weblog / "notes").write_text("x")
    assert conveyor.deliver(workspace.metadata).raise_for_error().already


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("weblog.tgz", "link", "weblog.tgz is a link"),
        ("weblog.tgz", "folder", "weblog.tgz is a directory"),
        ("weblog.tar.xz", "file", "weblog.tar.xz is no name of a weblog tar"),
        ("WEBLOG.TGZ", "file", "WEBLOG.TGZ is no name of a weblog tar"),
        ("r.weblog.zip", "file", "r.weblog.zip is no name of a weblog tar"),
    ],
)
def test_what_looks_like_a_weblog_is_named(workspace: Workspace, name: str, kind: str, says: str) -> None:
    """What is not taken, and why, is in the warning that there is none, and in the refusal where one is required."""
    products = workspace.spool / "products"
    (products / "weblog.tgz").rename(products / "page.html")
    if kind == "link":
        (products / name).symlink_to("page.html")
    elif kind == "folder":
        (products / name).mkdir()
    else:
        (products / name).write_text("x")
    (products / "._weblog.tgz").write_text("x")
    (warning,) = conveyor.deliver(workspace.metadata, dry_run=True).raise_for_error().warnings
    assert warning.startswith("no weblog to cache: nothing in products matches ")
    assert warning.endswith(f"; {says}")


def test_what_is_written_follows_the_umask(workspace: Workspace) -> None:
    """Everything that Conveyor writes is readable as the umask says: never 0600 by accident."""
    workspace.spool.chmod(0o750)
    before = os.umask(0o027)
    try:
        conveyor.deliver(workspace.metadata).raise_for_error()
    finally:
        os.umask(before)
    for path in (
        workspace.qa / "READY",
        workspace.spool / ".conveyor" / "history.jsonl",
        workspace.weblog / "weblog.tgz",
    ):
        assert path.stat().st_mode & 0o777 == 0o640
    for path in (workspace.qa, workspace.weblog, workspace.weblog / HTML):
        assert path.stat().st_mode & 0o777 == 0o750
    assert (workspace.weblog / HTML / "t1-1.html").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("mode", "file", "directory"), [(0o755, 0o644, 0o755), (0o2750, 0o640, 0o750)])
def test_who_reads_the_request_reads_its_delivery_whatever_the_umask(
    workspace: Workspace, mode: int, file: int, directory: int
) -> None:
    """An account whose umask keeps everybody out delivers what others can read; the next delivery mends an older one."""
    workspace.spool.chmod(mode)
    before = os.umask(0o077)
    try:
        conveyor.deliver(workspace.metadata).raise_for_error()
        _check_modes(workspace, file, directory)
        conveyor.retrieve(workspace.metadata).raise_for_error()
        for path in [workspace.weblog, *workspace.weblog.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o700 if path.is_dir() else 0o600)
        conveyor.deliver(workspace.metadata).raise_for_error()
        _check_modes(workspace, file, directory)
    finally:
        os.umask(before)


def _check_modes(workspace: Workspace, file: int, directory: int) -> None:
    made = [workspace.qa, workspace.qa / ".conveyor", workspace.spool / ".conveyor", workspace.qa / "READY"]
    for path in [*made, workspace.weblog.parent, workspace.weblog, *workspace.weblog.rglob("*")]:
        if not path.is_symlink():
            assert path.stat().st_mode & 0o777 == (directory if path.is_dir() else file), path


@pytest.mark.parametrize("how", ["exchange", "renames"])
def test_awkward_trees_go_out_and_home_unchanged(workspace: Workspace, how: str) -> None:
    """Holes, hard links, odd names, modes and nanoseconds are as before, in QA and at home, by exchange and by renames."""
    add_awkward_files(workspace)
    before = {name: inventory(workspace.spool, inside=name) for name in DIRECTORIES}
    environment = Environment(fs=FileSystem(exchange=_refused) if how == "renames" else FileSystem())
    for _ in range(2):
        outcome = _convey(workspace, Operation.DELIVER, environment)
        assert {step.detail for step in outcome.steps if step.step == "deliver"} == {how}
        assert {name: inventory(workspace.qa, inside=name) for name in DIRECTORIES} == before
        outcome = _convey(workspace, Operation.RETRIEVE, environment)
        assert {name: inventory(workspace.spool, inside=name) for name in DIRECTORIES} == before


def test_a_conveyance_on_a_fake_file_system(fs: FakeFilesystem) -> None:
    """The whole way out and home on pyfakefs, which has no exchange: every call is one that the port names."""
    del fs
    workspace = make_workspace(Path("/lustre/workspaces"), qa_area="image-qa")
    environment = Environment(fs=_OnFake(exchange=_refused, sync=lambda _: None, projects=NoProjects()))
    assert _convey(workspace, Operation.DELIVER, environment, IMAGING).state is State.IN_QA
    assert os.readlink(workspace.spool / "rawdata") == f"../../image-qa/{workspace.request}/rawdata"
    assert _convey(workspace, Operation.QA_FAIL, environment, IMAGING).state is State.IN_SPOOL
    assert (workspace.spool / "rawdata" / "folder" / "file.txt").read_text() == "the content of rawdata\n"


class _OnFake(FileSystem):
    """pyfakefs has no statvfs: the real one would be asked about a descriptor that only happens to be open."""

    def hindrance(self, directory: DirFd, name: str = "") -> None:
        del directory, name


def _refused(one: int, name: str, other: int, other_name: str) -> None:
    raise OSError(22, "Invalid argument")  # as Lustre's client answers


def _convey(
    workspace: Workspace, operation: Operation, environment: Environment, capability: conveyor.Capability = CALIBRATION
) -> Outcome:
    area, cache = workspace.root / workspace.qa_area, workspace.root / "weblog-cache"
    places = Places(workspace.request, workspace.spool, area, cache, relative_links=True)
    request = Request(places, capability, "13B-014", Limits(10**9, 10**6, 200))
    return convey(request, operation, environment, Outcome(str(operation), None)).raise_for_error()


def test_an_area_that_is_taken_away_in_the_middle_is_the_servers_doing(workspace: Workspace) -> None:
    """An NFS export that goes answers as if the account had no permission: worth another try, and the state is not known."""

    class TakenAway(FileSystem):
        gone = False

        def exchange(self, *_: object) -> None:
            self.gone = True
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(workspace.spool))

        def open_root(self, path: Path) -> DirFd:
            if self.gone:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return super().open_root(path)

        def lstat(self, directory: DirFd, name: str) -> Entry | None:
            if self.gone:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory.path / name))
            return super().lstat(directory, name)

    request = resolve_request(workspace.metadata, None, conveyor.load_config())
    outcome = convey(request, Operation.DELIVER, Environment(TakenAway()), Outcome("deliver", str(workspace.metadata)))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.retryable, outcome.state) == ("io-failed", True, None)
    assert "cannot be opened any more" in outcome.error.message
    conveyor.deliver(workspace.metadata).raise_for_error()


@pytest.mark.parametrize(("failure", "code"), [(RuntimeError("a bug"), "internal"), (KeyboardInterrupt(), None)])
def test_a_run_that_nobody_foresaw_to_end_is_not_told_as_done(
    workspace: Workspace, failure: BaseException, code: str | None
) -> None:
    """A bug, or a Ctrl-C in a program that uses the API, in the middle: neither outcome nor history denies what was done."""

    def end(level: str, event: str, **fields: object) -> None:
        if fields.get("step") == "link":
            raise failure

    if code is None:
        with pytest.raises(KeyboardInterrupt):
            conveyor.deliver(workspace.metadata, on_event=end)
    else:
        outcome = conveyor.deliver(workspace.metadata, on_event=end)
        assert outcome.error is not None
        assert (outcome.error.code, outcome.changed, outcome.state) == (code, True, State.IN_TRANSIT)
    last = json.loads((workspace.spool / ".conveyor" / "history.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["outcome"], last["error"]) == ("end", "stopped", code or "interrupted")
    assert conveyor.deliver(workspace.metadata).raise_for_error().state is State.IN_QA
