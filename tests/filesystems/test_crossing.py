"""Conveyances between two real file systems: what one has and the other has not is known before, or let be."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.engine.survey import State
from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.inventory import inventory
from support.sweep import cannot
from support.volumes import Volumes, volumes
from support.workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")

_MIB = {"ext4": 64, "xfs": 320, "btrfs": 160}


class Pair:
    """A request on one file system, and its QA folder on another one."""

    def __init__(self, root: Path, mounted: Volumes) -> None:
        self.root = root
        self._mounted = mounted

    def make(self, spool: str, qa: str, options: Sequence[str] = ()) -> None:
        """Make the two file systems, that of the QA area with some more options, and the request."""
        for name, kind, more in (("spool", spool, ()), ("qa", qa, options)):
            point = self.root / name
            if kind == "tmpfs":
                self._mounted.memory(point, kib=1 << 16)
            elif kind == "ramfs":
                self._mounted.without_size(point)
            else:
                image = self.root / f"{name}.image"
                self._mounted.image(point, image, kind, mib=_MIB[kind], options=more)
        workspace = make_workspace(self.root / "spool", qa_root=self.root / "qa", cache=self.root / "weblogs")
        self.spool, self.qa = workspace.spool, workspace.qa
        area = self.root / "qa" / "qa2"
        places = Places(workspace.request, workspace.spool, area, self.root / "weblogs", relative_links=False)
        self.request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))

    def run(self, operation: Operation, *, dry_run: bool = False) -> Outcome:
        environment = Environment(FileSystem(pause=lambda _: None))
        return convey(self.request, operation, environment, Outcome(str(operation), None), dry_run=dry_run)

    def refused(self, operation: Operation) -> str:
        """Refuse, by a dry run too, with nothing moved and no retry advised; what is said."""
        before = inventory(self.spool)
        rehearsal, error = self.run(operation, dry_run=True).error, self.run(operation).error
        assert rehearsal is not None
        assert error is not None
        assert (rehearsal.code, error.exit_code, error.retryable) == (error.code, 73, False)
        assert inventory(self.spool) == before
        assert not self.qa.exists()
        return f"{error.message}; {error.hint}"

    def out_and_home(self) -> tuple[str, ...]:
        """Deliver, and retrieve; all warnings. The data is what it was."""
        before = {path: item.content for path, item in inventory(self.spool, inside="working").items()}
        out = self.run(Operation.DELIVER).raise_for_error()
        home = self.run(Operation.RETRIEVE).raise_for_error()
        assert (out.state, home.state) == (State.IN_QA, State.IN_SPOOL)
        assert {path: item.content for path, item in inventory(self.spool, inside="working").items()} == before
        return (*out.warnings, *home.warnings)

    @property
    def file(self) -> Path:
        return self.spool / "working" / "folder" / "file.txt"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two file systems, to be made."""
    with volumes() as mounted:
        yield Pair(tmp_path, mounted)


def run(*command: object) -> None:
    """Run a tool, or skip the test where it cannot be run."""
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        cannot(f"{command[0]} is not installed")
        return
    if done.returncode:
        cannot(done.stderr)


@pytest.mark.parametrize("flag", ["i", "a"])
@pytest.mark.parametrize("where", [".", "working", "working/folder", "working/folder/file.txt"])
@pytest.mark.parametrize("kinds", [("ext4", "xfs"), ("btrfs", "tmpfs"), ("xfs", "ext4")], ids="-".join)
def test_a_flag_in_spool_is_seen_first(pair: Pair, kinds: tuple[str, str], where: str, flag: str) -> None:
    """What is immutable or append-only in spool is named with the remedy, which is enough."""
    pair.make(*kinds)
    run("chattr", f"+{flag}", pair.spool / where)
    try:
        said = pair.refused(Operation.DELIVER)
    finally:
        run("chattr", f"-{flag}", pair.spool / where)
    assert f"{pair.spool / where} " in said
    assert f"chattr -{flag}" in said
    assert pair.out_and_home() == ()


@pytest.mark.parametrize("flag", ["i", "a"])
def test_a_flag_in_the_qa_area_keeps_no_request_there(pair: Pair, flag: str) -> None:
    """The request comes home, what has the flag is left behind, and goes once it can."""
    pair.make("ext4", "xfs")
    pair.run(Operation.DELIVER).raise_for_error()
    run("chattr", f"+{flag}", pair.qa / "working" / "folder" / "file.txt")
    left = pair.qa / ".conveyor" / "working.left.1"
    try:
        home = pair.run(Operation.RETRIEVE).raise_for_error()
        assert home.state is State.IN_SPOOL
        assert str(left) in home.warnings[-1]
    finally:
        run("chattr", "-R", "-f", f"-{flag}", pair.qa)
    pair.run(Operation.RETRIEVE).raise_for_error()
    assert not pair.qa.exists()


