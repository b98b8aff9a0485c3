"""Hostile things inside the data, on the way by rename and on the way by copy: kept, or refused, and never followed."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import socket
import stat
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor.filesystem import treecopy
from support.inventory import Item, inventory
from support.mounting import Mounts, mounts
from support.unprivileged import as_nobody
from support.workspace import DIRECTORIES, Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conveyor import Outcome

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this to a file")


@dataclass(frozen=True)
class Stage:
    """A request, its QA root in the same file system or in another, and a victim beside it that nothing may touch."""

    workspace: Workspace
    qa: Path
    victim: Path
    way: str
    settings: Any

    def deliver(self) -> Outcome:
        return conveyor.deliver(self.workspace.metadata, config=self.settings)

    def retrieve(self) -> Outcome:
        return conveyor.retrieve(self.workspace.metadata, config=self.settings)

    def data(self, folder: Path) -> dict[bytes, Item]:
        """The three directories with all that is in them; blocks and folders' sizes are the file system's own business."""
        items: dict[bytes, Item] = {}
        for name in DIRECTORIES:
            items |= inventory(folder, inside=name)
        return {path: replace(item, blocks=0) for path, item in items.items()}


@pytest.fixture(params=["rename", "copy"])
def stage(request: pytest.FixtureRequest, public_workspace: Workspace) -> Stage:
    workspace = public_workspace
    root = request.getfixturevalue("memory_folder") if request.param == "copy" else workspace.root
    (root / "qa2").mkdir(exist_ok=True)
    root.chmod(0o755)
    victim = workspace.root / "victim"
    shutil.copytree(workspace.spool, victim)
    settings = conveyor.load_config({"qa_root": str(root), "spool_root": str(workspace.spool.parent)}, environment={})
    return Stage(workspace, root / "qa2" / workspace.request, victim, request.param, settings)


def goes_out_and_home(stage: Stage, same: Callable[[dict[bytes, Item]], object] = lambda items: items) -> None:
    """Deliver and retrieve: the data is the same at each end, and the victim is as it was."""
    before, victim = stage.data(stage.workspace.spool), inventory(stage.victim)
    delivered = stage.deliver().raise_for_error()
    ways = {step.detail for step in delivered.steps if step.step == "deliver"}
    assert ways == {"copy" if stage.way == "copy" else "exchange"}
    assert same(stage.data(stage.qa)) == same(before)
    assert inventory(stage.victim) == victim
    stage.retrieve().raise_for_error()
    assert same(stage.data(stage.workspace.spool)) == same(before)
    assert inventory(stage.victim) == victim
    assert not stage.qa.exists()


def test_links_are_kept_as_they_are_and_not_followed(stage: Stage) -> None:
    """Absolute links, links out of the request, to themselves, to nothing and to what Conveyor makes are data."""
    working = stage.workspace.spool / "working"
    for name, text in {
        "absolute": str(stage.victim),
        "out": os.path.relpath(stage.victim, working),
        "loop": "loop",
        "one": "two",
        "two": "one",
        "nowhere": "/nowhere",
        "root": "/",
        "up": "..",
        "here": ".",
        "device": "/dev/zero",
        "bridge": ".conveyor/working.peer",
        "released bridge": ".conveyor/peer/working",
        "long": "x/" * 2000,
        "two\nlines": "a\nb",
    }.items():
        (working / name).symlink_to(text)
    os.symlink(b"\xff\xfe", os.fsencode(working) + b"/\xff")
    os.utime(working / "absolute", ns=(1, 1), follow_symlinks=False)
    goes_out_and_home(stage)


def test_names_of_all_bytes_are_kept(stage: Stage) -> None:
    """A name may have any byte but two, 255 of them; a path may be longer than the kernel takes at once."""
    working = os.fsencode(stage.workspace.spool / "working")
    names = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    for name in (*names, b"...", b"\n" * 255, b"\xff" * 255, b".conveyor", b"READY", b"products.incoming"):
        with open(os.path.join(working, name), "wb") as file:
            file.write(name)
    here = os.getcwd()
    os.chdir(working)
    try:
        for _ in range(30):
            os.mkdir(b"d" * 250)
            os.chdir(b"d" * 250)
        with open("deep", "wb") as file:
            file.write(b"deep")
    finally:
        os.chdir(here)
    before = listing(working)
    assert len(before) > 250
    stage.deliver().raise_for_error()
    assert listing(os.fsencode(stage.qa / "working")) == before
    stage.retrieve().raise_for_error()
    assert listing(working) == before


def listing(top: bytes) -> list[tuple[bytes, int, bytes]]:
    """All that is below a folder, by descriptors: a path that is too long for the kernel at once is none here."""
    found = []
    for path, _, files, descriptor in os.fwalk(top):
        for name in files:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            with open(os.open(name, os.O_RDONLY, dir_fd=descriptor), "rb") as file:
                found.append((os.path.join(path[len(top) :], name), status.st_mtime_ns, file.read()))
    return sorted(found)


def test_hard_links_out_of_the_tree_leave_the_other_name_alone(stage: Stage) -> None:
    """A file that has a name outside too is as it was there, whatever is written, copied or removed here."""
    outside = stage.victim / "rawdata" / "folder" / "file.txt"
    os.link(outside, stage.workspace.spool / "rawdata" / "linked")
    os.link(stage.workspace.spool / "rawdata" / "folder" / "file.txt", stage.workspace.spool / "products" / "linked")
    content, status = outside.read_bytes(), outside.stat()
    before = {path: replace(item, links=0) for path, item in stage.data(stage.workspace.spool).items()}
    stage.deliver().raise_for_error()
    assert {path: replace(item, links=0) for path, item in stage.data(stage.qa).items()} == before
    stage.retrieve().raise_for_error()
    assert {path: replace(item, links=0) for path, item in stage.data(stage.workspace.spool).items()} == before
    assert outside.read_bytes() == content
    assert (outside.stat().st_ino, outside.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(path.parent)
        one.bind(path.name)
        os.chdir(here)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "socket": make_socket,
    "character device": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)),
    "block device": lambda path: os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 99)),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_never_opened(stage: Stage, kind: str) -> None:
    """A rename carries a socket, a FIFO or a device as it is; a copy makes the same one, or refuses with all as it was."""
    try:
        SPECIAL[kind](stage.workspace.spool / "working" / "special")
    except PermissionError:
        pytest.skip("this account may not make it")
    before, victim = stage.data(stage.workspace.spool), inventory(stage.victim)
    outcome = stage.deliver()
    if outcome.error is not None:
        assert stage.way == "copy"
        assert kind != "fifo"
        assert outcome.error.exit_code in (73, 74)
        assert "working/special" in outcome.error.message
        assert inventory(stage.victim) == victim
        stage.retrieve().raise_for_error()
    else:
        assert stage.data(stage.qa) == before
        stage.retrieve().raise_for_error()
    assert stage.data(stage.workspace.spool) == before
    assert inventory(stage.victim) == victim


MOUNTS: dict[str, Callable[[Stage, Mounts], None]] = {
    "a tmpfs below": lambda stage, one: one.mount("tmpfs", stage.workspace.spool / "working" / "folder"),
    "a tmpfs on it": lambda stage, one: one.mount("tmpfs", stage.workspace.spool / "working"),
    "the victim below": lambda stage, one: one.mount("bind", stage.workspace.spool / "working/folder", stage.victim),
    "the victim on it": lambda stage, one: one.mount("bind", stage.workspace.spool / "working", stage.victim),
    "itself on itself": lambda stage, one: one.mount(
        "bind", stage.workspace.spool / "working", stage.workspace.spool / "working"
    ),
    "with an odd name": lambda stage, one: one.mount("bind", odd(stage.workspace), stage.victim),
}


def odd(workspace: Workspace) -> Path:
    path = workspace.spool / "working" / "a b\tc\nd\\040e"
    path.mkdir()
    return path


@needs_root
@pytest.mark.parametrize("name", MOUNTS)
def test_a_mounted_file_system_is_refused_before_anything_is_touched(stage: Stage, name: str) -> None:
    """What is mounted on a directory or in it, a bind mount of one device number too, is told, and nothing is changed."""
    with mounts() as mounted:
        MOUNTS[name](stage, mounted)
        (stage.workspace.spool / "working" / "in the mount").write_text("x")
        before, qa = inventory(stage.workspace.root), inventory(stage.qa.parent)
        outcome = stage.deliver()
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.exit_code) == ("conflict", 73)
        assert "a file system is mounted in what would be conveyed" in outcome.error.message
        assert str(stage.workspace.spool / "working") in outcome.error.message
        assert inventory(stage.workspace.root) == before
        assert inventory(stage.qa.parent) == qa
    stage.deliver().raise_for_error()
    stage.retrieve().raise_for_error()


@needs_root
def test_a_file_system_mounted_in_the_qa_area_is_refused_on_the_way_home(stage: Stage) -> None:
    """The same on the way home: what an administrator mounted there meanwhile is not emptied."""
    stage.deliver().raise_for_error()
    with mounts() as mounted:
        mounted.mount("bind", stage.qa / "products" / "folder", stage.victim)
        before, victim = inventory(stage.workspace.root), inventory(stage.victim)
        assert stage.deliver().already
        outcome = stage.retrieve()
        assert outcome.error is not None
        assert outcome.error.code == "conflict"
        assert str(stage.qa / "products" / "folder") in outcome.error.message
        assert inventory(stage.workspace.root) == before
        assert inventory(stage.victim) == victim
    stage.retrieve().raise_for_error()


@pytest.fixture
def attributes(stage: Stage) -> Iterator[Callable[[str, Path], None]]:
    """Set a file's ``i`` or ``a`` attribute, wherever it goes; both are taken off everything at the end."""

    def change(how: str, path: Path) -> None:
        done = subprocess.run(["chattr", how, path], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"chattr does not work here: {done.stderr.strip()}")

    yield change
    for root in (stage.workspace.root, stage.qa.parent):
        subprocess.run(["chattr", "-R", "-f", "-i", "-a", root], capture_output=True, check=False)


