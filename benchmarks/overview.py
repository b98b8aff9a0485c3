"""What a look at a whole workspace costs: the status and the doctor, beside a bare pass, and how it grows.

Run it as root, which may mount, from the repository's folder, with the interpreter that Conveyor is installed for::

    python -m benchmarks.overview [--sizes N ...] [--on KIND ...] [--caches warm cold] [--mounts N ...] [--whole N]

Workspaces of each size are looked at with a warm cache and the fewest mounts; that of ``--whole`` requests on each file
system, with each cache and each number of mounts on this host. On tmpfs, which is in memory, no cache is cold.

The bare pass is a few lines of Python that read the metadata of each request and list both of its ends. ``find -maxdepth 3``
and ``ls -l`` on the spool area are there for scale. System calls are counted by strace, in one more run, if it is installed.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from benchmarks.support.cache import settle
from benchmarks.support.command import command_line, parse, report
from benchmarks.support.crowds import fill
from benchmarks.support.memory import Sampler
from benchmarks.support.program import PRIMER, environment, program
from benchmarks.support.rounds import in_turn
from benchmarks.support.volumes import Need, Volumes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

_BARE = """\
import json, os, sys
root = sys.argv[1]
for entry in os.scandir(f"{root}/spool"):
    try:
        with open(f"{entry.path}/metadata.json") as file:
            json.load(file)
    except (OSError, ValueError):
        pass
    for end in (entry.path, f"{root}/qa2/{entry.name}"):
        try:
            os.listdir(end)
        except OSError:
            pass
"""
#: Of a request, some 50 files and folders of a few bytes, with its weblog.
_INODES, _BYTES = 60, 200_000
_TOTAL = re.compile(r"^100\.00 +[\d.]+ +\d+ +(\d+) ", re.MULTILINE)


def commands(root: Path) -> dict[str, list[str]]:
    """The commands that are measured, by their names in the table."""
    spool = str(root / "spool")
    return {
        "conveyor status": [*program(), "status", "--spool-root", spool],
        "conveyor doctor --no-probe": [*program(), "doctor", "--no-probe", "-q", "--spool-root", spool],
        "a bare pass": [sys.executable, "-c", _BARE, str(root)],
        "find -maxdepth 3": ["find", str(root), "-maxdepth", "3"],
        "ls -l": ["ls", "-l", spool],
    }


@dataclass(frozen=True)
class Setting:
    """What a workspace is looked at in: on which file system, with which ``cache``, and so many mounts on this host."""

    requests: int
    on: str
    cache: str
    mounts: int

    @property
    def is_cold(self) -> bool:
        return self.cache == "cold"


def settings(options: argparse.Namespace) -> Iterator[Setting]:
    """Yield what is measured, one workspace after the other."""
    for number, kind in enumerate(options.on):
        for size in sorted({*options.sizes, options.whole}):
            caches = [one for one in options.caches if one == "warm" or kind != "tmpfs"]
            if size == options.whole:
                yield from (Setting(size, kind, cache, mounts) for cache in caches for mounts in options.mounts)
            elif number == 0:  # growth is the same everywhere
                yield Setting(size, kind, caches[0], min(options.mounts))


def measure(options: argparse.Namespace, volumes: Volumes, folder: Path) -> list[dict[str, Any]]:
    """Run each command over each workspace, in turn."""
    runs: list[dict[str, Any]] = []
    for (size, kind), each in groupby(settings(options), lambda one: (one.requests, one.on)):
        with volumes.mounted(kind, "workspaces", Need(size * _BYTES, size * _INODES)) as point:
            root = point / "workspace"
            root.mkdir()
            fill(root, size, folder)
            for setting in each:
                with volumes.crowd(setting.mounts):
                    runs += _rounds(options, root, setting, folder).values()
    return runs


def _rounds(options: argparse.Namespace, root: Path, setting: Setting, folder: Path) -> dict[str, dict[str, Any]]:
    around, size = environment(folder), setting.requests
    each = commands(root)
    runs: dict[str, dict[str, Any]] = {
        label: {"label": label, **asdict(setting), "seconds": [], "busy": [], "proportional": []} for label in each
    }
    subprocess.run(each["find -maxdepth 3"], stdout=subprocess.DEVNULL, check=True)  # what is warm is in memory then
    for _, label in in_turn(range(options.rounds), list(each)):
        settle(root / "spool" / "no data is read", [PRIMER], around, cold=setting.is_cold)
        sampler = Sampler()
        with sampler:
            before, start = _busy(), time.perf_counter()
            done = subprocess.run(
                each[label], env=around, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            )
            seconds, busy = time.perf_counter() - start, _busy() - before
        assert done.returncode >= 0, f"{label} was killed"
        runs[label]["seconds"].append(seconds)
        runs[label]["busy"].append(busy)
        runs[label]["proportional"].append(sampler.peak.proportional)
        print(f"{setting}, {label}: {seconds:.2f} s, {1e3 * busy / size:.3f} ms", file=sys.stderr, flush=True)
    is_counted = size <= options.whole and not setting.is_cold and setting.mounts == min(options.mounts)
    for label, command in each.items():
        runs[label]["calls"] = _calls(command, around) if is_counted else None
    return runs


def _busy() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _calls(command: list[str], around: dict[str, str]) -> int | None:
    """The system calls of a command and its processes; None without strace."""
    if shutil.which("strace") is None:
        return None
    counted = ["strace", "-f", "-c", "-o", "/dev/stderr", *command]
    done = subprocess.run(
        counted, env=around, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    found = _TOTAL.search(done.stderr)
    return int(found[1]) if found else None


def arguments() -> argparse.Namespace:
    parser = command_line("overview", __doc__, kind="tmpfs", rounds=3, endpoints=())
    add = parser.add_argument
    add("--on", nargs="+", default=["tmpfs", "ext4"], metavar="KIND", help="file systems (default tmpfs ext4)")
    add("--sizes", type=int, nargs="*", default=[100, 1_000, 30_000], metavar="N", help="requests, to see the growth")
    add("--whole", type=int, default=10_000, metavar="N", help="requests of what is looked at in every way")
    add("--caches", nargs="+", choices=["warm", "cold"], default=["warm", "cold"], help="(default: both)")
    add("--mounts", type=int, nargs="+", default=[40, 400], metavar="N", help="mounts of this host (default 40 400)")
    options = parse(parser)
    if min(*options.sizes, options.whole) < 20 if options.sizes else options.whole < 20:
        parser.error("--sizes and --whole must be at least 20")
    return options


def main() -> None:
    options = arguments()
    head = {"schema": "conveyor-benchmark-overview/2", "title": "A look at a whole workspace"}
    report("overview", options, head, lambda volumes, folder: measure(options, volumes, folder))


if __name__ == "__main__":
    main()
