"""Steps of a capability's own: planned, shown, recorded, run again after a crash; and markers of an area's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor.api.area_listings import Listing, qa_folders
from conveyor.capabilities.builtin import CALIBRATION
from conveyor.capabilities.registry import Registry
from conveyor.filesystem.posix import FileSystem
from support.inventory import inventory
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "conveyor-vlass" / "src"
# The program with one step of the example's killed: before it, at its rename, or just after it.
_KILLED = """
import os, pathlib, signal, sys
import conveyor_vlass
hook, when = sys.argv.pop(1), sys.argv.pop(1)
kind = getattr(conveyor_vlass, hook)
real = kind.perform
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def perform(self, request):
    if when == "before":
        die()
    if when == "within":
        pathlib.Path.replace = die
    real(self, request)
    die()
kind.perform = perform
from conveyor.cli.main import run
run()
"""


@dataclass
class Noted:
    """A hook that notes what is asked of it; ``failure`` is raised by its act."""

    name: str = "noted"
    asked: list[str] = field(default_factory=list)
    is_needed: bool = True
    failure: BaseException | None = None

    def needed(self, request: conveyor.HookContext) -> bool:
        return self.is_needed

    def describe(self) -> str:
        return "note it"

    def rehearse(self, request: conveyor.HookContext) -> None:
        self.asked.append(f"rehearse {request.request}")

    def perform(self, request: conveyor.HookContext) -> conveyor.StepResult:
        self.asked.append(f"perform {request.request}")
        if self.failure is not None:
            raise self.failure
        return conveyor.StepResult(detail="noted")


class _Forgetful(Noted):
    """A hook that prints, and forgets to say what came of it."""

    def perform(self, request: conveyor.HookContext) -> Any:
        sys.stdout.write("performed\n")


@pytest.fixture
def using(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make every conveyance of this test use the calibration with some of its fields changed."""

    def use(**changes: Any) -> None:
        monkeypatch.setattr(Registry, "for_workflow", lambda *_: replace(CALIBRATION, **changes))

    return use


def _steps(outcome: conveyor.Outcome) -> list[str]:
    return [f"{step.step} {step.outcome}" for step in outcome.steps]


def test_hooks_come_before_anything_moves_and_when_all_is_home(
    workspace: Workspace, using: Callable[..., None]
) -> None:
    """A step before the delivery is its first, one after the retrieval comes when all is home; both are in the history."""
    before, after = Noted("before"), Noted("after")
    using(before_delivery=(before,), after_retrieval=(after,))
    delivered = conveyor.deliver(workspace.metadata).raise_for_error()
    assert _steps(delivered)[0] == "before done"
    assert delivered.steps[0].meaning == "note it"
    home = conveyor.retrieve(workspace.metadata).raise_for_error()
    assert _steps(home)[-2:] == ["after done", "close-qa-folder done"]
    assert (before.asked, after.asked) == ([f"perform {workspace.request}"], [f"perform {workspace.request}"])
    history = (workspace.spool / ".conveyor" / "history.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in history]
    assert [(line["step"], line["detail"]) for line in lines if line.get("detail") == "noted"] == [
        ("before", "noted"),
        ("after", "noted"),
    ]


def test_a_dry_run_shows_and_rehearses_a_hook(workspace: Workspace, using: Callable[..., None]) -> None:
    """A dry run shows the step and asks whether it would succeed; it does not perform it."""
    hook = Noted()
    using(before_delivery=(hook,))
    planned = conveyor.deliver(workspace.metadata, dry_run=True).raise_for_error()
    assert _steps(planned)[0] == "noted planned"
    assert hook.asked == [f"rehearse {workspace.request}"]


def test_a_dry_run_takes_directories_of_any_name(workspace: Workspace, using: Callable[..., None]) -> None:
    """What it tries the ways with has no name that a directory could have."""
    hidden = [conveyor.Directory(name) for name in (".full", ".tagged", "link")]
    for one in hidden:
        (workspace.spool / one.name).mkdir()
    using(directories=(*hidden, *CALIBRATION.directories))
    assert conveyor.deliver(workspace.metadata, dry_run=True).raise_for_error().ways[".full"] == "exchange"


def test_a_hook_that_has_nothing_to_do_is_no_step(workspace: Workspace, using: Callable[..., None]) -> None:
    """What a hook finds done already is not planned, and a finished delivery asks no hook at all."""
    hook = Noted(is_needed=False)
    using(before_delivery=(hook,))
    assert "noted done" not in _steps(conveyor.deliver(workspace.metadata).raise_for_error())
    hook.is_needed = True
    assert conveyor.deliver(workspace.metadata).raise_for_error().already
    assert hook.asked == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (RuntimeError("a bug of the package"), "capability-broken"),
        (PermissionError(13, "Permission denied", "/inbox"), "not-permitted"),
        (PermissionError("the inbox cannot be written to"), "not-permitted"),
        (conveyor.ConveyorError("as it says"), "internal"),
        (SystemExit(0), "capability-broken"),
    ],
)
def test_a_hook_that_fails_moves_nothing(
    workspace: Workspace, using: Callable[..., None], failure: BaseException, code: str
) -> None:
    """The first step failed: the error says whose it is, nothing has changed, and without the cause it goes on."""
    hook = Noted(failure=failure)
    using(before_delivery=(hook,))
    before = inventory(workspace.root)
    outcome = conveyor.deliver(workspace.metadata)
    assert outcome.error is not None
    assert outcome.error.code == code
    assert inventory(workspace.root) == before
    hook.failure = None
    assert conveyor.deliver(workspace.metadata).raise_for_error().state is conveyor.State.IN_QA