@pytest.mark.parametrize(
    "kinds", [("ext4", "xfs"), ("btrfs", "xfs"), ("xfs", "ext4"), ("xfs", "btrfs"), ("tmpfs", "xfs")], ids="-".join
)
def test_acls_go_and_come_home(pair: Pair, kinds: tuple[str, str]) -> None:
    """ACLs arrive, those that are changed in the QA area come home, and none has a second form of its own."""
    pair.make(*kinds)
    run("setfacl", "-m", "u:1234:rwx", pair.file)
    run("setfacl", "-d", "-m", "u:1234:rwx", pair.file.parent)
    pair.run(Operation.DELIVER).raise_for_error()
    run("setfacl", "-m", "u:4321:r", pair.qa / "working" / "folder" / "file.txt")
    wanted = os.getxattr(pair.qa / "working" / "folder" / "file.txt", "system.posix_acl_access")
    pair.run(Operation.RETRIEVE).raise_for_error()
    assert os.getxattr(pair.file, "system.posix_acl_access") == wanted
    assert os.getxattr(pair.file.parent, "system.posix_acl_default")


@pytest.mark.parametrize(("name", "size"), [("user.history", 10_000), ("trusted.note", 10_000)])
def test_an_attribute_that_is_too_large_is_named(pair: Pair, name: str, size: int) -> None:
    """An attribute that ext4 has no room for is named with its size and its file before anything moves."""
    pair.make("xfs", "ext4")
    os.setxattr(pair.file, name, b"x" * size)
    assert f"{name} ({size} bytes) of {pair.file}" in pair.refused(Operation.DELIVER)
    os.removexattr(pair.file, name)
    assert pair.out_and_home() == ()


def test_an_acl_that_the_target_has_not_is_named(pair: Pair) -> None:
    """ramfs has no ACLs: who needs one is told, and what removes it."""
    pair.make("ext4", "ramfs")
    run("setfacl", "-m", "u:1234:rwx", pair.file)
    said = pair.refused(Operation.DELIVER)
    assert f"system.posix_acl_access (44 bytes) of {pair.file}" in said
    assert "setfacl -b" in said


def test_the_compression_of_btrfs_is_left_behind(pair: Pair) -> None:
    """A property of btrfs, which it lists among the attributes, stops no delivery."""
    pair.make("btrfs", "ext4")
    os.setxattr(pair.file.parent, "btrfs.compression", b"zstd")
    assert pair.out_and_home() == ()


def test_times_beyond_the_target_are_told(pair: Pair) -> None:
    """An ext4 of small inodes ends in 2038: the file whose time it cannot keep is named, and goes."""
    pair.make("xfs", "ext4", options=["-I", "128"])
    os.utime(pair.file, (1 << 32, 1 << 32))
    assert str(pair.file) in pair.out_and_home()[0]


def test_a_link_that_is_too_long_is_named(pair: Pair) -> None:
    """xfs has room for links of 1023 bytes."""
    pair.make("tmpfs", "xfs")
    link = pair.file.parent / "link"
    link.symlink_to("x/" * 600)
    assert f"a text of 1200 bytes, as that of {link}" in pair.refused(Operation.DELIVER)


def test_too_many_names_are_named(pair: Pair) -> None:
    """ext4 gives 65,000 names to a file."""
    pair.make("tmpfs", "ext4")
    for number in range(65_001):
        os.link(pair.file, pair.file.parent / str(number))
    assert "65002 names of one file" in pair.refused(Operation.DELIVER)


def test_a_file_that_is_too_long_is_named(pair: Pair) -> None:
    """ext4 with blocks of 1 KiB has files of some terabytes, and xfs longer ones."""
    pair.make("xfs", "ext4")
    with pair.file.open("r+b") as file:
        file.truncate(1 << 45)
    assert f"a file of {1 << 45} bytes, as that of {pair.file}" in pair.refused(Operation.DELIVER)


@pytest.mark.parametrize("kinds", [("ext4", "ramfs"), ("ramfs", "tmpfs")], ids="-".join)
def test_a_file_system_without_a_size_is_tried(pair: Pair, kinds: tuple[str, str]) -> None:
    """Where statfs tells nothing, the copy is made."""
    pair.make(*kinds)
    assert pair.out_and_home() == ()


@pytest.mark.parametrize("project", ["spool", "qa", "both"])
def test_projects_of_xfs_are_crossed(pair: Pair, project: str) -> None:
    """Between folders that hand on different project IDs a request goes out and comes home."""
    pair.make("xfs", "xfs")

    def set_project(number: int, path: Path) -> None:
        run("chattr", "-R", "-p", number, "+P", path)

    actions: dict[str, Callable[[], None]] = {
        "spool": lambda: set_project(5, pair.spool.parent),
        "qa": lambda: set_project(7, pair.qa.parent),
    }
    for name, action in actions.items():
        if project in (name, "both"):
            action()
    assert pair.out_and_home() == ()
