"""A DAG that is followed, without a pool: what is told of the copies that its jobs make, and when."""

from __future__ import annotations

import errno
import io
import re
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor import Operation, deliver, load_config
from conveyor.api.runners import Batch
from conveyor.cli import main as program
from conveyor.engine.context import Environment
from conveyor.engine.host import Host
from conveyor.htcondor import job_progress as module
from conveyor.htcondor.dag import draft
from conveyor.htcondor.dag_folder import DagFolder
from conveyor.htcondor.job_progress import CopyProgress
from conveyor.htcondor.node import run_node
from conveyor.htcondor.runner import HTCondorRunner, Update
from support.fake_pool import DONE, POSTRUN, READY, SUBMITTED, FakePool, copy_is_at
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.documents.kept_documents import Progress

Told = list[tuple[str, int | None]]


def noting(told: Told) -> Environment:
    """A world whose watcher notes how many bytes are copied."""
    return Environment(on_progress=lambda request, progress: told.append((request, progress and progress.bytes)))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> FakePool:
    """A pool in which nothing happens yet."""
    fake = FakePool()
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def requests(tmp_path: Path) -> list[Workspace]:
    """Two requests, ``one`` and ``two``."""
    return [make_workspace(tmp_path / "workspaces", request=name) for name in ("one", "two")]


def order_of(requests: list[Workspace], environment: Environment) -> Batch:
    return Batch(Operation.DELIVER, tuple(one.metadata for one in requests), None, load_config(), environment)


def test_the_copies_of_several_jobs_are_told_while_they_run(pool: FakePool, requests: list[Workspace]) -> None:
    """Each request's figures are told as they become new, and their end before it is told that the request is done."""
    told: list[object] = []
    one, two = requests

    def watch(request: str, progress: Progress | None) -> None:
        told.append((request, progress and progress.bytes))

    def news(news: Update) -> None:
        if news.outcome is not None:
            told.append(f"{news.done} of {news.total}")

    def step(first: int | None, second: int | None, **nodes: int | tuple[int, str]) -> None:
        copy_is_at(one, first)
        copy_is_at(two, second)
        pool.tell(**nodes)

    pool.acts = [
        lambda: None,  # there is no status file yet
        lambda: step(1, 10, one=SUBMITTED, two=SUBMITTED),
        lambda: step(2, 20, one=SUBMITTED, two=SUBMITTED),
        lambda: step(2, 30, one=SUBMITTED, two=SUBMITTED),
        lambda: step(None, 30, one=POSTRUN, two=SUBMITTED),
        lambda: step(None, 30, one=DONE, two=(SUBMITTED, "idle")),  # evicted, its host cannot be asked
        lambda: step(None, 40, one=DONE, two=DONE),
    ]
    outcomes = HTCondorRunner(news).convey(order_of(requests, Environment(on_progress=watch)))
    assert len(outcomes) == 2
    expected = [("one", 2), ("two", 20), ("two", 30), ("one", None), ("two", None), "1 of 2", "2 of 2"]
    assert told == expected


def test_who_asks_to_stop_is_asked_after_the_display_is_gone(pool: FakePool, requests: list[Workspace]) -> None:
    """A request to stop ends what is told of the copies before it is asked what becomes of the jobs."""
    told: list[object] = []
    one, two = requests

    def step(done: int) -> None:
        copy_is_at(one, done)
        pool.tell(one=SUBMITTED, two=READY)

    def remove() -> bool:
        told.append("asked")
        return False

    pool.acts = [lambda: step(1), lambda: step(2), lambda: step(3), lambda: None]
    environment = Environment(
        on_progress=lambda request, progress: told.append((request, progress and progress.bytes)),
        stop=lambda: ("one", 2) in told,
    )
    outcomes = HTCondorRunner(should_remove=remove).convey(order_of([one, two], environment))
    assert told == [("one", 2), ("one", None), "asked"]
    assert [one.error and one.error.code for one in outcomes] == ["interrupted", "interrupted"]


class Terminal(io.StringIO):
    """A terminal that remembers what was shown on it."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_copies_of_a_pool(
    pool: FakePool, requests: list[Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The display of a local run is on the terminal, a line a request; that a request is done is a line of its own."""
    one, two = requests

    def step(first: int, second: int, **nodes: int) -> None:
        copy_is_at(one, first)
        copy_is_at(two, second)
        pool.tell(**nodes)

    def end_of_first() -> None:
        copy_is_at(one, None)
        assert pool.folder is not None
        assert run_node(DagFolder.read(pool.folder), "0001-one").ok
        step(1_600_000, 1_800_000, one=DONE, two=SUBMITTED)

    pool.acts = [
        lambda: step(100_000, 200_000, one=SUBMITTED, two=SUBMITTED),
        lambda: step(1_500_000, 1_700_000, one=SUBMITTED, two=SUBMITTED),
        end_of_first,
        lambda: pool.tell(one=DONE, two=DONE),
    ]
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(
        sys, "argv", ["conveyor", "deliver", "--runner", "htcondor", str(one.metadata), str(two.metadata)]
    )
    with pytest.raises(SystemExit):
        program.run()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    for request, copied in (("one", "1.5 MB"), ("two", "1.7 MB"), ("two", "1.8 MB")):
        assert re.search(rf"{request}/rawdata .* copy, {copied} of 3 MB, 1 of 2 files, 500 kB/s, 0:00:03 left", shown)
    assert f"conveyor: 1 of 2: one (calibration): delivered to {one.qa}" in shown.splitlines()
    assert sys.stderr is terminal


