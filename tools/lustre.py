"""Try a Lustre that is mounted here: which layouts a copy keeps, which ways a directory goes there, and what readers miss.

Run as root from the root of the project, with a directory on Lustre, and the same as another client sees it, if there is
one. Debian has neither the client nor the server, so this is no part of the other tables::

    python -m tools.lustre DIRECTORY [--elsewhere DIRECTORY] [--rounds NUMBER] [--only {layouts,ways,readers} ...]

What is conveyed goes from ``one`` to ``other`` in that directory, which are made if they are not there, each with a project
ID of its own, say. ``lfs``, which comes with Lustre, sets the layouts, and says which the copies have.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt
from conveyor.filesystem.treecopy.estimate import estimate
from conveyor.filesystem.treecopy.layout_survey import lost_layouts
from conveyor.filesystem.treecopy.transfer import transfer
from tools.bench import Bench, UnavailableError
from tools.file_systems import VIEWS, WAYS, line
from tools.readers import COLUMNS, reader_lines
from tools.way_trials import SIZE, Places, answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: What is set, by the options of ``lfs setstripe``.
LAYOUTS = {
    "two stripes of 4 MiB": "-c 2 -S 4M",
    "stripes on all servers": "-c -1",
    "more stripes than servers": "-C 9",
    "servers by number": "-o 1,0",
    "components": "-E 1M -c 1 -E 64M -c 2 -E -1 -c -1",
    "the beginning on the metadata server": "-E 1M -L mdt -E -1 -c 2",
    "two mirrors": "-N2 -c 1",
    "components that grow": "-E 1M -c 1 -E -1 -z 64M -c 2",
}
_SHOWN = ("stripe_count", "stripe_size", "pattern", "pool", "extent_start", "extent_end", "extension_size")


def layout_cells(bench: Bench, places: Places, options: str) -> tuple[str, str]:
    """What becomes of a layout in a copy: that of a file, and that which a directory hands on."""
    source, goal = places.tree()
    bench.run("lfs", "setstripe", *options.split(), source / "striped")
    (source / "striped").write_bytes(bytes(SIZE))
    (source / "handing-on").mkdir()
    bench.run("lfs", "setstripe", *options.split(), source / "handing-on")
    with ExitStack() as stack:
        here, there = (stack.enter_context(FileSystem().open_root(path)) for path in (places.one, places.other))
        ends = PathAt(here, source.name), PathAt(there, goal.name)
        found = estimate(ends[0], there, None, CopyOptions(), CopyMonitor())
        lost = {one.path: one.reason for one in lost_layouts(there, found.layouts)}
        transfer(*ends, PathAt(here, f"{source.name}.manifest"), CopyOptions(), CopyMonitor())
    said = "; ".join(lost.values())

    def cell(name: str) -> str:
        kept = _told(bench, source / name) == _told(bench, goal / name)
        return "kept" if kept else f"not kept: {said}" if said else "LOST"

    return cell("striped"), cell("handing-on")


def _told(bench: Bench, path: Path) -> list[list[str]]:
    only_it = ("-d",) if path.is_dir() else ()
    told = bench.run("lfs", "getstripe", "--yaml", *only_it, path).splitlines()
    return [words for words in map(str.split, told) if words and words[0].strip("lmcde_:").startswith(_SHOWN)]


def layouts(bench: Bench, places: Places, _: int) -> Iterator[Iterable[str]]:
    yield "Layout", "`lfs setstripe`", "A file's copy", "What a directory's copy hands on"
    for label, options in LAYOUTS.items():
        try:
            yield label, f"`{options}`", *layout_cells(bench, places, options)
        except UnavailableError as error:
            yield label, f"`{options}`", str(error), ""


def ways(bench: Bench, places: Places, _: int) -> Iterator[Iterable[str]]:
    version = bench.run("lfs", "--version").split()[-1]
    yield "File system", "Version", *WAYS, *VIEWS
    yield "Lustre", version, *(answer(trial, places) for trial in (WAYS | VIEWS).values())


def readers(bench: Bench, places: Places, rounds: int) -> Iterator[Iterable[str]]:
    yield COLUMNS[2:]
    yield from reader_lines(places, bench.folder("scratch"), rounds)


TABLES = {"layouts": layouts, "ways": ways, "readers": readers}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.lustre", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--elsewhere", type=Path, help="the same directory by the mount of another client")
    parser.add_argument("--rounds", type=int, default=12, help="how often a request goes out and home [12]")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    options = parser.parse_args()
    for area in ("one", "other"):
        (options.directory / area).mkdir(exist_ok=True)
    elsewhere = options.elsewhere and options.elsewhere / "one"
    places = Places(options.directory / "one", options.directory / "other", elsewhere=elsewhere)
    with tempfile.TemporaryDirectory(prefix="conveyor-lustre-") as folder, ExitStack() as stack:
        for name in options.only:
            rows = TABLES[name](Bench(Path(folder), stack), places, options.rounds)
            for number, row in enumerate(map(tuple, rows)):
                sys.stdout.write(f"{line(row)}\n{line(['---'] * len(row))}\n" if number == 0 else f"{line(row)}\n")
                sys.stdout.flush()
            sys.stdout.write("\n")


if __name__ == "__main__":
    main()
