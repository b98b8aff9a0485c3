"""The claim: one holder at a time, on one host or several, whatever becomes of the holder."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import random
import signal
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor import ConveyorError, read_metadata
from conveyor.engine.claim import Claim, Holder, current_claim
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.host import Host, Process
from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import locate
from conveyor.settings.model import Settings
from support.inventory import inventory
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

FORK = multiprocessing.get_context("fork")


def open_ends(workspace: Workspace) -> Endpoints:
    return Endpoints(FileSystem(), locate(read_metadata(workspace.metadata), Settings(), "qa2"))


def claims(workspace: Workspace) -> dict[str, str]:
    folder = workspace.spool / ".conveyor"
    return {path.name: os.readlink(path) for path in folder.iterdir()} if folder.exists() else {}


def put_claim(workspace: Workspace, text: str, number: int = 1) -> None:
    (workspace.spool / ".conveyor").mkdir(exist_ok=True)
    (workspace.spool / ".conveyor" / f"claim.{number}").symlink_to(text)


def take(workspace: Workspace, host: Host | None = None, *, used: bool = True) -> str | None:
    """Take a claim and give it back; the code of the refusal, or None."""
    try:
        with open_ends(workspace) as endpoints, Claim(endpoints.spool, host or Host()) as claim:
            claim.used = used
    except ConveyorError as error:
        return error.code
    return None


def ended_process() -> BaseProcess:
    child = FORK.Process(target=time.sleep, args=(60,))
    child.start()
    return child


def identity_of(child: BaseProcess) -> Process:
    mine = Host().this_process()
    stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    assert child.pid is not None
    return replace(mine, pid=child.pid, started=stat[19])


def test_a_held_request_is_refused_and_a_released_one_is_not(workspace: Workspace) -> None:
    """While a claim is held nobody else gets one; afterwards the next one does, and nothing of the claim stays."""
    with open_ends(workspace) as endpoints, Claim(endpoints.spool, Host()) as claim:
        claim.used = True
        assert take(workspace) == "locked"
        assert list(claims(workspace)) == ["claim.1"]
    assert claims(workspace) == {}
    assert take(workspace) is None


def test_a_held_request_is_refused_and_changes_nothing(workspace: Workspace) -> None:
    """Who comes while another holds the request ends with 75, and every file and time is as it was."""
    put_claim(workspace, Holder(Process("another", "", "", "", 1, ""), "then").text)
    before = inventory(workspace.root)
    for command in (conveyor.deliver, conveyor.retrieve, conveyor.qa_fail):
        refused = command(workspace.metadata).error
        assert refused is not None
        assert (refused.exit_code, "pid 1 on another" in refused.message) == (75, True)
    assert inventory(workspace.root) == before


def test_a_run_whose_claim_is_taken_away_stops(workspace: Workspace) -> None:
    """A run that an operator gave up for dead, and that was not, ends before its next step; the next one completes it."""
    claim = workspace.spool / ".conveyor" / "claim.1"

    def give_up(level: str, event: str, **details: object) -> None:
        if event.startswith("move rawdata"):
            claim.unlink()

    stopped = conveyor.deliver(workspace.metadata, on_event=give_up)
    assert stopped.error is not None
    assert (stopped.error.code, stopped.state) == ("locked", "in-transit")
    assert "was taken away" in stopped.error.message
    assert [step.subject for step in stopped.steps if step.step == "deliver"] == ["rawdata"]
    assert conveyor.deliver(workspace.metadata).raise_for_error().state == "in-qa"


def test_no_lock_is_asked_for(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever flock and its kin do on this file system, a conveyance asks for none of them."""
    asked = []
    for name in ("flock", "lockf", "fcntl"):
        monkeypatch.setattr(fcntl, name, lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(os, "lockf", lambda *arguments: asked.append(arguments))
    conveyor.deliver(workspace.metadata).raise_for_error()
    conveyor.retrieve(workspace.metadata).raise_for_error()
    assert asked == []


def test_a_claim_that_was_not_used_leaves_no_trace(workspace: Workspace) -> None:
    """Taking a claim and doing nothing changes nothing: no file, no time of a folder; the first time and later."""
    for _ in range(2):
        before = inventory(workspace.root)
        assert take(workspace, used=False) is None
        assert inventory(workspace.root) == before
        (workspace.spool / ".conveyor").mkdir(exist_ok=True)


def test_a_holder_that_died_here_is_recognised(workspace: Workspace) -> None:
    """The claim of a process of this host is respected while it lives, and taken over, with those of others that died."""
    child = ended_process()
    put_claim(workspace, Holder(replace(identity_of(child), started="1"), "then").text, 1)
    put_claim(workspace, Holder(identity_of(child), "then").text, 2)
    assert take(workspace) == "locked"
    child.kill()
    child.join()
    assert take(workspace) is None
    assert claims(workspace) == {}


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({"pid": os.getpid(), "started": "1"}, True),  # the pid was given out again
        ({"boot": "another boot"}, True),
        ({"host": "another"}, False),
        ({"machine": "another"}, False),
        ({"host": "another", "boot": "another boot"}, False),
        ({"namespace": "pid:[1]"}, False),
        ({}, True),  # this process's own, which could not be given back: nobody in it holds it any more
    ],
)
def test_death_is_known_on_the_own_host_only(workspace: Workspace, change: dict[str, object], dead: bool) -> None:
    """A reboot and a reused pid tell that a holder is gone; of another host, machine or container nothing is guessed."""
    put_claim(workspace, Holder(replace(Host().this_process(), **change), "then").text)  # type: ignore[arg-type]
    assert take(workspace) == (None if dead else "locked")


