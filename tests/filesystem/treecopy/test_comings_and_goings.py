"""What goes, comes back or becomes something else between two looks of a copy, or of a verification."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.treecopy.compare import ContentCheck
from conveyor.filesystem.treecopy.content import Content
from conveyor.filesystem.treecopy.copy_directory import CopyWalk
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, Side, Totals
from support.trees import Pair, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.treecopy.messages import Task
    from conveyor.filesystem.treecopy.walk import TreeWalk
    from conveyor.filesystem.treecopy.worker_context import WorkerContext


@pytest.fixture
def pair(pair: Pair) -> Pair:
    """The small tree, with a directory of many names."""
    (pair.source / "many").mkdir()
    for number in range(12):
        (pair.source / "many" / str(number)).write_text(str(number))
    return pair


@pytest.mark.parametrize("name", ["folder 1", "folder 1/inner", "many"])
def test_a_directory_that_goes_and_comes_back_between_the_looks_is_copied(pair: Pair, name: str) -> None:
    """One look finds it gone, so that its copy goes; its files did not change, and the next look copies them again."""
    there, away, copy = pair.source / name, pair.one / "away", pair.copied / name
    steps: list[str] = []

    def progress(phase: str, _done: Totals, _total: Totals) -> None:
        if phase == "check" and not steps:
            there.rename(away)
            steps.append("away")
        elif steps == ["away"] and not copy.exists():
            away.rename(there)
            steps.append("back")

    pair.copy(CopyMonitor(progress))
    assert steps == ["away", "back"]
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)


def test_a_directory_of_many_names_may_lose_most_of_them(pair: Pair) -> None:
    """A part of it that is empty by the next call has nothing recorded any more, so that nothing is missed in it."""
    pair.copy()
    for number in range(1, 12):
        (pair.source / "many" / str(number)).unlink()
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)


def test_a_directory_of_many_names_that_gets_another_one_keeps_its_attributes(pair: Pair) -> None:
    """An empty directory that somebody makes between the looks is a change, so that the one above is looked at again."""

    def progress(phase: str, _done: Totals, _total: Totals) -> None:
        if phase == "check":
            (pair.source / "many" / "new").mkdir(exist_ok=True)

    pair.copy(CopyMonitor(progress))
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.COPY)


def before_tasks(monkeypatch: pytest.MonkeyPatch, walk: type[TreeWalk], act: Callable[[str], None]) -> None:
    """Have something done before each task of a walk, in the process that performs it; ``act`` is told the task's kind."""
    do = walk.do

    def done_after(self: TreeWalk, task: Task, context: WorkerContext) -> None:
        act(type(task).__name__)
        do(self, task, context)

    monkeypatch.setattr(walk, "do", done_after)


@pytest.mark.parametrize("kind", ["FIFO", "link", "directory", "gone", "gone with its directory", "moved"])
@pytest.mark.parametrize("task", ["LargeFileTask", "HardlinksTask"])
def test_a_file_that_becomes_something_else_before_its_turn_is_copied_as_that(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, kind: str, task: str
) -> None:
    """A large file, or one of several names, waits for its turn: what it is by then is found by the next look."""
    file = pair.source / "folder 1" / "inner" / "in question"
    file.write_bytes(bytes(range(250)) * 20)
    if task == "HardlinksTask":
        os.link(file, pair.source / "second name")

    def act(now: str) -> None:
        if now != task:
            return
        try:
            (pair.one / "done").touch(exist_ok=False)
        except FileExistsError:  # another process came first
            return
        match kind:
            case "gone with its directory":
                shutil.rmtree(file.parent)
                file.parent.write_text("a file by now")
            case "moved":
                file.parent.rename(pair.source / "moved")
            case _:
                file.unlink()
        match kind:
            case "FIFO":
                os.mkfifo(file)
            case "link":
                file.symlink_to("file 1")
            case "directory":
                file.mkdir()

    before_tasks(monkeypatch, CopyWalk, act)
    pair.copy(block=4096)
    assert (pair.one / "done").exists()
    assert same(pair.copied) == same(pair.source)


def test_a_directory_of_many_names_that_is_moved_between_its_parts_is_copied(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of its parts is no error: the next look finds all of it where it is by then."""

    def act(task: str) -> None:
        if task == "ChunkTask" and (pair.source / "many").exists():
            (pair.source / "many").rename(pair.source / "moved")

    before_tasks(monkeypatch, CopyWalk, act)
    pair.copy(chunk_size=4, workers=1)
    assert same(pair.copied) == same(pair.source)


@pytest.mark.parametrize("name", ["folder 1", "many"])
def test_what_is_removed_while_a_copy_is_verified_is_missing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """An analyst may remove a directory between the look at its parent and its own turn; that is told, and no error."""
    pair.copy()
    number = 0

    def act(_task: str) -> None:
        nonlocal number
        number += 1
        if number == 2:
            shutil.rmtree(pair.copied / name)

    before_tasks(monkeypatch, ContentCheck, act)
    pair.options = replace(pair.options, workers=1)
    found = pair.verify()
    assert (name, "missing") in found or ("many/0", "missing") in found
    assert {change for _, change in found} <= {"missing", "touched"}


def test_what_is_written_while_it_is_read_has_not_rotted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read a file may take an hour: who writes to it meanwhile has changed it."""
    pair.copy()
    file, digest = pair.copied / "folder 3" / "inner" / "file 5", Content.digest
    size, inode = file.stat().st_size, file.stat().st_ino

    def read(self: Content, descriptor: int, length: int, context: WorkerContext) -> bytes:
        if os.fstat(descriptor).st_ino == inode:
            file.write_bytes(b"9" * size)
        return digest(self, descriptor, length, context)

    monkeypatch.setattr(Content, "digest", read)
    assert pair.verify() == {("folder 3/inner/file 5", "changed")}
