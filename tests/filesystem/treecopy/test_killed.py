"""Killed at any instant, the copying process or one of those that it forked: nothing hangs, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import IoFailedError
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, Side, Totals
from support.trees import ALONE, TOGETHER, Pair, made, make_tree, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A tree of small files and of one big one, of five blocks, with a few hard links."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    pair = Pair(tmp_path / "one", tmp_path / "other", replace(TOGETHER, block=100_000, buffer=10_000, checkpoint=0.0))
    make_tree(pair.source, 20, 8)
    (pair.source / "folder 3" / "big").write_bytes(random.Random(0).randbytes(470_000))
    with closing(pair.stack):
        yield pair


def run(pair: Pair, max_rate: int | None = None) -> int:
    """Copy in a process of its own; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            pair.copy(max_rate=max_rate)
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def children(pid: int) -> list[int]:
    """The processes that a process has forked; Linux tells (proc(5))."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []


@pytest.mark.parametrize("options", [TOGETHER, ALONE], ids=["together", "alone"])
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_the_copy_is_whole_in_the_end(pair: Pair, seed: int, options: object) -> None:
    """A copy that is killed again and again, and then let through, is the source, and the manifest says so."""
    dice = random.Random(seed)
    if options is ALONE:
        pair.options = replace(pair.options, workers=1)
    kills = 0
    for _ in range(25):
        pid = run(pair)
        time.sleep(dice.uniform(0.0, 0.25))
        os.kill(pid, signal.SIGKILL)
        code = ended(pid)
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        if code == 0:
            assert same(pair.copied) == same(pair.source)
            pair.remove(pair.copied)
    assert kills > 5
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)
    assert pair.verify() == set()


def test_what_was_proven_before_a_kill_is_not_copied_again(pair: Pair) -> None:
    """What the manifest had by the kill stays as it is: files, and the first blocks of the big one."""
    pid = run(pair, max_rate=300_000)
    while (
        not (pair.copied / "folder 3" / "big").exists() or (pair.copied / "folder 3" / "big").stat().st_size < 250_000
    ):
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    assert ended(pid) == -signal.SIGKILL
    before = made(pair.copied)
    pair.copy()
    now = made(pair.copied)
    assert same(pair.copied) == same(pair.source)
    assert now["folder 3/big"][0] == before["folder 3/big"][0]
    kept = [name for name in before if now[name] == before[name]]
    assert len(kept) > len(before) / 2


def test_workers_end_with_the_process_that_forked_them(pair: Pair) -> None:
    """Where the copying process is killed, none of its workers goes on."""
    pid = run(pair, max_rate=30_000)
    while len(workers := children(pid)) < pair.options.workers:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    while any(os.path.exists(f"/proc/{worker}") for worker in workers):  # a hang here is the failure
        time.sleep(0.01)
    assert len(workers) == pair.options.workers


def test_a_worker_that_is_killed_is_an_error(pair: Pair) -> None:
    """Where a worker dies, the copy ends with 74 and a hint, not with a hang, and the next run goes on."""
    killed: list[int] = []

    def kill(phase: str, done: Totals, total: Totals) -> None:
        if phase == "copy" and not killed and (workers := children(os.getpid())):
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    with pytest.raises(IoFailedError, match="killed by SIGKILL") as caught:
        pair.copy(CopyMonitor(kill), max_rate=100_000)
    assert caught.value.exit_code == 74
    assert children(os.getpid()) == []
    pair.copy()
    assert same(pair.copied) == same(pair.source)
