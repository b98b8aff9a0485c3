"""Directories that get the project ID of the area that holds them, on file systems that have such IDs."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.engine.survey import State
from conveyor.errors import UnmovableError
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.project_ids import NO_PROJECT, Project, ProjectCalls
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.inventory import inventory
from support.projects import NoProjects
from support.volumes import volumes
from support.workspace import make_workspace
from tools.ext4_projects import ext4_projects

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")

KINDS = {"xfs": 320, "ext4": 64}  # MiB
SPOOL, QA, OTHER = 5, 300, 77
Policy = Literal["retag", "copy", "refuse"]
NAMES = ("rawdata", "products", "working")


def is_special(path: Path) -> bool:
    return path.is_symlink() or path.is_fifo()


@contextmanager
def suppress_unless_told() -> Iterator[None]:
    """Pass over a link or a FIFO that has no project which could be told."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_PROJECT:
            raise


class Areas:
    """A request in a spool area, and a QA area, of which some hand on project IDs."""

    def __init__(self, root: Path, tagged: str) -> None:
        self.workspace = make_workspace(root, qa_root=root, cache=root / "weblogs")
        folder = self.workspace.spool / "working" / "folder"
        (folder / "link").symlink_to("file.txt")
        os.mkfifo(folder / "fifo")
        self.area = root / "qa2"
        self.area.mkdir(exist_ok=True)
        self.calls = ProjectCalls()
        for area, number in ((self.workspace.spool.parent, SPOOL), (self.area, QA)):
            if tagged in (area.name, "both"):
                self.tag(area, number)
        self._set(folder, "file.txt", OTHER, handed_on=False)

    @contextmanager
    def _opened(self, folder: Path) -> Iterator[int]:
        with FileSystem().open_root(folder) as opened:
            yield opened.descriptor

    def _set(self, folder: Path, name: str, number: int, *, handed_on: bool) -> None:
        with self._opened(folder) as opened:
            self.calls.set(opened, name, number, handed_on=handed_on, special=is_special(folder / name))

    def _read(self, folder: Path, name: str) -> Project:
        with self._opened(folder) as opened:
            return self.calls.read(opened, name, special=is_special(folder / name))

    def tag(self, area: Path, number: int) -> None:
        self._set(area, ".", number, handed_on=True)
        for folder, folders, files in os.walk(area):
            for name in (*folders, *files):
                with suppress_unless_told():
                    self._set(area / folder, name, number, handed_on=name in folders)

    def projects(self, end: Path) -> dict[str, Project]:
        """The projects of all that is in the directories at an end, and has one that can be told."""
        found = {}
        for one in NAMES:
            for folder, folders, files in os.walk(end / one):
                for name in (*folders, *files, "."):
                    with suppress_unless_told():
                        found[os.path.relpath(os.path.join(folder, name), end)] = self._read(Path(folder), name)
        return found

    def run(
        self, operation: Operation, policy: Policy, calls: ProjectCalls | None = None, *, dry_run: bool = False
    ) -> Outcome:
        workspace = self.workspace
        places = Places(workspace.request, workspace.spool, self.area, workspace.weblog.parent, relative_links=False)
        copying = CopyOptions(project_ids=policy)
        request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100), copying)
        environment = Environment(FileSystem(pause=lambda _: None, projects=calls))
        return convey(request, operation, environment, Outcome(str(operation), None), dry_run=dry_run)


