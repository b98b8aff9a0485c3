"""Conveyances on a real NFS, by two clients: the ways, readers on the other client, and a server that goes away."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.posix import FileSystem
from support.inventory import inventory
from support.sweep import everything

if TYPE_CHECKING:
    from support.nfs_site import Command, Ending, Nfs, Site

BIG = 30_000_000  # bytes that take some seconds at this rate
RATE = ("--max-rate", "10M")
_READER = """
import json, os, sys, time
path, stop, misses, opens = sys.argv[1], sys.argv[2], 0, 0
while not os.path.exists(stop):
    opens += 1
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        misses += 1
    time.sleep(0.02)
print(json.dumps([opens, misses]))
"""


def content(site: Site, *, at_qa: bool) -> dict[bytes, object]:
    """What is in the request's directories, at one of the two ends."""
    top = site.workspace.qa if at_qa else site.workspace.spool
    found: dict[bytes, object] = {}
    for name in ("rawdata", "products", "working"):
        found |= {path: (one.content, one.modified) for path, one in inventory(top, inside=name).items()}
    return found


def ways(site: Site) -> set[str]:
    """The ways that the directories took, by the history."""
    lines = (site.workspace.spool / ".conveyor" / "history.jsonl").read_text().splitlines()
    return {way for line in lines if (way := json.loads(line).get("detail")) in ("exchange", "renames", "copy")}


def add_big(site: Site) -> None:
    (site.workspace.spool / "rawdata" / "big").write_bytes(random.Random(1).randbytes(BIG))


def wait_for_the_copy(site: Site, command: Command) -> None:
    """Wait until the copy that a command makes is under way."""
    path = site.workspace.qa / ".conveyor" / "rawdata.incoming"
    while not path.is_dir():
        assert command.process.poll() is None, "no copy was seen"
        time.sleep(0.05)
    time.sleep(0.5)


def take_up_errors(site: Site) -> None:
    """Let a sync fail for what was lost meanwhile: syncfs(2) tells it once, to whoever syncs next, whoever wrote it."""
    fs = FileSystem()
    for path in (site.workspace.root, site.workspace.qa.parent):
        with suppress(OSError), fs.open_root(path) as directory:
            fs.syncfs(directory)


def two_exports(nfs: Nfs, version: str = "4.2", *options: str) -> Site:
    """A workspace on one file system of the server, with its QA areas on the other one."""
    spool = nfs.mounted(0, nfs.server.root, version, *options)
    return nfs.site(spool, nfs.mounted(0, nfs.server.other, version, *options))


@pytest.mark.parametrize("version", ["4.2", "3"])
def test_within_one_export_directories_are_renamed(nfs: Nfs, version: str) -> None:
    """Out and home, nothing is copied, and everything is as it was; the doctor has said so."""
    site = nfs.site(nfs.mounted(0, nfs.server.root, version))
    before = content(site, at_qa=False)
    assert site.run("doctor").status == 0
    site.succeed("deliver")
    assert content(site, at_qa=True) == before
    site.succeed("retrieve")
    assert content(site, at_qa=False) == before
    assert ways(site) == {"renames"}


@pytest.mark.parametrize("version", ["4.2", "3"])
def test_between_two_exports_directories_are_copied(nfs: Nfs, version: str) -> None:
    """Out and home by copies, everything is as it was."""
    site = two_exports(nfs, version)
    before = content(site, at_qa=False)
    site.succeed("deliver", cache_lifetime=0)
    assert content(site, at_qa=True) == before
    site.succeed("retrieve", cache_lifetime=0)
    assert content(site, at_qa=False) == before
    assert ways(site) == {"copy"}


def read_elsewhere(nfs: Nfs, site: Site, verb: str, *, seconds: float) -> list[int]:
    """Convey while the other client reads, and for some seconds after it; how often it opened, and missed."""
    mounted = nfs.mounted(1, nfs.server.root, "4.2", "acdirmax=5", "acregmax=5")
    here = nfs.mounted(0, nfs.server.root, "4.2", "acdirmax=5", "acregmax=5")
    path = mounted / (site.workspace.spool / "rawdata/folder/file.txt").relative_to(here)
    stop = nfs.bench.folder("stops") / f"{site.workspace.root.name}.{verb}"
    reader = subprocess.Popen([sys.executable, "-c", _READER, path, stop], stdout=subprocess.PIPE)
    time.sleep(1)
    site.succeed(verb)
    time.sleep(seconds)
    site.succeed("tidy")
    time.sleep(seconds)
    stop.touch()
    answer: list[int] = json.loads(reader.communicate()[0])
    return answer


def test_a_reader_on_another_client_misses_nothing_of_a_copy(nfs: Nfs) -> None:
    """What the other client's cache leads to stays until the cache has ended; tidied then, nothing is left of it."""
    spool = nfs.mounted(0, nfs.server.root, "4.2", "acdirmax=5", "acregmax=5")
    site = nfs.site(spool, nfs.bench.folder("local"))
    for verb in ("deliver", "retrieve"):
        opened, missed = read_elsewhere(nfs, site, verb, seconds=6)
        assert opened > 100
        assert missed <= 1, verb  # between the two renames of one directory
    assert not list((site.workspace.spool / ".conveyor").glob("*.lingering*"))
    assert not site.workspace.qa.exists()


