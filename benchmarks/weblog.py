"""Unpacking a weblog: the whole of what Conveyor does, beside other programs and beside inflating alone.

Run it as root, which may mount, from the repository's folder, with the interpreter that Conveyor is installed for::

    python -m benchmarks.weblog [--on KIND] [--rounds N] [--files N] [--megabytes N] [--tar FILE] [--json FILE]

Every run unpacks into a file system of its own and ends when what was unpacked is on its device. The tar is in the page
cache. Conveyor's time is that of the whole cache operation: limits and rules, digest, copy of the tar, tree, receipt, flush,
rename; also of the same members in no order of folders. What it takes before, to start and to import what every command
imports, stands beside, and so does a bare unpacking by one Python process that checks nothing. Where so much else goes on
that a program waits for a processor, the seconds that processors were busy say more. At last the memory is told that it
takes for a weblog of many small files.
"""

from __future__ import annotations

import io
import random
import shutil
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.support import program, rounds
from benchmarks.support.cache import settle
from benchmarks.support.command import command_line, parse, report
from benchmarks.support.memory import Sampler
from benchmarks.support.volumes import Need

if TYPE_CHECKING:
    import argparse

    from benchmarks.support.rounds import Timing
    from benchmarks.support.volumes import Volumes

_SUBFOLDER, _STAGE = 250, "pipeline-20210910T203614/html/stage{}"
_WORDS = 4000
_STORE = """
import sys
from pathlib import Path
from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import Places
from conveyor.weblog.cache import WeblogCache
from conveyor.weblog.limits import Limits
tar, target, limits = Path(sys.argv[1]), Path(sys.argv[2]), Limits(*map(int, sys.argv[3:]))
places = Places("request", tar.parent, tar.parent, target, relative_links=True)
fs = FileSystem()
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
_NEEDED = {"pigz": "pigz", "igzip": "igzip"}


def limits() -> list[str]:
    """The limits that hold where nothing is set: bytes, members, ratio."""
    from conveyor.settings.model import Settings

    fields = Settings.model_fields
    return [str(fields[f"weblog_max_{what}"].default) for what in ("bytes", "members", "ratio")]


def programs(tar: str, target: str) -> dict[str, tuple[str, list[str]]]:
    """Label and command of each; it is given the tar and an empty folder. Those that are not installed are left out."""
    python = sys.executable
    commands = {
        "xzf": ("tar xzf", ["tar", "-xzf", tar, "-C", target]),
        "pigz": ("tar -I pigz", ["tar", "-I", "pigz", "-xf", tar, "-C", target]),
        "igzip": ("tar -I igzip", ["tar", "-I", "igzip", "-xf", tar, "-C", target]),
        "bsdtar": ("bsdtar", ["bsdtar", "-xf", tar, "-C", target]),
        "tarfile": ("tarfile, data filter", [python, "-c", _TARFILE, tar, target]),
        "inflate-igzip": ("igzip -dc, inflating only", ["igzip", "-dc", tar]),
        "inflate-isal": ("isal, inflating only", [python, "-c", _INFLATE, tar]),
        "bare": ("bare unpacking in Python", [python, str(Path(__file__).with_name("bare_weblog.py")), tar, target]),
        "conveyor": ("conveyor", [python, "-c", _STORE, tar, target, *limits()]),
        "conveyor-mixed": ("conveyor, no order", [python, "-c", _STORE, _mixed(tar), target, *limits()]),
        "start": ("conveyor, its start alone", [python, "-c", _STORE.partition("tar, target")[0]]),
    }
    return {key: it for key, it in commands.items() if shutil.which(_NEEDED.get(key, it[1][0]))}


def _mixed(tar: str) -> str:
    """The path of a tar that has the same members in no order of folders."""
    return f"{tar}.mixed"


def make_mixed(tar: Path) -> None:
    """The tar that has the members of another in no order of folders."""
    with tarfile.open(tar) as source, tarfile.open(_mixed(str(tar)), "w:gz", compresslevel=6) as mixed:
        members = source.getmembers()
        contents = {member.name: source.extractfile(member).read() for member in members if member.isreg()}  # type: ignore[union-attr]  # they are files
        random.Random(1).shuffle(members)
        for member in members:
            mixed.addfile(member, io.BytesIO(contents[member.name]) if member.isreg() else None)


def make_many(path: Path, files: int) -> None:
    """A tar of many files of some bytes each."""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for number in range(files):
            info = tarfile.TarInfo(f"{_STAGE.format(number // _SUBFOLDER)}/plot{number}.png")
            info.size, info.mtime = 5, 1_631_306_174
            tar.addfile(info, io.BytesIO(b"plot\n"))


def make_tar(path: Path, files: int, size: int) -> None:
    """A tar as CASA's pipeline exports it, gzipped: half of the bytes are pages of text, half are plots (incompressible)."""
    dice = random.Random(20210910)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 11))) for _ in range(_WORDS)]
    shares = [dice.lognormvariate(0, 1) for _ in range(files)]
    whole = sum(shares)
    with tarfile.open(path, "w:gz", compresslevel=6) as tar:
        for number, share in enumerate(shares):
            length = int(size * share / whole)
            plot = number % 2
            content = dice.randbytes(length) if plot else _page(dice, words, length)
            folder = _STAGE.format(number // _SUBFOLDER)
            info = tarfile.TarInfo(f"{folder}/{'plot' if plot else 't'}{number}.{'png' if plot else 'html'}")
            info.size, info.mtime = length, 1_631_306_174
            tar.addfile(info, io.BytesIO(content))


def _page(dice: random.Random, words: list[str], length: int) -> bytes:
    text = "<td>".join(dice.choices(words, k=length // 7 + 1)).encode()
    return (text * (length // len(text) + 1))[:length]


def run_all(tar: Path, need: Need, options: argparse.Namespace, volumes: Volumes, folder: Path) -> dict[str, Any]:
    """The runs of each, one a round."""
    environment = program.environment(folder)
    names = programs("", "")
    timings: dict[str, list[Timing]] = {key: [] for key in names}
    for number, key in rounds.in_turn(range(options.rounds), list(names)):
        settle(tar.parent, [program.PRIMER], environment, cold=False)
        with volumes.mounted(options.on, "to", need) as point:
            target = point / "target"
            target.mkdir()
            label, command = programs(str(tar), str(target))[key]
            timings[key].append(rounds.timed([command], environment, folder, durable=[target]))
        print(f"round {number + 1}: {timings[key][-1].seconds:7.2f} s  {label}", file=sys.stderr, flush=True)
    return {
        key: {
            "label": label,
            "seconds": [timing.seconds for timing in timings[key]],
            "busy": [timing.busy for timing in timings[key]],
            "user": [timing.user for timing in timings[key]],
            "system": [timing.system for timing in timings[key]],
        }
        for key, (label, _) in names.items()
    }


def memory_of_many(files: int, options: argparse.Namespace, volumes: Volumes, folder: Path) -> dict[str, int]:
    """The most bytes that all processes take for a weblog of so many files, with shared pages once, and their number."""
    tar = folder / "many" / "weblog.tgz"
    tar.parent.mkdir()
    make_many(tar, files)
    with volumes.mounted(options.on, "to", Need(files * 8192, 2 * files)) as point:
        target = point / "target"
        target.mkdir()
        most_bytes, most_members, _ = limits()
        command = [
            sys.executable,
            "-c",
            _STORE,
            str(tar),
            str(target),
            most_bytes,
            str(max(int(most_members), 2 * files)),
        ]
        with Sampler() as sampler:
            rounds.run([*command, str(files)], program.environment(folder), folder)
    return {"files": files, "bytes": sampler.peak.proportional}


def main() -> None:
    parser = command_line("weblog", __doc__, kind="ext4", rounds=5, endpoints=("on",))
    parser.add_argument("--files", type=int, default=20_000, metavar="N", help="files in the weblog (default 20000)")
    parser.add_argument("--megabytes", type=int, default=300, metavar="N", help="their size together (default 300)")
    parser.add_argument(
        "--many",
        type=int,
        default=1_000_000,
        metavar="N",
        help="files of the one whose memory is told (default 1000000)",
    )
    parser.add_argument("--tar", type=Path, metavar="FILE", help="a weblog to unpack (default: one is made)")
    options = parse(parser)
    if min(options.files, options.megabytes) < 1:
        parser.error("--files and --megabytes must be at least 1")

    def measure(volumes: Volumes, folder: Path) -> dict[str, Any]:
        if missing := [tool for tool in ("pigz", "igzip", "bsdtar") if not shutil.which(tool)]:
            print(f"not installed, left out: {', '.join(missing)}", file=sys.stderr)
        tar = folder / "tar" / "weblog.tgz"
        tar.parent.mkdir()
        if options.tar:
            shutil.copyfile(options.tar, tar)
        else:
            make_tar(tar, options.files, options.megabytes * 1_000_000)
        make_mixed(tar)
        with tarfile.open(tar) as opened:
            members = opened.getmembers()
        # Small files take whole pages; the tar stands beside them.
        space = sum(member.size + 4096 for member in members) + tar.stat().st_size
        runs = run_all(tar, Need(space, 2 * len(members)), options, volumes, folder)
        if options.many:
            runs["conveyor"]["memory"] = memory_of_many(options.many, options, volumes, folder)
        return runs

    what = options.tar.name if options.tar else f"{options.files:,} files of {options.megabytes} MB together"
    title = f"A weblog, {what}, on {options.on}"
    report("weblog", options, {"schema": "conveyor-benchmark-weblog/1", "title": title}, measure)


if __name__ == "__main__":
    main()
