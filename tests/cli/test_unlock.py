"""``conveyor unlock``: the claim of a host that is gone is given up by whoever says so; every other one is left alone."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.claim import Holder
from conveyor.engine.host import Host, Process
from support.inventory import inventory

if TYPE_CHECKING:
    from support.workspace import Workspace

GONE = Process("tapehost07", "", "", "", 4711, "")
PROGRAM = Path(sys.executable).with_name("conveyor")


def hold(workspace: Workspace, process: Process) -> None:
    inner = workspace.spool / ".conveyor"
    inner.mkdir(exist_ok=True)
    (inner / "claim.1").symlink_to(Holder(process, "2026-11-24T03:00:00.000+00:00", "x").text)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def answer(word: str, *arguments: object) -> tuple[int, str]:
    """Run the program at a terminal of its own, answering its question; its exit status and all that was shown."""
    shown = bytearray()
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has what it runs in the background ignore it
        os.execv(PROGRAM, [str(PROGRAM), *map(str, arguments)])
    patience = 60
    while patience:
        if not select.select([terminal], [], [], 1)[0]:
            patience -= 1
            # What is typed before the program listens may be lost, Ctrl-C even at the moment at which it begins to.
            if shown.endswith(b"[y/N]: ") or (b"[y/N]: " in shown and patience % 10 == 0):
                os.write(terminal, word.encode())
            continue
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other side has closed it
            break
    else:
        os.kill(child, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_the_claim_of_a_host_that_is_gone_is_given_up(workspace: Workspace) -> None:
    """A delivery that another host's claim keeps out goes on after unlock, which names the holder and is in the history."""
    hold(workspace, GONE)
    assert run("deliver", workspace.metadata).returncode == 75
    done = run("unlock", "--yes", workspace.metadata)
    assert (done.returncode, done.stdout) == (0, "tmpiox5trbp (calibration): unlocked, now in-spool\n")
    assert "pid 4711 on tapehost07, since 2026-11-24T03:00" in done.stderr
    assert not list((workspace.spool / ".conveyor").glob("claim.*"))
    [_, line] = (workspace.spool / ".conveyor" / "history.jsonl").read_text().splitlines()
    assert json.loads(line)["detail"].startswith("gave up the claim of pid 4711 on tapehost07")
    assert run("deliver", workspace.metadata).returncode == 0


def test_the_claim_on_what_people_say_is_given_up_too(workspace: Workspace) -> None:
    """A host that died while somebody wrote a note keeps nobody from writing the next one."""
    hold(workspace, GONE)
    (workspace.spool / ".conveyor" / "claim.1").rename(workspace.spool / ".conveyor" / "qa-claim.1")
    assert run("unlock", "--yes", workspace.metadata).returncode == 0
    assert not list((workspace.spool / ".conveyor").glob("qa-claim.*"))
    assert run("note", workspace.metadata, "look at spw 3").returncode == 0


@pytest.mark.parametrize(("word", "status"), [("y\n", 0), ("n\n", 75), ("\n", 75), ("\x03", 75), ("\x04", 75)])
def test_a_person_is_asked(workspace: Workspace, word: str, status: int) -> None:
    """At a terminal only a clear yes gives a claim up; anything else, Ctrl-C too, leaves it and ends with 75."""
    hold(workspace, GONE)
    ended, shown = answer(word, "unlock", workspace.metadata)
    assert (ended, "two at once can lose data" in shown) == (status, True)
    assert bool(list((workspace.spool / ".conveyor").glob("claim.*"))) == (status != 0)
    assert "Traceback" not in shown


def test_where_nobody_can_be_asked_nothing_is_given_up(workspace: Workspace) -> None:
    """Without a terminal and without --yes the claim stays, and the message says what to do."""
    hold(workspace, GONE)
    before = inventory(workspace.root)
    done = run("unlock", workspace.metadata)
    assert done.returncode == 75
    assert "at a terminal, or with --yes" in done.stderr
    assert inventory(workspace.root) == before


def test_a_holder_that_lives_here_is_never_unlocked(workspace: Workspace) -> None:
    """The claim of a living process of this host stays, whatever anybody says."""
    hold(workspace, Host().this_process())
    before = inventory(workspace.root)
    done = run("unlock", "--yes", workspace.metadata)
    assert done.returncode == 75
    assert f"kill {os.getpid()}" in done.stderr
    assert inventory(workspace.root) == before


@pytest.mark.parametrize("dead", [False, True], ids=["free", "holder died here"])
def test_where_nothing_needs_unlocking_nothing_is_done(workspace: Workspace, dead: bool) -> None:
    """A free request, and one whose holder is known to be dead, are left as they are: the next run goes on by itself."""
    if dead:
        hold(workspace, replace(Host().this_process(), started="1"))
    before = inventory(workspace.root)
    done = run("unlock", "--yes", workspace.metadata)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to unlock" in done.stdout
    assert inventory(workspace.root) == before


def test_a_claim_of_nobody_known_can_be_given_up(workspace: Workspace) -> None:
    """A claim that cannot be read keeps everybody out until a person gives it up."""
    (workspace.spool / ".conveyor").mkdir()
    (workspace.spool / ".conveyor" / "claim.1").symlink_to("what is this")
    assert run("deliver", workspace.metadata).returncode == 75
    assert run("unlock", "--yes", workspace.metadata).returncode == 0
    assert run("deliver", workspace.metadata).returncode == 0