@pytest.mark.parametrize("verb", ["deliver", "retrieve"])
def test_a_file_that_is_held_open_stops_nobody(nfs: Nfs, verb: str) -> None:
    """The conveyance is finished, who holds the file is named, and what is left goes once it is closed."""
    site = two_exports(nfs)
    before = content(site, at_qa=False)
    if verb == "retrieve":
        site.succeed("deliver", cache_lifetime=0)
    top = site.workspace.spool if verb == "deliver" else site.workspace.qa
    with (top / "working/folder/file.txt").open("rb"):
        ending = site.succeed(verb, cache_lifetime=0)
    assert "pytest" in str(ending.request["warnings"])
    site.succeed("tidy")
    assert content(site, at_qa=verb == "deliver") == before
    assert not list(site.workspace.root.rglob(".nfs*"))


def test_a_server_that_stops_is_waited_for(nfs: Nfs) -> None:
    """A copy goes on when the server is there again."""
    site = two_exports(nfs)
    add_big(site)
    before = content(site, at_qa=False)
    command = site.start("deliver", *RATE)
    wait_for_the_copy(site, command)
    nfs.server.stop()
    time.sleep(3)
    nfs.server.start()
    ending = command.end()
    assert ending.status == 0, ending.said
    assert content(site, at_qa=True) == before


def test_an_export_that_is_gone_is_not_a_lack_of_permission(nfs: Nfs) -> None:
    """The server is named, a later try is advised, no state is told; once it is offered again, that try succeeds."""
    site = two_exports(nfs)
    add_big(site)
    before = content(site, at_qa=False)
    command = site.start("deliver", *RATE)
    wait_for_the_copy(site, command)
    nfs.server.withdraw()
    try:
        ending = command.end()
        look = site.run("status")
    finally:
        nfs.server.offer()
    take_up_errors(site)
    assert (ending.status, ending.error["code"], ending.request["state"]) == (74, "server-gone", None), ending.said
    assert (look.status, look.error["code"], look.request["state"]) == (74, "server-gone", None), look.said
    site.succeed("deliver")
    assert content(site, at_qa=True) == before


def test_an_attribute_that_the_target_does_not_take_is_found_first(nfs: Nfs) -> None:
    """NFS 3 has no attributes of users: nothing is copied, and the mount option is named. The doctor knows it too."""
    site = nfs.site(nfs.bench.image("ext4", name="attributes"), nfs.mounted(0, nfs.server.other, "3"))
    os.setxattr(site.workspace.spool / "rawdata/folder", "user.note", b"1")
    ending = site.run("deliver")
    assert (ending.status, ending.error["code"]) == (73, "uncopyable"), ending.said
    assert "vers=4.2" in ending.said
    assert "vers=4.2" in site.run("doctor").said


def killed_at_random(site: Site, chance: random.Random, verb: str, length: float) -> Ending:
    """Kill a command somewhere in the time that it takes; the status after that."""
    command = site.start(verb)
    time.sleep(chance.random() * length)
    command.process.kill()
    command.process.communicate()
    return site.run("status")


@pytest.mark.parametrize("one_export", [True, False], ids=["renames", "copy"])
def test_a_kill_at_any_moment_loses_nothing(nfs: Nfs, one_export: bool) -> None:
    """The same command completes the work, and the opposite one does, whatever was under way."""
    site = nfs.site(nfs.mounted(0, nfs.server.root, "4.2")) if one_export else two_exports(nfs)
    before = content(site, at_qa=False)
    began = time.monotonic()
    site.succeed("deliver")
    length = time.monotonic() - began
    site.succeed("retrieve")
    chance = random.Random(7)
    for number in range(30 if everything() else 3):
        verb = ("deliver", "retrieve")[number % 2]
        ending = killed_at_random(site, chance, verb, length)
        assert ending.request["state"] in ("in-spool", "in-qa", "in-transit"), ending.said
        for one in (chance.choice(("deliver", "retrieve")), verb):
            site.succeed(one)
        assert content(site, at_qa=verb == "deliver") == before


def test_two_clients_never_convey_at_once(nfs: Nfs) -> None:
    """Of four commands on two clients each succeeds or is told to try again; the data is whole."""
    here, there = (nfs.mounted(number, nfs.server.root, "4.2") for number in (0, 1))
    site = nfs.site(here)
    before = content(site, at_qa=False)
    other = type(site)(nfs.clients[1], type(site.workspace)(there / site.workspace.root.relative_to(here)))
    for _ in range(6 if everything() else 1):
        commands = [one.start(verb) for verb in ("deliver", "retrieve") for one in (site, other)]
        assert {command.end().status for command in commands} <= {0, 75}
        site.succeed("retrieve")
        assert content(site, at_qa=False) == before
