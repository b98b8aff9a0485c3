"""What unpacking a weblog costs: the whole of what Conveyor does, as ratios to other programs and to inflating alone.

Run with the interpreter that Conveyor is installed for (not a version manager's shim)::

    python benchmarks/weblog.py [--on ext4|xfs|tmpfs|folder] [--rounds N] [--files N] [--megabytes N] [--json] [--folder DIR]

Every round runs each program once, in a new order, each into a file system made for it alone: on a disk image in
``--folder``, which needs root, or in a new folder there (``--on folder``). The tar is in the page cache. Each time ends when
what was unpacked is on its device (``syncfs``). Conveyor's time is that of the whole cache operation: limits and rules,
digest, copy of the tar, tree, receipt, flush, rename. Only ratios within a round mean anything on a machine that does other
things too; what is printed is their median over the rounds. Where so much else goes on that a program waits for a processor,
the seconds that processors were busy for it say more. A program that is not installed is left out, and named.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "conveyor"
_SUBFOLDER, _STAGE = 250, "pipeline-20210910T203614/html/stage{}"
_WORDS = 4000
_ROOM = 8 << 30  # bytes of a file system; a sparse file
_STORE = """
import sys
from pathlib import Path
from conveyor.filesystem.posix import PosixFileSystem
from conveyor.request.places import Places
from conveyor.weblog.cache import WeblogCache
from conveyor.weblog.reader import Limits
tar, target, limits = Path(sys.argv[1]), Path(sys.argv[2]), Limits(*map(int, sys.argv[3:]))
places = Places("request", tar.parent, tar.parent, target, relative_links=True)
fs = PosixFileSystem()
with fs.open_root(tar.parent) as folder:
    assert WeblogCache(fs, places, limits).store(folder, tar.name).changed
"""
_TARFILE = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter='data')"
_INFLATE = """
import sys
from isal import igzip
with igzip.open(sys.argv[1]) as file:
    while file.read(1 << 20):
        pass
