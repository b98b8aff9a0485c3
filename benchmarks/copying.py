"""Moving a directory to another file system: Conveyor beside what people type otherwise.

Run it as root, which may mount and empty the page cache, from the repository's folder, with the interpreter that Conveyor
is installed for::

    python -m benchmarks.copying --workload A|B [--from KIND] [--to KIND] [--cold|--warm] [--rounds N] [--json FILE]

Every run has file systems of its own, equal block by block to those of the others in its round, and ends when ``sync`` does.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support import machine, program, rounds
from benchmarks.support.cache import may_drop, settle
from benchmarks.support.contestants import CONTESTANTS, CONVEYOR
from benchmarks.support.program import Place
from benchmarks.support.rounds import CommandFailedError
from benchmarks.support.table import as_markdown
from benchmarks.support.volumes import KINDS, CannotMountError, Need, Volumes, end_in_order
from benchmarks.support.workloads import WORKLOADS, Workload, inventory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.support.contestants import Contestant
    from benchmarks.support.rounds import Timing


class Course:
    """What all have to do: carry a workload from a file system of one kind to one of another (or the same), cold or warm."""

    def __init__(self, workload: Workload, origin: str, target: str, folder: Path, *, cold: bool) -> None:
        self._workload = workload
        self._origin, self._target = origin, target
        self._folder = folder
        self._cold = cold
        self._volumes = Volumes(folder)
        self._need = Need(workload.space, workload.count + workload.folders)
        self._environment = program.environment(folder)

    def rounds(self, count: int, contestants: Sequence[Contestant]) -> dict[str, list[Timing]]:
        """The timings of each, one a round."""
        timings: dict[str, list[Timing]] = {one.key: [] for one in contestants}
        with self._volumes.kept_image(self._origin, self._need) as image:
            if image is not None:
                with self._volumes.mounted(self._origin, "from", self._need, image) as origin:
                    self._make_request(origin)
            for number, one in rounds.in_turn(count, contestants):
                timing = self._run(one, image)
                timings[one.key].append(timing)
                print(f"round {number + 1}: {timing.seconds:7.2f} s  {one.label}", file=sys.stderr, flush=True)
        return timings

    def _run(self, one: Contestant, image: Path | None) -> Timing:
        with (
            self._volumes.copied(image) as copy,
            self._volumes.mounted(self._origin, "from", self._need, copy) as origin,
            self._volumes.mounted(self._target, "to", self._need) as target,
        ):
            if copy is None:
                self._make_request(origin)
            if origin.stat().st_dev == target.stat().st_dev:
                raise CannotMountError(f"{origin} and {target} are on one file system: nothing would be copied")
            return self._measure(one, Place(origin, target))

    def _make_request(self, origin: Path) -> None:
        self._workload.fill(Place(origin, origin).data)

    def _measure(self, one: Contestant, place: Place) -> Timing:
        place.write_metadata()
        area = place.goal.parent.parent
        area.mkdir()
        if one.key != CONVEYOR:
            place.goal.parent.mkdir()
        there = inventory(place.data)
        settle(place.data, one.primers, cold=self._cold)
        steps = one.steps(place, self._folder)
        timing = rounds.timed(
            steps, self._environment, self._folder, durable=(place.origin, place.target), goal=place.goal
        )
        arrived = inventory(place.goal)
        if arrived != there or (place.data.exists() and not place.data.is_symlink()):
            raise CommandFailedError(f"{one.label} did not move all: {there} files and bytes, {arrived} arrived")
        return timing


def result(options: argparse.Namespace, timings: dict[str, list[Timing]], folder: Path) -> dict[str, object]:
    """The document that tables and plots are made from."""
    workload = WORKLOADS[options.workload]
    cold = "cold" if options.cold else "warm"
    labels = {one.key: one for one in CONTESTANTS}
    return {
        "schema": "conveyor-benchmark-copying/1",
        "title": f"{workload.name} ({options.workload}), {options.origin} to {options.target}, {cold} cache",
        "machine": machine.description(folder),
        "scale": options.scale,
        "rounds": options.rounds,
        "runs": {
            key: {
                "label": labels[key].label,
                "verified": labels[key].verified,
                "seconds": [timing.seconds for timing in each],
                "steps": [timing.steps for timing in each],
                "appeared": [timing.appeared for timing in each],
            }
            for key, each in timings.items()
        },
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.copying", description=(__doc__ or "").partition("\n")[0]
    )
    kinds = f"{', '.join(KINDS)}, or an absolute path: a folder there"
    peers = [one.key for one in CONTESTANTS if one.key != CONVEYOR]
    add = parser.add_argument
    add("--workload", choices=WORKLOADS, default="B", help="A: like a MeasurementSet; B: small files (default B)")
    add("--from", dest="origin", default="ext4", metavar="KIND", help=f"{kinds} (default ext4)")
    add("--to", dest="target", default="ext4", metavar="KIND", help="the same (default ext4)")
    add(
        "--cold", action=argparse.BooleanOptionalAction, default=may_drop(), help="empty the page cache before each run"
    )
    add("--warm", dest="cold", action="store_false", help="have the data in memory before each run")
    add("--rounds", type=int, default=5, metavar="N", help="how often each runs (default 5)")
    add(
        "--peers", nargs="*", choices=peers, default=peers, metavar="PEER", help=f"of {', '.join(peers)} (default: all)"
    )
    add("--scale", type=float, default=1, metavar="X", help="the workload's size, 1 for the whole")
    add("--folder", type=Path, metavar="DIR", help="where images are made (default: a temporary folder)")
    add("--json", type=Path, metavar="FILE", help="write the result to a file too")
    options = parser.parse_args()
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds and --scale must be positive")
    if options.cold and not may_drop():
        parser.error("only root may empty the page cache: use --warm")
    for kind in (options.origin, options.target):
        if kind not in KINDS and not Path(kind).is_absolute():
            parser.error(f"{kind} is none of {kinds}")
    return options


def main() -> None:
    options = arguments()
    end_in_order()
    wanted = [one for one in CONTESTANTS if one.key in (*options.peers, CONVEYOR)]
    for one in wanted:
        if not one.is_installed:
            print(f"not installed, left out: {one.label}", file=sys.stderr)
    wanted = [one for one in wanted if one.is_installed]
    workload = WORKLOADS[options.workload].scaled(options.scale)
    with tempfile.TemporaryDirectory(prefix="conveyor-copying-", dir=options.folder) as name:
        folder = Path(name).resolve()
        try:
            course = Course(workload, options.origin, options.target, folder, cold=options.cold)
            document = result(options, course.rounds(options.rounds, wanted), folder)
        except (CannotMountError, CommandFailedError) as error:
            sys.exit(f"benchmarks.copying: {error}")
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    print(as_markdown(document))


if __name__ == "__main__":
    main()
