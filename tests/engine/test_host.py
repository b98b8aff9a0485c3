"""Who a process is, and whether it is gone: what can be known on the own host, and nothing beyond."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.host import Host, Process
from support.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Workspace


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for its input to end."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def identity(process: subprocess.Popen[bytes]) -> Process:
    fields = _stat(process.pid).rpartition(")")[2].split()
    return replace(Host().this_process(), pid=process.pid, started=fields[19])


def _stat(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read()


def fake_proc(folder: Path, stats: dict[str, str]) -> Host:
    """A host whose ``/proc`` has these processes, and this one."""
    for pid, stat in ({str(os.getpid()): _stat(os.getpid())} | stats).items():
        (folder / pid).mkdir(parents=True)
        (folder / pid / "stat").write_text(stat)
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text("this boot\n")
    (folder / "self/ns").mkdir(parents=True)
    (folder / "self/ns/pid").symlink_to("pid:[1]")
    (folder / "machine-id").write_text("this machine\n")
    return Host(folder, folder / "machine-id")


def test_this_process_is_known_by_all_that_tells_it_apart() -> None:
    """Host, boot, namespace, pid and start time are all there on Linux, and the process is not dead."""
    mine = Host().this_process()
    assert mine.pid == os.getpid()
    assert all((mine.host, mine.boot, mine.namespace, mine.started))
    assert not Host().is_dead(mine)
    assert Host().this_process() == mine


def test_a_process_is_dead_as_soon_as_it_has_ended(child: subprocess.Popen[bytes]) -> None:
    """A living process is not dead; a killed one is, before its parent has asked for it and afterwards."""
    theirs = identity(child)
    assert not Host().is_dead(theirs)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert _stat(child.pid).rpartition(")")[2].split()[0] == "Z"
    assert Host().is_dead(theirs)
    child.wait()
    assert Host().is_dead(theirs)


def test_a_pid_that_was_given_out_again_is_another_process(child: subprocess.Popen[bytes]) -> None:
    """The same pid with another start time is not the holder, who is dead."""
    assert Host().is_dead(replace(identity(child), started="17"))


@pytest.mark.parametrize("name", ["conveyor", "two words", "a) S 1 (b", "((("])
def test_a_program_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Spaces and parentheses in a program's name do not shift the fields after it."""
    numbers = " ".join(str(number) for number in range(1, 50))
    host = fake_proc(tmp_path / "proc", {"4000001": f"4000001 ({name}) S {numbers}"})
    theirs = replace(host.this_process(), pid=4000001, started="19")
    assert not host.is_dead(theirs)
    assert host.is_dead(replace(theirs, started="18"))


def test_a_process_that_is_nowhere_is_dead(tmp_path: Path) -> None:
    """No entry in /proc, and nobody to signal."""
    host = fake_proc(tmp_path / "proc", {})
    assert host.is_dead(replace(host.this_process(), pid=4194305, started="1"))


def test_a_process_that_proc_hides_is_not_dead(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    """Where /proc hides what others run (hidepid), a holder that can be signalled is alive."""
    host = fake_proc(tmp_path / "proc", {})
    assert not host.is_dead(replace(host.this_process(), pid=child.pid, started="1"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_another_accounts_process_that_proc_hides_is_not_dead(
    public_workspace: Workspace, child: subprocess.Popen[bytes]
) -> None:
    """The same where it may not even be signalled: that it may not be says that it is there."""
    host = fake_proc(public_workspace.root / "proc", {})
    act = as_nobody(public_workspace.root)
    # The forked account has a pid of its own, so its start time has to be there too.
    theirs = replace(host.this_process(), pid=child.pid, started="1")

    def ask() -> bool:
        (public_workspace.root / "proc" / str(os.getpid())).mkdir()
        (public_workspace.root / "proc" / str(os.getpid()) / "stat").write_text(_stat(os.getpid()))
        return host.is_dead(theirs)

    assert act(ask) is False


@pytest.mark.parametrize("pid", [0, -1, 2**70, "x"])
def test_a_pid_that_is_none_is_never_guessed_at(tmp_path: Path, pid: object) -> None:
    """A claim may say anything; what cannot be a process is not taken for a dead one."""
    host = fake_proc(tmp_path / "proc", {})
    assert not host.is_dead(replace(host.this_process(), pid=pid, started="1"))  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["sys/kernel/random/boot_id", str(os.getpid())], ids=["boot", "itself"])
def test_a_host_that_does_not_know_itself_takes_nobody_for_dead(tmp_path: Path, missing: str) -> None:
    """Without /proc, or parts of it, nothing is sure."""
    proc = tmp_path / "proc"
    host = fake_proc(proc, {})
    theirs = replace(host.this_process(), pid=4194305, started="1")
    assert host.is_dead(theirs)
    (proc / missing).rename(tmp_path / "gone")
    assert not host.is_dead(theirs)
    assert not Host(tmp_path / "no proc", proc / "machine-id").is_dead(theirs)