@pytest.fixture(params=KINDS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system with project IDs, mounted."""
    with volumes() as mounted, ExitStack() as stack:
        mounted.image(tmp_path / "root", tmp_path / "image", request.param, mib=KINDS[request.param])
        if request.param == "ext4":
            stack.enter_context(ext4_projects(tmp_path / "root"))
        yield tmp_path / "root"


def test_what_was_renamed_out_comes_home_with_the_ids_that_it_had(root: Path) -> None:
    """Where nothing was recorded on the way out, since a rename did, the IDs at the time of the way home are put back."""
    areas = Areas(root, "")
    workspace = areas.workspace
    before = areas.projects(workspace.spool)
    assert set(areas.run(Operation.DELIVER, "retag").raise_for_error().ways.values()) == {"exchange"}
    areas.tag(workspace.spool, SPOOL)
    home = areas.run(Operation.RETRIEVE, "retag").raise_for_error()
    assert (home.state, set(home.ways.values())) == (State.IN_SPOOL, {"retag"})
    assert areas.projects(workspace.spool) == before


@pytest.mark.parametrize("tagged", ["spool", "qa2", "both"])
def test_the_area_that_holds_the_data_is_charged(root: Path, tagged: str) -> None:
    """Out and home nothing is copied, every entry has the ID of its area, and at home those that it had before."""
    areas = Areas(root, tagged)
    workspace = areas.workspace
    before = areas.projects(workspace.spool)
    things = inventory(workspace.spool, inside="working")
    foretold = areas.run(Operation.DELIVER, "retag", dry_run=True).raise_for_error()
    assert set(foretold.ways.values()) == {"retag"}
    out = areas.run(Operation.DELIVER, "retag").raise_for_error()
    assert (out.state, out.ways) == (State.IN_QA, foretold.ways)
    assert {project.number for project in areas.projects(workspace.qa).values()} == {QA if tagged != "spool" else 0}
    home = areas.run(Operation.RETRIEVE, "copy").raise_for_error()
    assert (home.state, home.ways) == (State.IN_SPOOL, foretold.ways)
    assert areas.projects(workspace.spool) == before
    assert inventory(workspace.spool, inside="working") == things
    assert os.listdir(workspace.spool / ".conveyor") == ["history.jsonl"]


def test_where_links_cannot_be_asked_they_keep_their_id(root: Path) -> None:
    """Before Linux 6.17 only what can be opened has its ID changed; the directory moves all the same."""
    areas = Areas(root, "both")
    calls = ProjectCalls()
    calls._call = None  # noqa: SLF001 - as on an older kernel
    before = areas.projects(areas.workspace.spool)
    assert set(areas.run(Operation.DELIVER, "retag", calls).raise_for_error().ways.values()) == {"retag"}
    there = areas.projects(areas.workspace.qa)
    assert {project.number for path, project in there.items() if not path.endswith(("link", "fifo"))} == {QA}
    areas.run(Operation.RETRIEVE, "retag", calls).raise_for_error()
    assert areas.projects(areas.workspace.spool) == before


def test_what_is_refused_is_refused_before_anything_moves(root: Path) -> None:
    """By the setting ``refuse`` the message names both IDs, in a dry run too."""
    areas = Areas(root, "both")
    things = inventory(areas.workspace.spool)
    for dry_run in (True, False):
        with pytest.raises(UnmovableError, match=f"project {SPOOL}, .* project {QA}"):
            areas.run(Operation.DELIVER, "refuse", dry_run=dry_run).raise_for_error()
        assert inventory(areas.workspace.spool) == things


@pytest.mark.parametrize("policy", ["copy", "retag"])
def test_who_may_set_no_ids_copies(root: Path, policy: Policy) -> None:
    """By the setting ``copy``, and where the account may not, a directory is copied out and home."""

    class MayNot(NoProjects):
        def read(self, directory: int, name: str = ".", *, special: bool = False) -> Project:
            return ProjectCalls().read(directory, name, special=special)

        def set(self, directory: int, name: str, number: int, *, handed_on: bool, special: bool = False) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    areas = Areas(root, "both")
    calls = MayNot() if policy == "retag" else None
    for operation in (Operation.DELIVER, Operation.RETRIEVE):
        foretold = areas.run(operation, policy, calls, dry_run=True).raise_for_error()
        done = areas.run(operation, policy, calls).raise_for_error()
        assert set(done.ways.values()) <= {"copy", "clone"}
        assert set(foretold.ways.values()) <= {"copy", "clone"}
    assert {project.number for project in areas.projects(areas.workspace.spool).values()} == {SPOOL}