def test_a_hook_that_forgets_its_result_is_told_so(
    workspace: Workspace, using: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the package's mistake, and no bug of Conveyor; what it prints is no part of the result."""
    using(before_delivery=(_Forgetful(),))
    error = conveyor.deliver(workspace.metadata).error
    assert error is not None
    assert (error.code, "returned None, not a conveyor.StepResult" in error.message) == ("capability-broken", True)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "performed\n")


def test_a_hook_that_fails_after_the_way_home_is_tried_again(workspace: Workspace, using: Callable[..., None]) -> None:
    """The data are home, the request is not finished; the next run performs the hook again, a delivery goes back."""
    hook = Noted(failure=OSError(5, "Input/output error"))
    using(after_retrieval=(hook,))
    conveyor.deliver(workspace.metadata).raise_for_error()
    failed = conveyor.retrieve(workspace.metadata)
    assert failed.error is not None
    assert failed.state is conveyor.State.IN_TRANSIT
    assert not (workspace.spool / "working").is_symlink()
    assert conveyor.deliver(workspace.metadata).raise_for_error().state is conveyor.State.IN_QA
    hook.failure = None
    assert "noted done" in _steps(conveyor.qa_fail(workspace.metadata).raise_for_error())
    assert not workspace.qa.exists()


def _example(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program with the example's capability from the documentation; ``-c`` with code goes before the rest."""
    code = arguments[:2] if arguments[0] == "-c" else ("-m", "conveyor")
    rest = arguments[2:] if arguments[0] == "-c" else arguments
    inbox = workspace.root / "inbox"
    inbox.mkdir(exist_ok=True)
    path = os.pathsep.join(filter(None, [str(workspace.root / "site"), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, *code, *rest, str(workspace.metadata)],
        env={**os.environ, "PYTHONPATH": path, "VLASS_INBOX": str(inbox)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def vlass(tmp_path: Path) -> Workspace:
    """A request of the example's, whose package stands where the program finds it, with its entry point."""
    workspace = make_workspace(tmp_path / "workspaces")
    workspace.write_metadata(workflowName="vlass_calibration")
    site = workspace.root / "site"
    (site / "conveyor_vlass-1.0.dist-info").mkdir(parents=True)
    (site / "conveyor_vlass").symlink_to(EXAMPLE / "conveyor_vlass")
    (site / "conveyor_vlass-1.0.dist-info" / "METADATA").write_text("Name: conveyor-vlass\nVersion: 1.0\n")
    entry = "[conveyor.capabilities]\nvlass = conveyor_vlass:VLASS\n"
    (site / "conveyor_vlass-1.0.dist-info" / "entry_points.txt").write_text(entry)
    return workspace


@pytest.mark.parametrize("when", ["before", "within", "after"])
@pytest.mark.parametrize("second", ["the same", "the opposite"])
def test_a_run_that_is_killed_in_a_hook_is_finished_or_undone(vlass: Workspace, when: str, second: str) -> None:
    """Killed before, within and after each of the example's steps: the same command finishes, the opposite goes back."""
    other = {"deliver": "retrieve", "retrieve": "deliver"}
    for hook, command in (("Checksums", "deliver"), ("Announcement", "retrieve")):
        killed = _example(vlass, "-c", _KILLED, hook, when, command)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        following = command if second == "the same" else other[command]
        ran = _example(vlass, following)
        assert ran.returncode == 0, ran.stderr
        state = json.loads(_example(vlass, "status", "--json").stdout)["requests"][0]["state"]
        assert state == ("in-qa" if following == "deliver" else "in-spool")
        if second == "the opposite":
            assert _example(vlass, command).returncode == 0
    sums = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=vlass.spool / "products", check=False)
    assert sums.returncode == 0
    assert [path.name for path in (vlass.root / "inbox").iterdir() if path.suffix == ".json"] == [
        f"{vlass.request}.json"
    ]
    assert not vlass.qa.exists()


@dataclass(frozen=True)
class XmlMarker:
    """A marker of another form, under another name."""

    name: str = "READY.xml"

    def write(self, delivery: conveyor.Delivery) -> bytes:
        return f'<delivery request="{delivery.request}"/>'.encode()

    def is_ours(self, content: bytes, request: str) -> bool:
        return content == f'<delivery request="{request}"/>'.encode()


def test_a_qa_area_has_a_marker_of_its_own(workspace: Workspace, using: Callable[..., None]) -> None:
    """The area's own document is written last, known again, and gone when the request is home; READY is not written."""
    using(marker=XmlMarker())
    delivered = conveyor.deliver(workspace.metadata).raise_for_error()
    assert delivered.steps[-1].meaning == "write READY.xml"
    assert (workspace.qa / "READY.xml").read_text() == f'<delivery request="{workspace.request}"/>'
    assert not (workspace.qa / "READY").exists()
    assert conveyor.deliver(workspace.metadata).raise_for_error().already
    assert conveyor.retrieve(workspace.metadata).raise_for_error().warnings == ()
    assert not workspace.qa.exists()


def test_somebody_elses_file_of_the_markers_name_is_a_conflict(
    workspace: Workspace, using: Callable[..., None]
) -> None:
    """A file that the marker does not know is not overwritten."""
    using(marker=XmlMarker())
    workspace.qa.mkdir()
    (workspace.qa / "READY.xml").write_text("<notes/>")
    outcome = conveyor.deliver(workspace.metadata)
    assert outcome.error is not None
    assert outcome.error.code == "conflict"
    assert (workspace.qa / "READY.xml").read_text() == "<notes/>"


class _BrokenMarker(XmlMarker):
    """A marker that forgets to make bytes, and takes every file for its own document."""

    def write(self, delivery: conveyor.Delivery) -> Any:
        return delivery.request

    def is_ours(self, content: bytes, request: str) -> bool:
        return bool(json.loads(content)["request"] == request)


def test_a_broken_marker_is_the_packages_and_hides_nothing(workspace: Workspace, using: Callable[..., None]) -> None:
    """What was done before it failed is told, and one file that it cannot read keeps no other request from being seen."""
    using(marker=_BrokenMarker())
    outcome = conveyor.deliver(workspace.metadata)
    assert outcome.error is not None
    assert "the marker 'READY.xml' failed: TypeError: its write returned a str" in outcome.error.message
    assert (outcome.error.code, outcome.changed, outcome.state) == ("capability-broken", True, "in-transit")
    (workspace.qa / "READY.xml").write_text("junk")
    [seen] = conveyor.status(workspace.metadata)
    assert seen.error is not None
    assert "the marker 'READY.xml' failed: JSONDecodeError" in seen.error.message
    area = Listing(workspace.qa.parent, (workspace.request,))
    [folder] = qa_folders(FileSystem(), area, [replace(CALIBRATION, marker=_BrokenMarker())])
    assert folder.error is not None
    assert folder.error.code == "capability-broken"


def test_no_directory_may_have_the_markers_name() -> None:
    """What the area reserves cannot be conveyed."""
    with pytest.raises(conveyor.ConveyorError, match="the name is Conveyor's own"):
        conveyor.Capability("x", ("x",), "qa2", (conveyor.Directory("READY.xml"),), None, XmlMarker())
