"""How what a delivery costs grows: with the files of a request, and with the requests of one command.

Run it as root, which may mount, from the repository's folder, with the interpreter that Conveyor is installed for::

    python -m benchmarks.growth files [--sizes N ...] [--from KIND] [--to KIND]
    python -m benchmarks.growth requests [--sizes N ...] [--jobs N ...]

``files`` copies one request to another file system, and watches the memory of all the program's processes. A million files
on tmpfs take 10 GB of memory; with ``--from ext4 --to ext4`` they are on disk. What a start of the program costs,
``benchmarks/startup.py`` says.
"""

from __future__ import annotations

import itertools
import sys
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.support import program
from benchmarks.support.cache import settle
from benchmarks.support.command import command_line, parse, report
from benchmarks.support.memory import Sampler
from benchmarks.support.program import Place
from benchmarks.support.rounds import CommandFailedError, timed
from benchmarks.support.volumes import Need, Volumes
from benchmarks.support.workloads import Workload, inventory

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager
    from pathlib import Path

_FOLDER_OF = 100  # files
_REQUEST_OF = 20  # files


def tree(files: int) -> Workload:
    """So many files of a few bytes, a hundred in a folder: what each costs, and not its content."""
    return Workload(f"{files} files", files, max(1, files // _FOLDER_OF), 64, 1024)


def by_files(options: argparse.Namespace, volumes: Volumes, folder: Path) -> list[dict[str, Any]]:
    """One request of so many files, copied to another file system."""
    runs = []
    for size in options.sizes or (1_000, 10_000, 100_000):
        run: dict[str, Any] = {"files": size, "seconds": [], "proportional": [], "resident": [], "processes": []}
        for _ in range(options.rounds):
            workload = tree(size)
            need = Need(workload.space, workload.count + workload.folders)
            with (
                volumes.mounted(options.origin, "from", need) as origin,
                volumes.mounted(options.target, "to", need) as target,
            ):
                place = Place(origin, target)
                sampler = Sampler()
                seconds = deliver([place], workload, folder, watch=sampler)
            run["seconds"].append(seconds)
            for name, value in asdict(sampler.peak).items():
                run[name].append(value)
            print(f"{size} files: {seconds:.2f} s", file=sys.stderr, flush=True)
        runs.append(run)
    return runs


def by_requests(options: argparse.Namespace, volumes: Volumes, folder: Path) -> list[dict[str, Any]]:
    """So many small requests in one command, renamed and copied."""
    runs = []
    workload = tree(_REQUEST_OF)
    for way, size, jobs in itertools.product(("rename", "copy"), options.sizes or (1, 10, 100), options.jobs):
        run: dict[str, Any] = {"requests": size, "way": way, "jobs": jobs, "seconds": []}
        need = Need(size * workload.space, size * (workload.count + 20))
        for _ in range(options.rounds):
            with (
                volumes.mounted(options.origin, "from", need) as origin,
                volumes.mounted(options.target, "to", need) as other,
            ):
                target = origin if way == "rename" else other
                places = [Place(origin, target, f"tmp{number:05}") for number in range(size)]
                seconds = deliver(places, workload, folder, "--jobs", str(jobs))
            run["seconds"].append(seconds)
            print(f"{size} requests by {way}, --jobs {jobs}: {seconds:.2f} s", file=sys.stderr, flush=True)
        runs.append(run)
    return runs


def deliver(
    places: list[Place],
    workload: Workload,
    folder: Path,
    *flags: str,
    watch: AbstractContextManager[object] | None = None,
) -> float:
    """Make the requests, and deliver them in one command, watched; its seconds until all is on the devices.

    Raises :class:`CommandFailedError`.
    """
    for place in places:
        workload.fill(place.data)
        place.write_metadata()
    first = places[0]
    first.area.mkdir()
    command, environment = program.deliver(places, folder, *flags), program.environment(folder)
    settle(first.origin, [program.PRIMER], environment, cold=False)
    with watch or nullcontext():
        timing = timed([command], environment, folder, durable=(first.origin, first.target))
    if wrong := [place.request for place in places if inventory(place.goal)[0] != workload.count]:
        raise CommandFailedError(f"did not arrive whole: {', '.join(wrong)}")
    return timing.seconds


def arguments() -> argparse.Namespace:
    parser = command_line("growth", __doc__, kind="tmpfs", rounds=3)
    add = parser.add_argument
    add("what", choices=("files", "requests"), help="what grows")
    add(
        "--sizes",
        type=int,
        nargs="+",
        metavar="N",
        help="how many (default 1000 10000 100000 files, 1 10 100 requests)",
    )
    add("--jobs", type=int, nargs="+", default=[1, 2, 4], metavar="N", help="requests at a time (default 1 2 4)")
    options = parse(parser)
    if min([*(options.sizes or [1]), *options.jobs]) < 1:
        parser.error("--sizes and --jobs must be at least 1")
    return options


def main() -> None:
    options = arguments()
    endpoints = f"{options.origin} to {options.target}"
    measure, title = {
        "files": (by_files, f"One request of many small files, {endpoints}, warm cache"),
        "requests": (by_requests, f"Requests of {_REQUEST_OF} files in one command, {endpoints}, warm cache"),
    }[options.what]
    head = {"schema": f"conveyor-benchmark-{options.what}/1", "title": title}
    report("growth", options, head, lambda volumes, folder: measure(options, volumes, folder))


if __name__ == "__main__":
    main()
