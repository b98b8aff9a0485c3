"""Disks that are really full, or out of inodes, at every level between nothing left and just enough."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from conveyor.errors import IoFailedError, NotPermittedError, SpaceMissingError
from conveyor.layout import META_DIR
from support.stage import Stage
from support.sweep import everything

if TYPE_CHECKING:
    from pathlib import Path

    from support.program import Program
    from support.strace import Call
    from support.sweep import Sweep
    from support.volumes import Volume, Volumes

SAMPLE = 3
# As the system says it, and as SQLite does of a manifest for which there is no inode.
FULL = ("No space left on device", "unable to open database file")
SMALL = 4096  # KiB
# What a run needs differs from one to the next: the file system's own blocks, and a line's length, are not always the same.
BORDER = 2  # blocks or inodes
# What has to have met the full disk in one run or another, by the last part of the path that the message names; or by the
# code, where the copy had no room and was not begun.
MET = {
    ("QA area", Operation.DELIVER): {"no-space"},
    ("weblog cache", Operation.DELIVER): {"plot.png", "weblog.tgz", "..conveyor.json.new"},
    ("all areas", Operation.DELIVER): {"claim.1", "history.jsonl", "plot.png"},
    ("spool", Operation.RETRIEVE): {"claim.1", "no-space"},
}


def placed(program: Program, near: Path, where: str, volume: Volume) -> Stage:
    """A stage of which one area is on the volume, and the others are not; or all are."""
    places = dict.fromkeys(("spool", "QA area", "weblog cache"), volume.point)
    if where != "all areas":
        places = {area: near / area for area in places} | {where: volume.point}
    for place in places.values():
        place.mkdir(exist_ok=True)
    return Stage(program, places["spool"], places["QA area"], cache=places["weblog cache"])


def just_enough(stage: Stage, volume: Volume, operation: Operation, what: str) -> int:
    """The least that has to be left for a run to succeed, found by halving: a run may remove more than it adds."""
    least, enough = 0, volume.free(what)
    while least < enough:
        middle = (least + enough) // 2
        stage.begin_again()
        volume.fill(what, leave=middle)
        if stage.start(operation).wait().status == 0:
            enough = middle
        else:
            least = middle + 1
        volume.empty()
    return least


@pytest.mark.parametrize("what", ["blocks", "inodes"])
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
@pytest.mark.parametrize(("where", "operation"), list(MET), ids=[f"{where}-{operation}" for where, operation in MET])
def test_a_full_disk_loses_nothing(
    program: Program, near: Path, mounted: Volumes, sweep: Sweep, where: str, operation: Operation, kind: str, what: str
) -> None:
    """Whatever the disk has no room for, the run ends with 74; when there is room, another run completes it."""
    if kind == "tmpfs":
        volume = mounted.memory(near / "small", kib=SMALL, inodes=300)
    else:
        volume = mounted.image(near / "small", near / "image", kind, mib=SMALL >> 10)
    stage = placed(program, near, where, volume)
    stage.prepare(operation, second=False)
    needed = just_enough(stage, volume, operation, what)
    met: set[str] = set()
    for left in sweep.choose(range(max(1, needed - BORDER)), SAMPLE):
        with sweep.at(f"{left} {what} left"):
            stage.begin_again()
            volume.fill(what, leave=left)
            ending = stage.start(operation).wait()
            sweep.was_hit(left, hit=ending.status == IoFailedError.exit_code)
            error = ending.request["error"] if ending.status else {"code": "", "message": "nothing"}
            is_foreseen = error["code"] == SpaceMissingError.code  # before anything was copied
            assert is_foreseen or any(words in error["message"] for words in FULL), error
            met.add(error["code"] if is_foreseen else error["message"].rpartition("/")[2])
            stage.check_the_instant()
            volume.empty()
            stage.convey(operation)
            stage.check_the_end(operation)
        volume.empty()
    sweep.finish(1)
    if everything() and (kind, what) == ("tmpfs", "blocks"):
        assert met >= MET[where, operation]


@pytest.mark.parametrize(("where", "operation"), list(MET), ids=[f"{where}-{operation}" for where, operation in MET])
def test_a_disk_that_becomes_read_only_loses_nothing(
    program: Program, near: Path, mounted: Volumes, sweep: Sweep, where: str, operation: Operation, tracing: None
) -> None:
    """Whenever a file system is remounted read-only in the middle, the run fails; writable again, another completes it."""
    volume = mounted.image(near / "small", near / "image", "ext4", mib=SMALL >> 10)
    stage = placed(program, near, where, volume)
    stage.prepare(operation, second=False)
    calls = [call for call in stage.undisturbed(operation).points([volume.point]) if call.changes]
    # The kernel remounts nothing on which a file is open for writing: a file that is flushed is, and so is the manifest
    # while SQLite flushes the folder that it is in.
    made = {call.text.rpartition("</")[2].rstrip(">") for call in calls if call.name == "openat"}
    names = ("mkdirat", "symlinkat", "linkat", "renameat", "renameat2", "unlinkat", "syncfs", "fsync")

    def is_of_folders(call: Call) -> bool:
        flushed = call.paths if call.name == "fsync" else ()
        return call.name in names and not any(
            path.lstrip("/") in made or path.endswith(f"/{META_DIR}") for path in flushed
        )

    # While a copy is made, that is its manifest; while a weblog is unpacked, the copy of its tar.
    points = [
        one
        for one, following in itertools.pairwise(calls)
        if is_of_folders(one) and is_of_folders(following) and not re.search(r"\.incoming|pipeline-", one.text)
    ]
    for point in sweep.choose(points, SAMPLE):
        with sweep.at(point):
            stage.begin_again()
            with stage.stopped(operation, point) as run:
                refused = volume.remount("ro")
            ending = run.wait()
            sweep.was_hit(point, hit=not refused)
            try:
                # A run that has not begun to change anything says that it may not write there.
                assert ending.status in (0, IoFailedError.exit_code, NotPermittedError.exit_code), ending.err
                stage.check_the_instant()
            finally:
                assert not volume.remount("rw")
            stage.convey(operation)
            stage.check_the_end(operation)
    sweep.finish(3)
