"""Moving a directory to another file system: Conveyor beside what people type otherwise.

Run it as root, which may mount and empty the page cache, from the repository's folder, with the interpreter that Conveyor
is installed for::

    python -m benchmarks.copying --workload A|B [--from KIND] [--to KIND] [--cold|--warm] [--rounds N] [--json FILE]

Every run has file systems of its own, equal block by block to those of the others in its round, and ends when ``sync`` does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from benchmarks.support import program, rounds
from benchmarks.support.cache import may_drop, settle
from benchmarks.support.command import add_rounds_option, command_line, earlier_rounds, parse, report
from benchmarks.support.contestants import CONTESTANTS, CONVEYOR
from benchmarks.support.program import Place
from benchmarks.support.rounds import CommandFailedError
from benchmarks.support.volumes import CannotMountError, Need, Volumes
from benchmarks.support.workloads import WORKLOADS, Workload, inventory

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.support.contestants import Contestant
    from benchmarks.support.rounds import Timing


class Course:
    """What all have to do: carry a workload from a file system of one kind to one of another (or the same), cold or warm."""

    def __init__(
        self, workload: Workload, origin: str, target: str, volumes: Volumes, folder: Path, *, cold: bool
    ) -> None:
        self._workload = workload
        self._origin, self._target = origin, target
        self._folder = folder
        self._cold = cold
        self._volumes = volumes
        self._need = Need(workload.space, workload.count + workload.folders)
        self._environment = program.environment(folder)

    def rounds(self, numbers: range, contestants: Sequence[Contestant]) -> dict[str, list[Timing]]:
        """The timings of each, one a round; the rounds have these numbers."""
        timings: dict[str, list[Timing]] = {one.key: [] for one in contestants}
        with self._volumes.kept_image(self._origin, self._need) as image:
            if image is not None:
                with self._volumes.mounted(self._origin, "from", self._need, image) as origin:
                    self._make_request(origin)
            for number, one in rounds.in_turn(numbers, contestants):
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
        place.area.mkdir()
        if not one.is_conveyor:
            place.goal.parent.mkdir()
        there = inventory(place.data)
        settle(place.data, one.primers, self._environment, cold=self._cold)
        steps = one.steps(place, self._folder)
        # Others make the goal first and fill it then: when it appears says nothing.
        goal = place.goal if one.is_conveyor else None
        endpoints = (place.origin, place.target)
        timing = rounds.timed(steps, self._environment, self._folder, durable=endpoints, goal=goal)
        arrived = inventory(place.goal)
        if arrived != there or (place.data.exists() and not place.data.is_symlink()):
            raise CommandFailedError(f"{one.label} did not move all: {there} files and bytes, {arrived} arrived")
        return timing


def head(options: argparse.Namespace) -> dict[str, Any]:
    """What is measured, for the result."""
    workload, cold = WORKLOADS[options.workload], "cold" if options.cold else "warm"
    return {
        "schema": "conveyor-benchmark-copying/1",
        "title": f"{workload.name} ({options.workload}), {options.origin} to {options.target}, {cold} cache",
        "scale": options.scale,
    }


def run_of(one: Contestant, timings: list[Timing]) -> dict[str, Any]:
    """The runs of one, for the result."""
    return {
        "label": one.label,
        "verified": one.verified,
        "seconds": [timing.seconds for timing in timings],
        "steps": [timing.steps for timing in timings],
        "appeared": [timing.appeared for timing in timings],
    }


def arguments() -> argparse.Namespace:
    parser = command_line("copying", __doc__, kind="ext4", rounds=5)
    peers = [one.key for one in CONTESTANTS if one.key != CONVEYOR]
    add = parser.add_argument
    add("--workload", choices=WORKLOADS, default="B", help="A: like a MeasurementSet; B: small files (default B)")
    add(
        "--cold",
        action="store_true",
        default=may_drop(),
        help="empty the page cache before each run (default for root)",
    )
    add("--warm", dest="cold", action="store_false", help="have the data in memory before each run")
    add(
        "--peers", nargs="*", choices=peers, default=peers, metavar="PEER", help=f"of {', '.join(peers)} (default: all)"
    )
    add_rounds_option(parser)
    add("--scale", type=float, default=1, metavar="X", help="the workload's size, 1 for the whole")
    options = parse(parser)
    if options.scale <= 0:
        parser.error("--scale must be positive")
    if options.cold and not may_drop():
        parser.error("only root may empty the page cache: use --warm")
    return options


def main() -> None:
    options = arguments()
    wanted = [one for one in CONTESTANTS if one.key in (*options.peers, CONVEYOR)]
    if missing := [one.label for one in wanted if not one.is_installed]:
        print(f"not installed, left out: {'; '.join(missing)}", file=sys.stderr)
    wanted = [one for one in wanted if one.is_installed]
    workload = WORKLOADS[options.workload].scaled(options.scale)
    earlier = earlier_rounds("copying", options, [one.key for one in wanted])
    first = earlier["rounds"] if earlier else 0

    def measure(volumes: Volumes, folder: Path) -> dict[str, Any]:
        course = Course(workload, options.origin, options.target, volumes, folder, cold=options.cold)
        timings = course.rounds(range(first, first + options.rounds), wanted)
        return {one.key: run_of(one, timings[one.key]) for one in wanted}

    report("copying", options, head(options), measure, earlier)


if __name__ == "__main__":
    main()
