"""Hostile metadata through the whole program: a documented exit code and nothing changed, or a legitimate conveyance."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import conveyor
from conveyor.errors import tree
from support.inventory import inventory
from support.workspace import DIRECTORIES, REQUEST, Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor import Outcome
    from support.inventory import Item

CODES = {error.code: error.exit_code for error in tree()}
DOCUMENTED = {*CODES.values()} - {70}
# Request-like directories in spool beside the request; those in HIDDEN would meet what Conveyor keeps for that one.
OTHERS = ("other", "Jodrell Bänk – 観測", "READY", "-rf", "n" * 245)
REFUSED = (
    f".{REQUEST}.conveyor",
    f".{REQUEST}.replaced",
    ".conveyor",
    ".hidden",
    "n" * 246,
    "n" * 255,
    "a\nb",
    "\x1b[2J",
)


@dataclass
class World:
    """A workspace full of temptations, and beside it a victim that metadata could name. Made anew when it was changed."""

    folder: Path

    def __post_init__(self) -> None:
        self.root = self.folder / "root"
        self.make()

    def make(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.workspace = make_workspace(self.root / "workspaces")
        for name in (*OTHERS, *REFUSED):
            make_workspace(self.root / "workspaces", request=name)
        self.victim = make_workspace(self.root / "victim")
        make_workspace(self.workspace.spool / "working", request="inner")
        spool = self.workspace.spool.parent
        (spool / "alias").symlink_to(REQUEST)
        (spool / "way").symlink_to("../spool")
        (spool / "out").symlink_to(self.victim.spool.parent)
        (spool / "loop").symlink_to("loop")
        (spool / "area").symlink_to("../qa2")
        (spool / "file").write_text("x")
        # What is not the request's own in the cache, under names that Conveyor gives.
        (self.workspace.weblog.parent / "other").mkdir(parents=True)
        (self.workspace.weblog.parent / ".other.conveyor").mkdir()
        self.metadata = self.root / "metadata.json"
        self.metadata.write_text("")
        self.before = inventory(self.root)

    def settings(self, *, with_root: bool) -> Any:
        root = {"spool_root": str(self.workspace.spool.parent)} if with_root else {}
        return conveyor.load_config(root, environment={})

    def may_be_conveyed(self, outcome: Outcome, *, with_root: bool) -> bool:
        """Whether it is one of the requests that stand where a request stands."""
        spool = os.path.realpath(str(outcome.spool))
        fine = [str(self.workspace.spool.parent / name) for name in (REQUEST, *OTHERS)]
        inner = str(self.workspace.spool / "working" / "spool" / "inner")
        return spool in fine or (not with_root and spool in (str(self.victim.spool), inner))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def check(world: World, content: bytes, *, with_root: bool) -> None:
    """Convey what a document names: refused with everything as it was, or conveyed, and then home as it was."""
    world.metadata.write_bytes(content)
    before = world.before | {b"metadata.json": inventory(world.root, inside="metadata.json")[b"metadata.json"]}
    settings = world.settings(with_root=with_root)
    outcome = conveyor.deliver(world.metadata, config=settings)
    if outcome.error is not None:
        assert outcome.error.exit_code in DOCUMENTED, outcome.error.message
        assert "\n" not in outcome.error.message
        assert len(outcome.error.message) < 16_000
        assert inventory(world.root) == before
        return
    assert world.may_be_conveyed(outcome, with_root=with_root), outcome.spool
    assert conveyor.deliver(world.metadata, config=settings).already
    conveyor.retrieve(world.metadata, config=settings).raise_for_error()
    after = inventory(world.root)
    assert lasting(before).items() <= lasting(after).items()
    world.make()


def lasting(items: dict[bytes, Item]) -> dict[bytes, Item]:
    """An inventory without the times of folders, in which names came and went."""
    return {path: replace(item, modified=0) if item.kind == 0o040000 else item for path, item in items.items()}


SEGMENTS = (
    "",
    ".",
    "..",
    "spool",
    "workspaces",
    "victim",
    "qa2",
    "image-qa",
    "weblog-cache",
    REQUEST,
    *OTHERS,
    *REFUSED,
    "alias",
    "way",
    "out",
    "loop",
    "area",
    "file",
    "working",
    "inner",
    "gone",
    "\ud800",
    "\udcff",
    "\0",
    "a" * 4000,
)
paths = st.lists(st.sampled_from(SEGMENTS), max_size=7).map("/".join)
texts = st.sampled_from(["std_calibration", "std_cms_imaging", "\ud800", "\0", "\n", "x" * 5000]) | st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def documents(draw: st.DrawFn) -> Callable[[World], bytes]:
    """A document that names a place in the world, or anything else, with the bytes of its text tampered with at times."""
    start = draw(st.sampled_from(["spool", "spool", "root", "none"]))
    path = draw(paths)
    keys = {"workflowName": texts, "fileSetIds": texts | st.lists(texts), "projectMetadata": values, "x": values}
    rest = {"workflowName": "std_calibration"} | draw(st.fixed_dictionaries({}, optional=keys))
    form = draw(st.sampled_from(["plain", "plain", "plain", "twice", "mark", "utf-16", "value", "cut", "byte"]))
    value, at, byte = draw(values), draw(st.integers(0, 200)), draw(st.integers(0, 255))

    def make(world: World) -> bytes:
        starts = {"spool": f"{world.workspace.spool.parent}/", "root": f"{world.root}/", "none": ""}
        named = value if form == "value" else starts[start] + path
        text = json.dumps({"destinationDirectory": named} | rest)
        if form == "twice":
            text = text[:-1] + ', "destinationDirectory": ' + json.dumps(str(world.victim.spool)) + "}"
        content = text.encode("utf-16" if form == "utf-16" else "utf-8")
        match form:
            case "mark":
                return b"\xef\xbb\xbf" + content
            case "cut":
                return content[:at]
            case "byte":
                return content[:at] + bytes([byte]) + content[at + 1 :]
        return content

    return make


@given(make=documents(), with_root=st.booleans())
def test_no_metadata_does_harm(world: World, make: Callable[[World], bytes], with_root: bool) -> None:
    """Whatever a document says, it is refused and nothing is changed, or it names a request that comes home whole."""
    check(world, make(world), with_root=with_root)


@pytest.mark.parametrize("with_root", [True, False], ids=["spool root set", "nothing set"])
def test_every_place_that_can_be_named(world: World, with_root: bool) -> None:
    """Each place in the world, by each of its names, is conveyed or refused as the rules say."""
    spool = world.workspace.spool.parent
    for segment in SEGMENTS:
        for end in ("", "/", "/..", f"/{REQUEST}", "/working/spool/inner", "/tmpiox5trbp/working"):
            named = {"destinationDirectory": f"{spool}/{segment}{end}", "workflowName": "std_calibration"}
            check(world, json.dumps(named).encode(), with_root=with_root)


def hostile_files(folder: Path) -> dict[str, tuple[set[int], Path]]:
    """Metadata files that are no documents, or very odd ones, with the exit codes that are right for each."""
    folder.mkdir()
    for name, content in {
        "deep": b'{"destinationDirectory": "/a", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "deep workflow": b'{"destinationDirectory": "/a", "workflowName": ' + b"[" * 900 + b"]" * 900 + b"}",
        "huge number": b'{"destinationDirectory": ' + b"9" * 1_000_000 + b"}",
        "huge exponent": b'{"destinationDirectory": "/a", "fileSetIds": [1e999999999]}',
        "not utf-8": b'{"destinationDirectory": "/\xff\xfe"}',
        "surrogate": b'{"destinationDirectory": "/\\ud800", "workflowName": "\\udfff"}',
        "long": b'{"destinationDirectory": "/' + b"x" * (15 << 20) + b'"}',
        "long workflow": b'{"destinationDirectory": "/a", "workflowName": "' + b"x" * (15 << 20) + b'"}',
        "too long": b" " * ((16 << 20) + 1),
        "zeros": bytes(1 << 20),
        "nothing": b"",
    }.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path has 107 bytes at most
        one.bind("socket")
        os.chdir(here)
    (folder / "device").symlink_to("/dev/zero")
    (folder / "circle").symlink_to("circle")
    (folder / "nowhere").symlink_to("gone")
    (folder / "memory").symlink_to("/proc/self/mem")
    codes = {"gone": {66}, "nowhere": {66}, "circle": {66}, "memory": {65, 74, 77}, f"{'n' * 300}": {74}}
    names = [*os.listdir(folder), *codes]
    return {name: (codes.get(name, {65}), folder / name) for name in names}


@pytest.mark.parametrize("command", ["deliver", "retrieve", "qa-fail", "status"])
def test_the_program_survives_every_kind_of_file(workspace: Workspace, tmp_path: Path, command: str) -> None:
    """The installed program ends each with its code and one sentence, without waiting, a traceback, or a change."""
    files = hostile_files(tmp_path / "files")
    before = inventory(workspace.root)
    arguments = [sys.executable, "-m", "conveyor", command, "--json", *(str(path) for _, path in files.values())]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    assert done.returncode in (1, *DOCUMENTED)
    assert "Traceback" not in done.stderr + done.stdout
    for (name, (codes, _)), request in zip(files.items(), document["requests"], strict=True):
        assert CODES[request["error"]["code"]] in codes, (name, request["error"])
        assert len(request["error"]["message"]) < 600, name
    assert inventory(workspace.root) == before


def test_the_program_refuses_what_the_functions_refuse(world: World) -> None:
    """A sample of hostile documents through the installed program: each has a code of its own kind, and nothing changes."""
    named = [*REFUSED, "alias", "out", "loop", "area", "gone", f"way/{REQUEST}/..", "\ud800", "file"]
    paths = []
    for number, name in enumerate(named):
        path = world.folder / f"sample {number}.json"
        spool = str(world.workspace.spool.parent / name)
        path.write_text(json.dumps({"destinationDirectory": spool, "workflowName": "std_calibration"}))
        paths.append(str(path))
    before = inventory(world.root)
    done = subprocess.run(
        [sys.executable, "-m", "conveyor", "deliver", "--json", *paths], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout
    codes = [CODES[request["error"]["code"]] for request in json.loads(done.stdout)["requests"]]
    assert len(codes) == len(named)
    assert set(codes) == {65, 66}
    assert inventory(world.root) == before


def test_metadata_that_changes_is_read_once(workspace: Workspace, tmp_path: Path) -> None:
    """What a conveyance does follows from one reading: a file that names the victim a moment later changes nothing."""
    victim = make_workspace(tmp_path / "victim")
    before = inventory(victim.root)

    def change(*_: object, **__: object) -> None:
        workspace.write_metadata(destinationDirectory=str(victim.spool), projectMetadata={"projectCode": "another"})

    conveyor.deliver(workspace.metadata, on_event=change).raise_for_error()
    assert json.loads((workspace.qa / "READY").read_text())["project_code"] == "13B-014"
    assert all((workspace.spool / name).is_symlink() for name in DIRECTORIES)
    assert inventory(victim.root) == before