@needs_root
@pytest.mark.parametrize("account", ["root", "nobody"])
@pytest.mark.parametrize("attribute", ["+i", "+a"])
@pytest.mark.parametrize("where", ["working", "working/folder", "working/folder/file.txt"])
def test_what_may_not_be_changed_is_no_way_to_lose_it(
    stage: Stage, attributes: Callable[[str, Path], None], account: str, attribute: str, where: str
) -> None:
    """A file or folder that is immutable or append-only stays whole; when it no longer is, the next run completes."""
    act = as_nobody(stage.workspace.root) if account == "nobody" else lambda run: run()
    if account == "nobody":
        as_nobody(stage.qa.parent)
    before, victim = stage.data(stage.workspace.spool), inventory(stage.victim)
    warm_up(stage)
    attributes(attribute, stage.workspace.spool / where)
    code = act(lambda: exit_code(stage.deliver()))
    assert code in (0, 73, 74, 77)
    whole_somewhere(stage, before)
    assert inventory(stage.victim) == victim
    for root in (stage.workspace.root, stage.qa.parent):
        subprocess.run(["chattr", "-R", "-f", "-i", "-a", root], capture_output=True, check=False)
    assert act(lambda: exit_code(stage.deliver())) == 0
    assert act(lambda: exit_code(stage.retrieve())) == 0
    assert stage.data(stage.workspace.spool) == before
    assert inventory(stage.victim) == victim


