"""The instruments of the sweeps do what the sweeps take for granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conveyor.engine.plan import Operation
from support.stage import Stage
from support.strace import parse

if TYPE_CHECKING:
    from pathlib import Path

    from support.program import Program
    from support.volumes import Volumes


def test_a_call_at_which_the_program_is_killed_is_not_executed(program: Program, near: Path, tracing: None) -> None:
    """Killed where it first makes a name in the QA area, the program has not made it."""
    stage = Stage(program, near, near)
    stage.prepare(Operation.DELIVER, second=False)
    area = stage.workspace.qa.parent
    point = next(call for call in stage.undisturbed(Operation.DELIVER).points([area]) if call.name == "mkdirat")
    stage.begin_again()
    ending, trace = stage.traced(Operation.DELIVER, [f"{point.name}:signal=KILL:when={point.count}"])
    assert ending.status == -9
    assert trace.died_at(point)
    assert not list(area.iterdir())


def test_a_refused_exchange_is_the_kernels_own_answer(program: Program, near: Path, tracing: None) -> None:
    """Where exchanges are refused, every one that the program asks for is answered with EINVAL."""
    stage = Stage(program, near, near, "renames")
    stage.prepare(Operation.DELIVER, second=False)
    exchanges = [call.text for call in stage.undisturbed(Operation.DELIVER).calls if call.name == "renameat2"]
    assert exchanges
    assert all("EINVAL" in text and "(INJECTED)" not in text for text in exchanges)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_power_cut_leaves_what_was_flushed_and_nothing_else(near: Path, mounted: Volumes, kind: str) -> None:
    """Of two files, the one that was flushed is there after the cut, and the other one is not."""
    disk = mounted.image(near / "disk", near / "image", kind, mib=300)
    (disk.point / "flushed").write_text("x")
    disk.sync()
    (disk.point / "not flushed").write_text("x")
    disk.cut_power()
    assert {path.name for path in disk.point.iterdir()} - {"lost+found"} == {"flushed"}


def test_each_process_has_counts_of_its_own() -> None:
    """Calls are counted by process and name, as strace counts them, also where two processes take turns."""
    trace = parse(
        '7 mkdirat(3</a>, "b", 0777) = 0\n'
        '8 mkdirat(3</a>, "c", 0777 <unfinished ...>\n'
        '7 mkdirat(3</a>, "d", 0777) = -1 EIO (Input/output error) (INJECTED)\n'
        "8 <... mkdirat resumed>) = ?\n"
        "8 +++ killed by SIGKILL +++\n"
    )
    first, other, second = trace.calls
    assert [(call.process, call.count) for call in trace.calls] == [(7, 1), (8, 1), (7, 2)]
    assert trace.died_at(other)
    assert trace.failed_at(second)
    assert not trace.failed_at(first)