"""
_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}


def limits() -> list[str]:
    """The limits that hold where nothing is set: bytes, members, ratio."""
    from conveyor.settings.model import Settings

    fields = Settings.model_fields
    return [str(fields[f"weblog_max_{what}"].default) for what in ("bytes", "members", "ratio")]


def programs(tar: str, target: str) -> dict[str, list[str]]:
    """The commands by their label; each is given the tar and an empty folder. Those that are not installed are left out."""
    python = sys.executable
    commands = {
        OURS: [python, "-c", _STORE, tar, target, *limits()],
        "tar xzf": ["tar", "-xzf", tar, "-C", target],
        "tar -I pigz": ["tar", "-I", "pigz", "-xf", tar, "-C", target],
        "tar -I igzip": ["tar", "-I", "igzip", "-xf", tar, "-C", target],
        "bsdtar": ["bsdtar", "-xf", tar, "-C", target],
        "tarfile, data filter": [python, "-c", _TARFILE, tar, target],
        "inflate only: igzip -dc": ["igzip", "-dc", tar],
        "inflate only: isal": [python, "-c", _INFLATE, tar],
    }
    needed = {"tar -I pigz": "pigz", "tar -I igzip": "igzip"}
    return {label: it for label, it in commands.items() if shutil.which(needed.get(label, it[0]))}


def make_tar(path: Path, files: int, size: int) -> None:
    """A tar as CASA's pipeline exports it, gzipped: half of the bytes are pages of text, half are plots (incompressible)."""
    dice = random.Random(20210910)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 11))) for _ in range(_WORDS)]
    shares = [dice.lognormvariate(0, 1) for _ in range(files)]
    with tarfile.open(path, "w:gz", compresslevel=6) as tar:
        for number, share in enumerate(shares):
            length = int(size * share / sum(shares)) if files else 0
            plot = number % 2
            content = dice.randbytes(length) if plot else _page(dice, words, length)
            folder = _STAGE.format(number // _SUBFOLDER)
            info = tarfile.TarInfo(f"{folder}/{'plot' if plot else 't'}{number}.{'png' if plot else 'html'}")
            info.size, info.mtime = length, 1_631_306_174
            tar.addfile(info, io.BytesIO(content))


def _page(dice: random.Random, words: list[str], length: int) -> bytes:
    text = "<td>".join(dice.choices(words, k=length // 7 + 1)).encode()
    return (text * (length // len(text) + 1))[:length]


@contextlib.contextmanager
def fresh(kind: str, scratch: Path) -> Iterator[Path]:
    """An empty folder in a file system of its own; with ``folder`` as the kind, a folder of its own."""
    point = scratch / "point"
    point.mkdir()
    try:
        if kind == "folder":
            yield point
            return
        if kind == "tmpfs":
            how = ["-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs"]
        else:
            image = scratch / "image"
            with image.open("wb") as file:
                file.truncate(_ROOM)
            subprocess.run([*_MAKE[kind], str(image)], check=True)
            how = ["-o", "loop", str(image)]
        subprocess.run(["mount", *how, str(point)], check=True)
        try:
            target = point / "target"
            target.mkdir()
            yield target
        finally:
            subprocess.run(["umount", str(point)], check=True)
    finally:
        shutil.rmtree(point, ignore_errors=True)
        (scratch / "image").unlink(missing_ok=True)


def measure(command: list[str], target: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds until a program has ended and what it wrote is on its device, and those that processors were busy for it."""
    null = subprocess.DEVNULL
    with tempfile.TemporaryFile() as said:
        start, before = time.perf_counter(), busy()
        done = subprocess.run(command, check=False, env=environment, stdin=null, stdout=null, stderr=said)
        flush(target)
        taken = time.perf_counter() - start, busy() - before
        said.seek(0)
        if done.returncode:
            raise SystemExit(f"{command[0]} ended with {done.returncode}: {said.read().decode(errors='replace')}")
    return taken


def busy() -> float:
    """Processor seconds of all programs that have ended, with those that they started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def flush(target: Path) -> None:
    """``syncfs``, which is the second flush of what flushes by itself, and then costs next to nothing."""
    from conveyor.filesystem.syscalls import sync_file_system

    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_file_system(descriptor)
    finally:
        os.close(descriptor)


def run(tar: Path, kind: str, rounds: int, scratch: Path) -> dict[str, list[tuple[float, float]]]:
    """The seconds of each program, passed and busy, one pair a round, all programs in each round."""
    labels = list(programs(str(tar), ""))
    seconds: dict[str, list[tuple[float, float]]] = {label: [] for label in labels}
    # Byte code is where an installation has it. An environment that forbids to write it would measure the compiler.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(scratch / "bytecode")
    for number in range(-1, rounds):  # the first round writes byte code and warms the cache
        for label in random.sample(labels, len(labels)):
            os.sync()  # what the one before left is not this one's to pay
            with fresh(kind, scratch) as target:
                taken = measure(programs(str(tar), str(target))[label], target, environment)
            if number >= 0:
                seconds[label].append(taken)
    return seconds


def report(seconds: dict[str, list[tuple[float, float]]], tar: Path, kind: str) -> dict[str, object]:
    """Medians in seconds, Conveyor's ratio to each program (median and both ends over the rounds), passed and busy."""
    result: dict[str, object] = {
        "schema": "conveyor-weblog-benchmark/1",
        "python": sys.version.split()[0],
        "on": kind,
        "tar_bytes": tar.stat().st_size,
        "rounds": len(seconds[OURS]),
    }
    for column, what in enumerate(("passed", "busy")):
        ratios = {
            label: sorted(a[column] / max(b[column], 0.001) for a, b in zip(seconds[OURS], pairs, strict=True))
            for label, pairs in seconds.items()
        }
        result[what] = {
            label: {
                "seconds": round(statistics.median(pair[column] for pair in pairs), 3),
                "ratio": round(statistics.median(ratios[label]), 2),
                "least": round(ratios[label][0], 2),
                "most": round(ratios[label][-1], 2),
            }
            for label, pairs in seconds.items()
        }
    return result


def table(passed: dict[str, dict[str, float]], worked: dict[str, dict[str, float]]) -> Iterator[str]:
    yield "  seconds  conveyor to it  (least  most)   busy  conveyor to it"
    for label in sorted(passed, key=lambda label: passed[label]["seconds"]):
        taken, work = passed[label], worked[label]
        yield (
            f"  {taken['seconds']:7.2f}  {taken['ratio']:14.2f}  ({taken['least']:5.2f} {taken['most']:5.2f})"
            f"  {work['seconds']:5.2f}  {work['ratio']:14.2f}  {label}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--on", choices=["ext4", "xfs", "tmpfs", "folder"], default="folder", help="file system")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each program runs (default 5)")
    parser.add_argument("--files", type=int, default=20_000, metavar="N", help="files in the weblog (default 20000)")
    parser.add_argument("--megabytes", type=int, default=300, metavar="N", help="their size together (default 300)")
    parser.add_argument("--tar", type=Path, metavar="FILE", help="a weblog to unpack (default: one is made)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where all is made (default: a temporary one)")
    options = parser.parse_args()
    if min(options.rounds, options.files, options.megabytes) < 1:
        parser.error("--rounds, --files and --megabytes must be at least 1")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # what is mounted is unmounted first
    with tempfile.TemporaryDirectory(prefix="conveyor-weblog-", dir=options.folder) as folder:
        scratch = Path(folder).resolve()
        tar = options.tar or scratch / "weblog.tgz"
        if options.tar is None:
            make_tar(tar, options.files, options.megabytes * 1_000_000)
        seconds = run(tar, options.on, options.rounds, scratch)
        result = report(seconds, tar, options.on)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    passed, work, size = result["passed"], result["busy"], result["tar_bytes"]
    assert isinstance(passed, dict)
    assert isinstance(work, dict)
    assert isinstance(size, int)
    print(f"Python {result['python']}, {options.on}, a tar of {size // 1_000_000} MB, {options.rounds} rounds")
    print("\n".join(table(passed, work)))
    if missing := {"pigz", "igzip", "bsdtar"} - {name for name in ("pigz", "igzip", "bsdtar") if shutil.which(name)}:
        print(f"not installed: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
