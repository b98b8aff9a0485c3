"""What the command lines of the benchmarks have in common."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.support.machine import description
from benchmarks.support.rounds import CommandFailedError
from benchmarks.support.table import as_markdown
from benchmarks.support.volumes import KINDS, CannotMountError, Volumes, end_in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.support.table import Result

_NAMES = {"from": "origin", "to": "target"}  # "from" is a word of Python
_KINDS = f"{', '.join(KINDS)}, or an absolute path: a folder there"


def command_line(
    name: str, doc: str | None, *, kind: str, rounds: int, endpoints: Sequence[str] = ("from", "to")
) -> argparse.ArgumentParser:
    """A parser with the common options, which a benchmark adds its own to. ``ends`` are options that name file systems."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(doc or "").partition("\n")[0])
    add = parser.add_argument
    for end in endpoints:
        add(
            f"--{end}",
            type=_kind,
            dest=_NAMES.get(end, end),
            default=kind,
            metavar="KIND",
            help=f"{_KINDS} (default {kind})",
        )
    add("--rounds", type=int, default=rounds, metavar="N", help=f"how often each runs (default {rounds})")
    add("--folder", type=Path, metavar="DIR", help="where images are made (default: a temporary folder)")
    add("--json", type=Path, metavar="FILE", help="write the result to a file too")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, the common ones checked."""
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def add_rounds_option(parser: argparse.ArgumentParser) -> None:
    """Let rounds be added to those of an earlier result (see :func:`earlier_rounds`)."""
    parser.add_argument(
        "--add", action="store_true", help="go on with the rounds that the file of --json holds: as many more"
    )


def earlier_rounds(name: str, options: argparse.Namespace, keys: Sequence[str]) -> Result | None:
    """The result that ``--add`` goes on with, if there is one; ends the program if it has others than these runs."""
    if not options.add:
        return None
    if not options.json:
        sys.exit(f"benchmarks.{name}: --add needs --json")
    if not options.json.exists():
        return None
    earlier: Result = json.loads(options.json.read_text())
    if list(earlier["runs"]) != list(keys):
        sys.exit(f"benchmarks.{name}: the earlier rounds are of {', '.join(earlier['runs'])}")
    return earlier


def _kind(text: str) -> str:
    if text not in KINDS and not Path(text).is_absolute():
        raise argparse.ArgumentTypeError(f"{text} is none of {_KINDS}")
    return text


def report(
    name: str,
    options: argparse.Namespace,
    head: Result,
    measure: Callable[[Volumes, Path], Any],
    earlier: Result | None = None,
) -> None:
    """Measure in a folder that is removed afterwards; print what it came to, with the rounds of an earlier result.

    ``head`` says what it is that is measured, ``measure`` gives back the runs. The result is written to a file too where
    one is wanted.
    """
    end_in_order()
    with tempfile.TemporaryDirectory(prefix=f"conveyor-{name}-", dir=options.folder) as temporary:
        folder = Path(temporary).resolve()
        result = {"scale": 1, "rounds": options.rounds, "machine": description(folder)} | head
        if earlier and (
            differs := [key for key in ("schema", "title", "scale", "machine") if earlier[key] != result[key]]
        ):
            sys.exit(f"benchmarks.{name}: the earlier rounds are of another {' and '.join(differs)}")
        try:
            result["runs"] = measure(Volumes(folder), folder)
        except (CannotMountError, CommandFailedError) as error:
            sys.exit(f"benchmarks.{name}: {error}")
    if earlier:
        result = together(earlier, result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(as_markdown(result))


def together(earlier: Result, later: Result) -> Result:
    """The rounds of two results of the same thing as one."""
    runs = {key: _extended(run, later["runs"][key]) for key, run in earlier["runs"].items()}
    return later | {"rounds": earlier["rounds"] + later["rounds"], "runs": runs}


def _extended(one: Result, other: Result) -> Result:
    return {key: value + other[key] if isinstance(value, list) else value for key, value in one.items()}