@pytest.fixture
def folder(workspace: Workspace, tmp_path: Path) -> DagFolder:
    """What a DAG of one request is about."""
    return draft(order_of([workspace], Environment()), tmp_path / "dag").folder


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_does_not_move_is_not_told(workspace: Workspace, folder: DagFolder) -> None:
    """Figures that were there before are told of no more than those that stay the same for long, until they move again."""
    told: Told = []
    clock = Clock()
    copies = CopyProgress(folder, noting(told), clock)

    def look(done: int, seconds: int) -> Told:
        copy_is_at(workspace, done)
        clock.now += seconds
        copies.update(folder.nodes)
        since, told[:] = list(told), []
        return since

    name = workspace.request
    assert look(1, 1) == []
    assert look(1, 1000) == []
    assert look(2, 1) == [(name, 2)]
    assert look(2, 60) == []
    assert look(3, 60) == [(name, 3)]
    assert look(3, 91) == [(name, None)]
    assert look(3, 91) == []
    assert look(4, 1) == [(name, 4)]
    copies.close()
    assert told == [(name, None)]


def test_a_job_that_died_is_not_told(workspace: Workspace, folder: DagFolder) -> None:
    """Of a claim whose holder is surely dead nothing is told, as status tells nothing of it, however new its figures are."""
    told: Told = []
    copies = CopyProgress(folder, noting(told))
    dead = replace(Host().this_process(), started="0")
    for done in range(3):
        copy_is_at(workspace, done, dead)
        copies.update(folder.nodes)
    assert told == []


def test_what_runs_no_job_is_not_even_looked_at(
    pool: FakePool, requests: list[Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of nodes that wait, are idle, are over or run their script no file is read, whatever it holds."""
    looked: list[str] = []
    monkeypatch.setattr(CopyProgress, "_look", lambda _, node: looked.append(node.name))
    pool.acts = [
        lambda: pool.tell(one=READY, two=(SUBMITTED, "idle")),
        lambda: pool.tell(one=POSTRUN, two=SUBMITTED),
        lambda: pool.tell(one=DONE, two=DONE),
    ]
    HTCondorRunner().convey(order_of(requests, Environment()))
    assert looked == ["0002-two"]


@pytest.mark.parametrize("what", ["stale", "request gone", "no folder of ours", "somebody's file"])
def test_what_cannot_be_read_ends_nothing(
    workspace: Workspace, folder: DagFolder, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that cannot be looked at is told to be over, and nothing is raised; when it can be again, it goes on."""
    told: Told = []
    copies = CopyProgress(folder, noting(told))

    def look(done: int) -> None:
        copy_is_at(workspace, done)
        copies.update(folder.nodes)

    def stale(*_: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    look(1)
    look(2)
    aside = workspace.root / "aside"
    with monkeypatch.context() as patch:
        match what:
            case "stale":
                patch.setattr(module, "copy_progress", stale)
            case "request gone":
                workspace.spool.rename(aside)
            case "no folder of ours":
                shutil.rmtree(workspace.spool / ".conveyor")
            case _:
                (workspace.spool / ".conveyor" / "progress.json").write_text("[]")
        copies.update(folder.nodes)
    if aside.exists():
        aside.rename(workspace.spool)
    look(3)
    look(4)
    name = workspace.request
    assert told == [(name, 2), (name, None), (name, 4)]


def test_metadata_that_cannot_be_read_ends_nothing(workspace: Workspace, folder: DagFolder) -> None:
    """Nothing is told, or raised, of a request whose metadata is not there; it is told of as soon as it is."""
    told: Told = []
    copies = CopyProgress(folder, noting(told))
    metadata = workspace.metadata.read_bytes()
    workspace.metadata.unlink()
    for done in range(4):
        copy_is_at(workspace, done)
        copies.update(folder.nodes)
        if done == 1:
            workspace.metadata.write_bytes(metadata)
    assert told == [(workspace.request, 3)]


@pytest.mark.parametrize("status", [1, 5])
def test_a_dag_whose_folder_is_gone_is_ended(pool: FakePool, requests: list[Workspace], status: int) -> None:
    """DAGMan's job that waits for a folder which was removed is removed, so that it undoes nothing when that is back."""
    one, two = requests

    def lose() -> None:
        assert pool.folder is not None
        deliver(one.metadata).raise_for_error()
        shutil.rmtree(pool.folder)
        pool.status = status

    pool.acts = [lambda: None, lose, *[lambda: None] * 60]
    outcomes = HTCondorRunner().convey(order_of([one, two], Environment()))
    assert pool.removed == "its folder is gone"
    assert [outcome.state for outcome in outcomes] == ["in-qa", "in-spool"]
    assert outcomes[0].error is None
    assert outcomes[1].error is not None
    assert f"the folder of the DAG, {pool.folder}, is gone" in outcomes[1].error.message


def test_a_folder_that_is_not_seen_for_a_moment_ends_nothing(pool: FakePool, requests: list[Workspace]) -> None:
    """A server that is slow once is waited for."""
    one, two = requests

    def hide() -> None:
        assert pool.folder is not None
        pool.status = 1
        pool.folder.rename(pool.folder.with_name("hidden"))

    def show() -> None:
        assert pool.folder is not None
        pool.folder.with_name("hidden").rename(pool.folder)

    def finish() -> None:
        pool.tell(one=DONE, two=DONE)

    pool.acts = [lambda: None] * 4 + [hide, lambda: None, lambda: None, show] + [lambda: None] * 12 + [finish]
    outcomes = HTCondorRunner().convey(order_of([one, two], Environment()))
    assert pool.removed is None
    assert len(outcomes) == 2
