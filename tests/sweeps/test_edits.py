"""A request of many files is edited while it is carried, and the conveyance killed at random: no edit is lost.

The other sweeps stop a small request at each call. Here there is enough for several processes, which are killed as well, and
all of it may change at once.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from conveyor import errors
from conveyor.engine.plan import Operation
from support.stage import Stage
from support.sweep import seed

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.program import Program, Run
    from support.sweep import Sweep

FILES, IN_A_FOLDER = 6000, (7, 60, 900)
ROUNDS, SAMPLE, MORE_RUNS = range(60), 1, 2
SOON, LATE = 0.3, 1.5  # seconds until a run is ended: a delivery takes longer than the first
DOCUMENTED = {error.exit_code for error in errors.tree()} - {errors.InternalError.exit_code}
TRIES = 3  # of an undisturbed run that may find that the source was just written to


def test_no_edit_is_lost(program: Program, near: Path, far: Path, sweep: Sweep) -> None:
    """Whatever ends a conveyance, every file has what was last written to its path, and all goes out and home at last."""
    for number in sweep.choose(ROUNDS, SAMPLE):
        dice = Random(f"{seed()} {number}")
        spool, area = near / str(number), far / str(number)
        spool.mkdir()
        area.mkdir()
        edits = Edits(Stage(program, spool, area, "copy"), dice)
        with sweep.at(f"round {number}"):
            status = edits.disturb(Operation.DELIVER, kill, SOON)
            sweep.was_hit(number, hit=status == -signal.SIGKILL)
            for _ in range(MORE_RUNS):
                edits.disturb(dice.choice(list(Operation)), dice.choice(ENDS), LATE)
            for operation in (Operation.DELIVER, Operation.RETRIEVE):
                edits.convey(operation)
    sweep.finish(len(ROUNDS))


class Edits:
    """A request with many files, edited by their paths; ``written`` is what each of them has to have."""

    def __init__(self, stage: Stage, dice: Random) -> None:
        self._stage, self._dice = stage, dice
        folder, size = stage.workspace.spool / "rawdata" / "many", dice.choice(IN_A_FOLDER)
        self.written = {
            folder / str(number // size) / f"file {number}": b"%d\n" % number * dice.randrange(1, 100)
            for number in range(FILES)
        }
        for path, content in self.written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def disturb(self, operation: Operation, end: Callable[[Run], None], within: float) -> int:
        """Edit while a run is under way, end it within so many seconds, and look whether every edit is there; its status."""
        run, moment = self._stage.start(operation), time.monotonic() + self._dice.uniform(0, within)
        while time.monotonic() < moment:
            self._edit()
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            end(run)
        ending = run.wait()
        assert ending.status in {0, -signal.SIGKILL, *DOCUMENTED}, f"{operation}: {ending.status} {ending.err}"
        self.check()
        return ending.status

    def _edit(self) -> None:
        if self._dice.random() < 0.02:  # as a chmod of the whole tree: every file has another time of change
            for path in self.written:
                path.chmod(self._dice.choice((0o640, 0o644)))
            return
        path = self._dice.choice(list(self.written))
        self.written[path] = b"edited %d" % self._dice.randrange(1 << 30)
        path.write_bytes(self.written[path])
        time.sleep(0.01)

    def convey(self, operation: Operation) -> None:
        """Run undisturbed; after edits a moment ago, more than once."""
        endings = [self._stage.start(operation).wait()]
        while endings[-1].status and len(endings) < TRIES:
            endings.append(self._stage.start(operation).wait())
        assert endings[-1].status == 0, f"{operation}: {[ending.status for ending in endings]} {endings[-1].err}"
        self.check()

    def check(self) -> None:
        wrong = [path for path, content in self.written.items() if path.read_bytes() != content]
        assert not wrong, f"{len(wrong)} edits are lost, for one of {wrong[0]}"


def kill(run: Run) -> None:
    run.kill()


def kill_worker(run: Run) -> None:
    """Kill the first process that a run has forked, if there is one just now."""
    for child in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()[:1]:
        os.kill(int(child), signal.SIGKILL)


def ask_to_end(run: Run) -> None:
    run.kill(signal.SIGTERM)


def leave(_: Run) -> None:
    """Let a run come to its own end."""


ENDS = (kill, kill_worker, ask_to_end, leave)
