"""What more processes gain: many small files to another file system, by one process, two, four and so on.

Run it as root, which may mount, from the repository's folder, with the interpreter that Conveyor is installed for::

    python -m benchmarks.scaling [--processes N ...] [--from KIND] [--to KIND] [--rounds N] [--json FILE [--add]]

Beside Conveyor run those that can be told how many to be, and ``mv`` and ``rsync``, which are one or a few. In memory
(tmpfs), no disk is in the way. The cache is warm. Processor time is told too, since it says what each costs on a machine
where the processors have other things to do; that of Conveyor's first process alone is what no further process can share.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.copying import Course
from benchmarks.support.command import add_rounds_option, command_line, earlier_rounds, parse, report
from benchmarks.support.contestants import CONTESTANTS, sharing
from benchmarks.support.workloads import WORKLOADS

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from benchmarks.support.contestants import Contestant
    from benchmarks.support.rounds import Timing
    from benchmarks.support.volumes import Volumes

_FEW = 0.04  # of the workload: what each file of a whole one costs is told from
_FIELDS = ("seconds", "user", "system", "own")
_ALONE = ("mv", "rsync")
_PEERS = ("bare", "fpsync", "rclone", *_ALONE)


def doublings(most: int) -> list[int]:
    """1, 2, 4 and so on, and the most."""
    return sorted({1 << power for power in range(most.bit_length())} | {most})


def run_of(one: Contestant, timings: list[Timing]) -> dict[str, Any]:
    """The runs of one, for the result."""
    fields = (*_FIELDS, "appeared")
    return {"label": one.label} | {field: [getattr(timing, field) for timing in timings] for field in fields}


def of_few(timings: list[Timing]) -> dict[str, list[float]]:
    """The runs of a small tree, to tell what is spent once from what each file costs."""
    return {f"{field}_of_few": [getattr(timing, field) for timing in timings] for field in _FIELDS}


def arguments() -> argparse.Namespace:
    parser = command_line("scaling", __doc__, kind="tmpfs", rounds=5)
    processors = doublings(len(os.sched_getaffinity(0)))
    add = parser.add_argument
    add("--processes", type=int, nargs="+", default=processors, metavar="N", help=f"how many (default {processors})")
    add("--peers", nargs="*", choices=_PEERS, default=_PEERS, metavar="PEER", help=f"of {', '.join(_PEERS)}")
    add("--scale", type=float, default=1, metavar="X", help="the workload's size, 1 for the whole")
    add_rounds_option(parser)
    options = parse(parser)
    if options.scale <= 0 or min(options.processes) < 1:
        parser.error("--scale must be positive, and --processes at least 1")
    return options


def main() -> None:
    options = arguments()
    sharers = [one for number in options.processes for one in sharing(number)]
    alone = [one for one in CONTESTANTS if one.key in _ALONE]
    wanted = [one for one in (*sharers, *alone) if one.is_conveyor or one.key.partition("-")[0] in options.peers]
    if missing := {one.label for one in wanted if not one.is_installed}:
        print(f"not installed, left out: {'; '.join(sorted(missing))}", file=sys.stderr)
    wanted = [one for one in wanted if one.is_installed]
    workload = WORKLOADS["B"].scaled(options.scale)
    few = workload.scaled(_FEW)
    earlier = earlier_rounds("scaling", options, [one.key for one in wanted])
    first = earlier["rounds"] if earlier else 0
    head = {
        "schema": "conveyor-benchmark-scaling/1",
        "title": f"{workload.name} (B) by processes, {options.origin} to {options.target}, warm cache",
        "scale": options.scale,
        "processes": options.processes,
        "files": workload.count,
        "few": few.count,
    }

    def measure(volumes: Volumes, folder: Path) -> dict[str, Any]:
        numbers, endpoints = range(first, first + options.rounds), (options.origin, options.target)
        timings = Course(workload, *endpoints, volumes, folder, cold=False).rounds(numbers, wanted)
        runs = {one.key: run_of(one, timings[one.key]) for one in wanted}
        compared = [one for one in wanted if one.is_conveyor or one.key.startswith("bare")]
        for key, some in Course(few, *endpoints, volumes, folder, cold=False).rounds(numbers, compared).items():
            runs[key] |= of_few(some)
        return runs

    report("scaling", options, head, measure, earlier)


if __name__ == "__main__":
    main()
