"""Real disks that are full, out of inodes, read-only or coarse: the conveyance stops, says where, and goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.engine import crossing
from conveyor.settings.model import Settings
from conveyor.settings.sources import LoadedSettings
from support.disks import Disk, unmounting, why_not
from support.verdicts import data_in
from support.workspace import DIRECTORIES, add_files_that_show_a_crash, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor import Outcome
    from support.verdicts import Data
    from support.workspace import Workspace

_FULL = re.compile(r"\w+: (No space left on device|Read-only file system): /\S+")


@pytest.fixture(autouse=True)
def _needs_root() -> None:
    if reason := why_not("ext4"):
        pytest.skip(reason)


@contextmanager
def tmpfs(point: Path, options: str) -> Iterator[None]:
    """A tmpfs for a while."""
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", point], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", point], check=True)


class Case:
    """A request, and what of it must never be lost."""

    def __init__(self, workspace: Workspace, **places: Path) -> None:
        add_files_that_show_a_crash(workspace)
        self.workspace = workspace
        self.settings = LoadedSettings(Settings(**places), {}, None)  # type: ignore[arg-type]  # fields by their names
        self.qa = places.get("qa_root", workspace.root) / "qa2" / workspace.request
        self.before = self.data()

    def data(self) -> Data:
        return data_in(self.workspace.spool, DIRECTORIES)

    def deliver(self) -> Outcome:
        return conveyor.deliver(self.workspace.metadata, settings=self.settings)

    def check_stopped(self, outcome: Outcome) -> None:
        """It ended with a clear error, nothing looks finished, and every directory is whole at one end."""
        assert outcome.error is not None
        assert outcome.error.exit_code == 74
        assert _FULL.search(outcome.error.message), outcome.error.message
        assert not (self.qa / "READY").exists()
        there = self.data() | data_in(self.qa, DIRECTORIES)
        assert there == self.before

    def check_delivered(self) -> None:
        outcome = self.deliver().raise_for_error()
        assert outcome.state == "in-qa"
        assert data_in(self.qa, DIRECTORIES) == self.before
        inner = [path.name for end in (self.workspace.spool, self.qa) for path in (end / ".conveyor").iterdir()]
        assert sorted(inner) == ["history.jsonl", "peer", "peer"]


# What is short, and how it is mounted so that it is: pages of four kibibytes, or inodes.
SHORT = ["size={}k", "size=64m,nr_inodes={}"]


@pytest.mark.parametrize("option", SHORT, ids=["space", "inodes"])
@pytest.mark.parametrize("what", ["qa_root", "weblog_cache"])
def test_a_full_disk_stops_a_delivery_and_the_next_one_completes_it(tmp_path: Path, what: str, option: str) -> None:
    """With ever more room in the QA area or the cache: a delivery that runs out of it is completed once there is enough."""
    stopped = 0
    for room in range(4, 100, 4):
        short = tmp_path / "short"
        with tmpfs(short, option.format(room)):
            place = short if what == "qa_root" else short / "weblogs"
            if what == "qa_root":
                (place / "qa2").mkdir()
            case = Case(make_workspace(tmp_path / str(room)), **{what: place})
            outcome = case.deliver()
            if outcome.error is None:
                case.check_delivered()
                break
            stopped += 1
            case.check_stopped(outcome)
            subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=1000", short], check=True)
            case.check_delivered()
    else:
        pytest.fail("there was never enough room")
    assert stopped >= 3


@pytest.mark.parametrize("left", range(6))
def test_a_full_spool_area_stops_a_delivery_and_the_next_one_completes_it(tmp_path: Path, left: int) -> None:
    """With no room, or room for a few names, where the request is: nothing is lost, and the delivery is completed later."""
    root = tmp_path / "workspaces"
    with tmpfs(root, "size=64m,nr_inodes=200"):
        case = Case(make_workspace(root))
        filler = root / "filler"
        filler.mkdir()
        for number in range(os.statvfs(root).f_ffree - left):
            (filler / str(number)).touch()
        case.check_stopped(case.deliver())
        shutil.rmtree(filler)
        case.check_delivered()


@pytest.mark.parametrize("function", ["copy_tree", "compare_trees", "_put_in_place", "_take_out", "clear"])
@pytest.mark.parametrize("which", ["spool", "qa"])
def test_a_disk_that_becomes_read_only_stops_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, which: str
) -> None:
    """Either disk becomes read-only in the middle of a copy, as after an I/O error: nothing is lost, and it goes on."""
    spool, qa = tmp_path / "workspaces", tmp_path / "elsewhere"
    disks = {"spool": Disk(tmp_path / "spool.image", spool, "ext4"), "qa": Disk(tmp_path / "qa.image", qa, "ext4")}
    with unmounting(*disks.values()):
        (qa / "qa2").mkdir()
        case = Case(make_workspace(spool), qa_root=qa)
        real = getattr(crossing, function)

        def remounting(*arguments: object) -> object:
            monkeypatch.setattr(crossing, function, real)
            disks[which].remount("ro")
            return real(*arguments)

        monkeypatch.setattr(crossing, function, remounting)
        outcome = case.deliver()
        disks[which].remount("rw")
        if outcome.error is not None:
            case.check_stopped(outcome)
        case.check_delivered()


def test_a_file_system_with_coarse_times_is_copied_to(tmp_path: Path) -> None:
    """A QA area that keeps times in seconds, as Lustre does, gets a copy that counts as equal; its times are cut off."""
    image, point = tmp_path / "image", tmp_path / "coarse"
    disk = Disk(image, point, "ext4", options=("-I", "128"))
    with unmounting(disk):
        (point / "qa2").mkdir()
        case = Case(make_workspace(tmp_path / "workspaces"), qa_root=point)
        case.deliver().raise_for_error()
        found = data_in(case.qa, DIRECTORIES)
        assert [item[6] for item in found.values()] == [case.before[path][6] for path in found]
        assert all(item[4] == int(str(case.before[path][4])) // 10**9 * 10**9 for path, item in found.items())
        conveyor.retrieve(case.workspace.metadata, settings=case.settings).raise_for_error()
