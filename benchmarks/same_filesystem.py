"""Moving a directory within one file system that refuses the rename: clones and project IDs, beside mv and cp --reflink.

Run it as root, which may mount and empty the page cache, from the repository's folder, with the interpreter that Conveyor
is installed for::

    python -m benchmarks.same_filesystem --workload A|B [--layouts NAME ...] [--cold|--warm] [--rounds N] [--json FILE]

Every run has a file system of its own, equal block by block to those of the others in its round, and ends when ``sync``
does. A layout that cannot be mounted here is left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.support import program, rounds
from benchmarks.support.cache import may_drop, settle
from benchmarks.support.command import command_line, parse, report
from benchmarks.support.contestants import CONTESTANTS, CONVEYOR, Contestant
from benchmarks.support.program import Place
from benchmarks.support.rounds import CommandFailedError
from benchmarks.support.volumes import CannotMountError, Need, Volumes
from benchmarks.support.workloads import WORKLOADS, Workload, inventory

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.support.rounds import Timing

RENAME = f"{CONVEYOR}-rename"
_PROJECT = "300"
_RETAG = "CONVEYOR_PROJECT_IDS=retag"


@dataclass(frozen=True)
class Layout:
    """Two areas on one file system of a kind, that are two subvolumes, or mounts, or have different project IDs."""

    kind: str
    title: str
    subvolumes: bool = False
    mounts: bool = False
    projects: bool = False


LAYOUTS = {
    "btrfs-subvolumes": Layout("btrfs", "btrfs, two subvolumes", subvolumes=True),
    "xfs-mounts": Layout("xfs", "xfs, two bind mounts", mounts=True),
    "xfs-projects": Layout("xfs", "xfs, two project IDs", projects=True),
    "ext4-projects": Layout("ext4-projects", "ext4, two project IDs", projects=True),
}


def _reflink(place: Place, _folder: Path) -> list[list[str]]:
    return [["cp", "-a", "--reflink=always", str(place.data), str(place.goal)], ["rm", "-r", str(place.data)]]


def _deliver(place: Place, folder: Path) -> list[list[str]]:
    return [["env", _RETAG, *program.deliver([place], folder)]]


def contestants(layout: Layout) -> list[Contestant]:
    """Those who move a directory there; Conveyor also where nothing refuses the rename, which shows what starting costs."""
    [mv] = [one for one in CONTESTANTS if one.key == "mv"]
    reflink = Contestant("cp-reflink", "cp -a --reflink=always, rm -r", False, ("cp", "rm"), _reflink)
    own = Contestant(CONVEYOR, "conveyor deliver", False, (), _deliver)
    rename = Contestant(RENAME, "conveyor deliver, a rename", False, (), _deliver)
    return [mv, own, rename] if layout.projects else [mv, reflink, own]


class Course:
    """What all have to do: move a workload from one area to another of a layout, cold or warm."""

    def __init__(self, workload: Workload, layout: Layout, volumes: Volumes, folder: Path, *, cold: bool) -> None:
        self._workload, self._layout, self._cold = workload, layout, cold
        self._volumes, self._folder = volumes, folder
        self._need = Need(
            2 * workload.space, 2 * (workload.count + workload.folders)
        )  # a copy stands beside its source
        self._environment = program.environment(folder)

    def rounds(self, number: int) -> dict[str, dict[str, Any]]:
        """The runs of each, for the result."""
        wanted = contestants(self._layout)
        timings: dict[str, list[Timing]] = {one.key: [] for one in wanted}
        ways: dict[str, str] = {}
        with self._volumes.kept_image(self._layout.kind, self._need) as image:
            with self._volumes.mounted(self._layout.kind, "all", self._need, image) as point:
                self._make(point)
            for round_number, one in rounds.in_turn(range(number), wanted):
                with self._volumes.copied(image) as copy:
                    timing, way = self._run(one, copy)
                timings[one.key].append(timing)
                ways[one.key] = way
                told = f"{timing.seconds:7.2f} s  {self._layout.title}: {one.label} {way}"
                print(f"round {round_number + 1}: {told}", file=sys.stderr, flush=True)
        return {one.key: _run_of(one, timings[one.key], ways[one.key]) for one in wanted}

    def _make(self, point: Path) -> None:
        for area in (point / "from", point / "to"):
            if self._layout.subvolumes:
                _do("btrfs", "-q", "subvolume", "create", str(area))
            else:
                area.mkdir()
        self._workload.fill(Place(point / "from", point / "to").data)

    def _run(self, one: Contestant, image: Path | None) -> tuple[Timing, str]:
        with (
            self._volumes.mounted(self._layout.kind, "all", self._need, image) as point,
            self._areas(point) as (origin, target),
        ):
            if self._layout.projects and one.key != RENAME:
                _do("chattr", "-p", _PROJECT, "+P", str(target))
            return self._measure(one, Place(origin, target))

    @contextmanager
    def _areas(self, point: Path) -> Iterator[tuple[Path, Path]]:
        """The two areas, by mounts of their own if the layout says so."""
        if not self._layout.mounts:
            yield point / "from", point / "to"
            return
        with ExitStack() as stack:
            bound = [stack.enter_context(self._volumes.bound(point / name, name)) for name in ("from", "to")]
            yield bound[0], bound[1]

    def _measure(self, one: Contestant, place: Place) -> tuple[Timing, str]:
        place.write_metadata()
        place.area.mkdir()
        if not one.is_conveyor:
            place.goal.parent.mkdir()
        there = inventory(place.data)
        settle(place.data, one.primers, self._environment, cold=self._cold)
        steps = one.steps(place, self._folder)
        timing = rounds.timed(steps, self._environment, self._folder, durable=(place.origin, place.target))
        arrived = inventory(place.goal)
        if arrived != there or (place.data.exists() and not place.data.is_symlink()):
            raise CommandFailedError(f"{one.label} did not move all: {there} files and bytes, {arrived} arrived")
        ready = place.goal.parent / "READY"
        return timing, json.loads(ready.read_text())["ways"][place.goal.name] if one.is_conveyor else ""


def _do(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotMountError(f"{command[0]} is not installed") from None
    if done.returncode:
        raise CannotMountError(f"{' '.join(command)}: {done.stderr.strip()}")


def _run_of(one: Contestant, timings: list[Timing], way: str) -> dict[str, Any]:
    return {
        "label": one.label,
        "way": way,
        "seconds": [timing.seconds for timing in timings],
        "busy": [timing.busy for timing in timings],
    }


def arguments() -> argparse.Namespace:
    parser = command_line("same_filesystem", __doc__, kind="xfs", rounds=5, endpoints=())
    add = parser.add_argument
    add("--workload", choices=WORKLOADS, default="B", help="A: like a MeasurementSet; B: small files (default B)")
    add("--layouts", nargs="*", choices=LAYOUTS, default=[*LAYOUTS], metavar="NAME", help=f"of {', '.join(LAYOUTS)}")
    add(
        "--cold",
        action="store_true",
        default=may_drop(),
        help="empty the page cache before each run (default for root)",
    )
    add("--warm", dest="cold", action="store_false", help="have the data in memory before each run")
    add("--scale", type=float, default=1, metavar="X", help="the workload's size, 1 for the whole")
    options = parse(parser)
    if options.scale <= 0:
        parser.error("--scale must be positive")
    if options.cold and not may_drop():
        parser.error("only root may empty the page cache: use --warm")
    return options


def main() -> None:
    options = arguments()
    workload = WORKLOADS[options.workload].scaled(options.scale)
    head = {
        "schema": "conveyor-benchmark-same-filesystem/1",
        "title": f"{workload.name} ({options.workload}) within one file system, {'cold' if options.cold else 'warm'} cache",
        "scale": options.scale,
        "files": workload.count,
    }

    def measure(volumes: Volumes, folder: Path) -> dict[str, Any]:
        runs = {}
        for name in options.layouts:
            layout = LAYOUTS[name]
            try:
                found = Course(workload, layout, volumes, folder, cold=options.cold).rounds(options.rounds)
            except CannotMountError as error:
                print(f"left out: {layout.title}: {error}", file=sys.stderr)
                continue
            runs[name] = {"title": layout.title, "runs": found}
        if not runs:
            raise CannotMountError("none of the layouts can be mounted here")
        return runs

    report("same_filesystem", options, head, measure)


if __name__ == "__main__":
    main()