def test_a_host_without_a_machine_id_takes_no_other_boot_for_a_reboot(workspace: Workspace, tmp_path: Path) -> None:
    """Where nothing tells two machines of one name apart, another boot is no proof of death."""
    host = Host(machine_id=tmp_path / "missing")
    put_claim(workspace, Holder(replace(host.this_process(), boot="another boot"), "then").text)
    assert take(workspace, host) == "locked"


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "not JSON", '{"since": 1, "pid": []}', "/etc/passwd"])
def test_a_claim_that_cannot_be_read_is_respected(workspace: Workspace, text: str) -> None:
    """A claim in no known form belongs to somebody unknown, and is not taken over."""
    put_claim(workspace, text or "x")
    assert take(workspace) == "locked"
    assert list(claims(workspace)) == ["claim.1"]


def test_a_claim_that_an_operator_gave_up_is_taken(workspace: Workspace) -> None:
    """The claim of another host is taken by whoever says that its holder is dead, and by nobody who names another."""
    text = Holder(Process("another", "", "", "", 1, ""), "then", "x").text
    put_claim(workspace, text)
    with open_ends(workspace) as endpoints:
        with pytest.raises(ConveyorError, match="pid 1 on another, since then"):
            Claim(endpoints.spool, Host(), disregard=text.replace("then", "now")).__enter__()
        with Claim(endpoints.spool, Host(), disregard=text) as claim:
            assert claim.stands
    assert claims(workspace) == {}


def test_a_claim_that_was_taken_away_is_not_given_back(workspace: Workspace) -> None:
    """A holder whose claim somebody gave up knows that, and leaves the next one's alone."""
    with open_ends(workspace) as endpoints, Claim(endpoints.spool, Host()) as claim:
        stood = claim.stands
        (workspace.spool / ".conveyor" / "claim.1").unlink()
        put_claim(workspace, "another")
        assert (stood, claim.stands) == (True, False)
    assert claims(workspace) == {"claim.1": "another"}


def test_who_holds_is_told(workspace: Workspace) -> None:
    """The holder is known by host, pid and since when; a free request has none."""
    with open_ends(workspace) as endpoints:
        assert current_claim(endpoints.spool, Host()) is None
        with Claim(endpoints.spool, Host()):
            text = current_claim(endpoints.spool, Host())
            assert text is not None
            holder = Holder.parse(text)
            assert (holder.process.host, holder.process.pid) == (os.uname().nodename, os.getpid())


def _runs(pid: str) -> bool:
    """Whether a process can still do anything: a killed one that nobody has waited for yet is there, but cannot."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def _contend(metadata: str, rounds: int, seed: int) -> None:
    """Take the claim again and again; whoever holds it makes a folder that must not be there, and removes it."""
    workspace = Workspace(Path(metadata).parents[2])
    chance = random.Random(seed)
    inside = workspace.root / "inside"
    for _ in range(rounds):
        with ExitStack() as stack:
            try:
                endpoints = stack.enter_context(open_ends(workspace))
                claim = stack.enter_context(Claim(endpoints.spool, Host()))
            except ConveyorError:
                continue
            claim.used = chance.random() < 0.8
            holder = inside / str(os.getpid())
            holder.touch()
            others = [path.name for path in inside.iterdir() if _runs(path.name)]
            if others != [str(os.getpid())]:
                (workspace.root / "violation").write_text(f"{os.getpid()} with {others}")
            time.sleep(chance.random() / 2000)
            holder.unlink()
            with (workspace.root / "taken").open("a") as file:
                file.write("x")


def test_processes_that_race_and_die_never_hold_together(tmp_path: Path) -> None:
    """Eight processes race for one claim, killed at random and started anew: never two holders, and nobody is stuck."""
    workspace = make_workspace(tmp_path / "ws")
    (workspace.root / "inside").mkdir()
    chance = random.Random(4)
    children: list[BaseProcess] = []
    for number in range(40):
        child: BaseProcess = FORK.Process(target=_contend, args=(str(workspace.metadata), 60, number))
        child.start()
        children.append(child)
        if number >= 8:
            time.sleep(0.02)
            victim = chance.choice([one for one in children if one.is_alive()] or children)
            if victim.is_alive() and victim.pid:
                os.kill(victim.pid, signal.SIGKILL)
            victim.join()
    for child in children:
        child.join()
    assert not (workspace.root / "violation").exists()
    assert (workspace.root / "taken").stat().st_size > 50
    assert take(workspace) is None