@needs_root
@pytest.mark.parametrize("mode", [0o000, 0o444, 0o555])
@pytest.mark.parametrize("where", ["working", "working/folder", "working/folder/file.txt"])
@pytest.mark.parametrize("owner", ["its own", "another's"])
def test_what_is_read_only_or_another_s_is_no_way_to_lose_it(stage: Stage, owner: str, where: str, mode: int) -> None:
    """The same for files and folders that the account may not read, write or own."""
    act = as_nobody(stage.workspace.root)
    as_nobody(stage.qa.parent)
    before, victim = stage.data(stage.workspace.spool), inventory(stage.victim)
    warm_up(stage)
    path = stage.workspace.spool / where
    status = path.stat()
    if owner == "another's":
        os.chown(path, 1, 1)
    path.chmod(mode)
    code = act(lambda: exit_code(stage.deliver()))
    assert code in (0, 73, 74, 77)
    assert inventory(stage.victim) == victim
    # What was copied and could not be removed stands where the message says.
    for place in (stage.workspace.spool, stage.qa, stage.workspace.spool / ".conveyor"):
        found = place / where.replace("working", "working.outgoing" if place.name == ".conveyor" else "working", 1)
        if found.exists():
            os.chown(found, status.st_uid, status.st_gid)
            found.chmod(stat.S_IMODE(status.st_mode))
    whole_somewhere(stage, before)
    assert act(lambda: exit_code(stage.deliver())) == 0
    assert act(lambda: exit_code(stage.retrieve())) == 0
    assert stage.data(stage.workspace.spool) == before
    assert inventory(stage.victim) == victim


def warm_up(stage: Stage) -> None:
    """Import what a conveyance imports, a copy too: the other account may not read it."""
    for module in pkgutil.iter_modules(treecopy.__path__, f"{treecopy.__name__}."):
        importlib.import_module(module.name)
    conveyor.deliver(stage.workspace.metadata, config=stage.settings, dry_run=True).raise_for_error()
    conveyor.retrieve(stage.workspace.metadata, config=stage.settings).raise_for_error()


def exit_code(outcome: Outcome) -> int:
    return outcome.error.exit_code if outcome.error else 0


def whole_somewhere(stage: Stage, before: dict[bytes, Item]) -> None:
    """Each directory is whole at one of the two ends."""
    for name in DIRECTORIES:
        wanted = {path: item for path, item in before.items() if path.split(b"/")[0] == name.encode()}
        endpoints = [
            end for end in (stage.workspace.spool, stage.qa) if (end / name).is_dir() and not (end / name).is_symlink()
        ]
        found = [
            {path: replace(item, blocks=0) for path, item in inventory(end, inside=name).items()} for end in endpoints
        ]
        assert wanted in found, f"{name} is whole at neither end"


def test_the_victim_is_a_request_too(tmp_path: Path) -> None:
    """What the tests here call a victim has all that would be taken, were it mistaken for the request."""
    workspace = make_workspace(tmp_path / "workspaces")
    assert {*DIRECTORIES, "metadata.json"} <= {path.name for path in workspace.spool.iterdir()}
