"""What a look at a whole workspace costs: the status and the doctor, beside a bare pass, and how it grows.

Run it as root, which may mount, from the repository's folder, with the interpreter that Conveyor is installed for::

    python -m benchmarks.overview [--sizes N ...] [--on KIND] [--cold]

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


def measure(options: argparse.Namespace, volumes: Volumes, folder: Path) -> list[dict[str, Any]]:
    """Run each command over workspaces of each size, in turn."""
    runs: list[dict[str, Any]] = []
    for size in options.sizes:
        with volumes.mounted(options.on, "workspaces", Need(size * _BYTES, size * _INODES)) as point:
            root = point / "workspace"
            root.mkdir()
            fill(root, size, folder)
            measured = _rounds(options, root, size, folder)
        runs += measured.values()
    return runs


def _rounds(options: argparse.Namespace, root: Path, size: int, folder: Path) -> dict[str, dict[str, Any]]:
    around = environment(folder)
    each = commands(root)
    runs: dict[str, dict[str, Any]] = {
        label: {"label": label, "requests": size, "seconds": [], "busy": [], "proportional": []} for label in each
    }
    for _, label in in_turn(range(options.rounds), list(each)):
        settle(root / "qa2", [PRIMER], around, cold=options.cold)
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
        print(f"{size} requests, {label}: {seconds:.2f} s, {1e3 * busy / size:.3f} ms", file=sys.stderr, flush=True)
    for label, command in each.items():
        runs[label]["calls"] = _calls(command, around)
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
    parser = command_line("overview", __doc__, kind="tmpfs", rounds=3, endpoints=("on",))
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000], metavar="N", help="requests")
    parser.add_argument("--cold", action="store_true", help="with nothing of the workspace in memory")
    options = parse(parser)
    if min(options.sizes) < 20:
        parser.error("--sizes must be at least 20")
    return options


def main() -> None:
    options = arguments()
    title = f"A look at a whole workspace on {options.on}, {'cold' if options.cold else 'warm'} cache"
    head = {"schema": "conveyor-benchmark-overview/1", "title": title}
    report("overview", options, head, lambda volumes, folder: measure(options, volumes, folder))


if __name__ == "__main__":
    main()
