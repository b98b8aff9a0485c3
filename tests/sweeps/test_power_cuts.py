"""The power fails at every call that changes the workspace: what had reached the device by then is all that is left.

The workspace is in an image of a file system, or in two. The program is killed at the call, the image is copied as it is,
with nothing flushed but what the program had flushed, and the copy is mounted in its place, which replays the journal.
"""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from support.stage import CLONE, RETAG, WAYS, Stage
from support.sweep import seed
from support.volumes import apart

if TYPE_CHECKING:
    from pathlib import Path

    from support.program import Program
    from support.strace import Call, Trace
    from support.sweep import Sweep
    from support.volumes import Volume, Volumes

FEWEST = 30
SAMPLE = 3
SIZES = {"ext4": 8, "xfs": 300, "btrfs": 128}  # MiB: about the least that there can be
CASES = [*itertools.product(("ext4", "xfs"), WAYS), ("xfs", RETAG), ("btrfs", CLONE)]


@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
@pytest.mark.parametrize(("kind", "way"), CASES)
def test_a_power_cut_at_any_call_loses_nothing(
    program: Program,
    near: Path,
    mounted: Volumes,
    sweep: Sweep,
    tracing: None,
    kind: str,
    way: str,
    operation: Operation,
) -> None:
    """After the journal's replay all data is whole at one end, nothing looks finished, and the same command completes it."""
    names = ("near", "far") if way.startswith("copy") else ("near",)
    disks = [mounted.image(near / name, near / f"{name}.image", kind, mib=SIZES[kind]) for name in names]
    places = apart(disks[0].point, way) if way in (RETAG, CLONE) else (disks[0].point, disks[-1].point)
    stage = Stage(program, *places, way)
    stage.prepare(operation, second=False)
    whole = stage.undisturbed(operation)
    stage.begin_again()
    for disk in disks:
        disk.keep()
    for point, flushed in sweep.choose(list(itertools.product(whole.points(stage.places), (False, True))), SAMPLE):
        with sweep.at(point):
            for disk in disks:
                disk.go_back()
            earlier = some_point_before(stage, whole, point) if flushed else None
            sweep.was_hit(point, hit=killed_at(stage, operation, point, earlier, disks).died_at(point))
            for disk in disks:
                disk.cut_power()
            stage.check_the_instant()
            stage.convey(operation)
            stage.check_the_end(operation)
    sweep.finish(FEWEST)


def some_point_before(stage: Stage, whole: Trace, point: Call) -> Call | None:
    """Any earlier point, by the dice; of another name, since strace takes one instruction for each name of a call."""
    points = whole.points(stage.places)
    earlier = [call for call in points[: points.index(point)] if call.name != point.name]
    return Random(f"{seed()} {point}").choice(earlier) if earlier else None


def killed_at(stage: Stage, operation: Operation, point: Call, earlier: Call | None, disks: list[Volume]) -> Trace:
    """Run to a point and die there; at an earlier one, everything written so far reaches one of the devices."""
    kill = f"{point.name}:signal=KILL:when={point.count}"
    if earlier is None:
        return stage.traced(operation, [kill])[1]
    with stage.stopped(operation, earlier, [kill]) as run:
        Random(f"{seed()} {earlier}").choice(disks).sync()
    run.wait()
    return stage.last_trace()
