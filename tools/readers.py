"""Write the table of ``docs/reference/readers.md``: what a reader misses while requests are conveyed, on real file systems.

Run as root from the root of the project, where ``tools.file_systems --install`` got what is missing::

    python -m tools.readers [--only LABEL ...] [--rounds NUMBER] [--print]

A process opens one file by its path below spool, again and again, while the whole request goes out and home. Conveyor
chooses the way, as everywhere.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conveyor.api.operations import deliver, retrieve
from conveyor.api.tidying import tidy
from conveyor.errors import ConveyorError
from conveyor.settings.sources import load_config
from tools.bench import Bench, UnavailableError
from tools.file_systems import ELSEWHERE, KINDS, Kind, line, write_between_marks
from tools.machine import told_by_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.way_trials import Places

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "readers.md"
_LOOP = Path(__file__).with_name("open_in_a_loop.py")
_REQUEST = "tmpiox5trbp"
_FILES = 20  # in each directory
#: Seconds for which a reader goes on after a conveyance: on another client, longer than that caches names.
_AFTERWARDS, _CACHED = 0.5, 15.0
_OPENS = ("Opens", "Misses", "Longest gap")
COLUMNS = (
    "File system",
    "Version",
    "Reader",
    "Way",
    *(f"{way}: {one.lower()}" for way in ("Out", "Home") for one in _OPENS),
)


@dataclass
class Seen:
    """What a reader saw of some conveyances: seconds of the longest gap, from the last open that worked to the next one."""

    opens: int = 0
    misses: int = 0
    longest: float = 0.0
    conveyances: int = 0
    missed_in: int = 0

    def add(self, other: Seen) -> None:
        self.opens += other.opens
        self.misses += other.misses
        self.longest = max(self.longest, other.longest)
        self.conveyances += 1
        self.missed_in += other.misses > 0

    @property
    def cells(self) -> tuple[str, str, str]:
        missed = f"{self.misses:,}, in {self.missed_in} of {self.conveyances}" if self.misses else "0"
        return f"{self.opens:,}", missed, f"{self.longest * 1000:.1f} ms" if self.misses else "–"


def make_request(spool: Path) -> Path:
    """Make a small finished request in a spool area; its metadata file."""
    request = spool / _REQUEST
    for name in ("rawdata", "products", "working"):
        (request / name).mkdir(parents=True)
        for number in range(_FILES):
            (request / name / f"table.f{number}").write_bytes(os.urandom(10_000))
    page = b"<html></html>"
    with tarfile.open(request / "products" / "weblog.tgz", "w:gz") as tar:
        member = tarfile.TarInfo("pipeline-20260910T203614/html/index.html")
        member.size = len(page)
        tar.addfile(member, io.BytesIO(page))
    metadata = {"workflowName": "std_calibration", "destinationDirectory": str(request)}
    (request / "metadata.json").write_text(json.dumps(metadata))
    return request / "metadata.json"


def row(kind: Kind, rounds: int) -> dict[str, Any]:
    """What was seen on a file system: the version, and the cells of a line for each reader."""
    with (
        tempfile.TemporaryDirectory(prefix="conveyor-readers-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        bench = Bench(Path(folder), stack)
        try:
            version, places = kind.version(bench), kind.mount(bench)
            if next(places.made, None) is not None:
                return {"reason": "a request that is made there is in the upper layer"}
            return {"version": version, "lines": reader_lines(places, bench.root, rounds)}
        except UnavailableError as error:
            return {"reason": str(error)}
        except ConveyorError as error:
            return {"reason": f"a delivery is refused (`{error.code}`)"}


def reader_lines(places: Places, scratch: Path, rounds: int) -> list[list[str]]:
    tops = {"same host": places.one} | ({"another client": places.elsewhere} if places.elsewhere else {})
    for area in ("qa2", "image-qa"):
        (places.other / area).mkdir()
    metadata = make_request(places.one / "spool")
    settings = {"qa_root": places.other, "weblog_cache": scratch / "weblogs", "project_ids": "retag"}
    found = []
    for who, top in tops.items():
        reader = Reader(
            top / "spool" / _REQUEST / "rawdata" / "table.f0", _AFTERWARDS if who == "same host" else _CACHED
        )
        ways: set[str] = set()
        seen = {deliver: Seen(), retrieve: Seen()}
        for _ in range(rounds):
            for act, sum_ in seen.items():
                with reader.reading(sum_):
                    outcome = act(metadata, config=load_config(settings)).raise_for_error()
                ways |= set(map(str, outcome.ways.values()))
                list(tidy([metadata], config=load_config(settings)))
        found.append([who, ", ".join(sorted(ways)), *seen[deliver].cells, *seen[retrieve].cells])
    return found


@dataclass(frozen=True)
class Reader:
    """A process that opens a path, and goes on for some seconds after each conveyance."""

    path: Path
    afterwards: float

    @contextmanager
    def reading(self, seen: Seen) -> Iterator[None]:
        """Read while the block runs, and add what was seen."""
        command = [sys.executable, "-I", "-S", str(_LOOP), str(self.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it reads from now on
            try:
                yield
                time.sleep(self.afterwards)
            finally:
                process.terminate()
                told = process.stdout.read()
        seen.add(Seen(**json.loads(told)))


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The table, as the page has it."""
    today = datetime.now(tz=UTC).date().isoformat()
    lines = [f"Measured on {today}, with Python {platform.python_version()}, as root.", ""]
    lines += [line(COLUMNS), line(["---"] * len(COLUMNS))]
    for label, found in rows.items():
        lines += [line([label, found["version"], *cells]) for cells in found.get("lines", ())]
    lines += ["", "Nobody measured these here:", ""]
    untried = {label: found["reason"] for label, found in rows.items() if "reason" in found}
    elsewhere = {label: reason for label, reason in ELSEWHERE.items() if label != "Lustre"}
    lines += [f"- {label}: {reason}" for label, reason in (untried | elsewhere).items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.readers", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[kind.label for kind in KINDS], metavar="LABEL")
    parser.add_argument("--rounds", type=int, default=12, help="how often a request goes out and home [12]")
    parser.add_argument("--print", action="store_true", help="print the table, and leave the page as it is")
    parser.add_argument("--row", metavar="LABEL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.umask(0o022)
    kinds = {kind.label: kind for kind in KINDS}
    if options.row:
        sys.stdout.write(f"\n{json.dumps(row(kinds[options.row], options.rounds))}\n")
        return
    rows = {}
    for label in options.only or kinds:
        command = ("tools.readers", "--rounds", str(options.rounds), "--row", label)
        try:
            rows[label] = told_by_machine(*command) if kinds[label].in_machine else row(kinds[label], options.rounds)
        except UnavailableError as error:
            rows[label] = {"reason": str(error)}
        sys.stderr.write(f"{label}: {rows[label]}\n")
    if options.print or options.only:
        sys.stdout.write(f"{table(rows)}\n")
    else:
        write_between_marks(PAGE, "tools/readers.py", table(rows))


if __name__ == "__main__":
    main()
