"""Read or write one data set by its path again and again, as an analyst's session does, and say what was seen.

A program of its own, beside the test. Arguments: a kind of data; ``keep`` (look by what was opened before the first look),
``open`` (open the path for each look) or ``write`` (open it and write the next number); its path; and a folder to make. One
process does only one of them: casacore takes a path for the table that it has open by that name. After each round a byte is
added to ``rounds`` in the folder; once ``stop`` is there, a JSON object is printed: what was seen how often, and the last
number that was written without an error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The first value of each data set; ``make`` in the test writes it.
VALUE = 7.0
_PAUSE = 0.05  # seconds between two rounds: who opens a table all the time is in it all the time


def _module(name: str) -> Any:
    return importlib.import_module(name)


@contextmanager
def casacore(path: str, *, write: bool = False, column: str = "TIME") -> Iterator[Any]:
    """A column of a table by python-casacore; what is yielded reads it, or fills it with a value."""
    with _module("casacore.tables").table(path, readonly=not write, ack=False) as table:
        yield lambda value=None: table.putcol(column, [value] * table.nrows()) if value else [*table.getcol(column)]


@contextmanager
def casatools(path: str, *, write: bool = False) -> Iterator[Any]:
    """The same by CASA's table tool."""
    table = _module("casatools").table()
    table.open(path, nomodify=not write)
    try:
        yield lambda value=None: table.putcol("TIME", [value] * table.nrows()) if value else [*table.getcol("TIME")]
    finally:
        table.close()


@contextmanager
def zarr(path: str, *, write: bool = False) -> Iterator[Any]:
    """An array in a zarr group."""
    array = _module("zarr").open_group(path, mode="r+" if write else "r")["TIME"]
    yield lambda value=None: array.__setitem__(slice(None), value) if value else [*array[:]]


@contextmanager
def astropy(path: str, *, write: bool = False) -> Iterator[Any]:
    """The pixels of a FITS image, mapped into memory."""
    with _module("astropy.io.fits").open(path, mode="update" if write else "readonly", memmap=True) as hdus:
        pixels = hdus[0].data
        yield lambda value=None: pixels.__setitem__(slice(None), value) if value else [*pixels]


KINDS: dict[str, Callable[..., Any]] = {
    "casacore": casacore,
    "selection": casacore,
    "subtable": partial(casacore, column="DISH_DIAMETER"),
    "casatools": casatools,
    "zarr": zarr,
    "astropy": astropy,
}


def seen(read: Callable[[], list[float]]) -> str:
    """One look, in a word: the data, other values than were ever written, or the name of the error."""
    try:
        values = [*map(float, read())]
    except (OSError, RuntimeError, AttributeError) as error:
        return type(error).__name__
    return "data" if values and set(values) == {VALUE} else f"other values: {sorted(set(values))}"


def keep_on(kind: str, path: str, go_on: Callable[[], bool]) -> Counter[str]:
    """Look at the data by what was opened before the first look, until told to stop."""
    counts: Counter[str] = Counter()
    with KINDS[kind](path) as kept:
        kept()
        while go_on():
            counts[seen(kept)] += 1
            time.sleep(_PAUSE)
    return counts


def open_on(kind: str, path: str, go_on: Callable[[], bool]) -> Counter[str]:
    """Open the path and look at the data, again and again, until told to stop."""

    def opened() -> list[float]:
        with KINDS[kind](path) as column:
            values: list[float] = column()
            return values

    counts: Counter[str] = Counter()
    while go_on():
        counts[seen(opened)] += 1
        time.sleep(_PAUSE)
    return counts


def write_on(kind: str, path: str, go_on: Callable[[], bool]) -> tuple[Counter[str], float]:
    """Write numbers, each by opening the path anew, until told to stop; and the last one that was written."""
    counts: Counter[str] = Counter()
    number, last = VALUE, VALUE
    while go_on():
        number += 1
        try:
            with KINDS[kind](path, write=True) as column:
                column(number)
        except (OSError, RuntimeError) as error:
            counts[type(error).__name__] += 1
        else:
            counts["written"] += 1
            last = number
        time.sleep(_PAUSE)
    return counts, last


def main(kind: str, how: str, path: str, folder: Path) -> None:
    """Read or write until the file ``stop`` is in the folder, or the test is gone."""
    folder.mkdir()
    parent = os.getppid()
    with (folder / "rounds").open("ab", buffering=0) as rounds:

        def go_on() -> bool:
            rounds.write(b".")
            return not (folder / "stop").exists() and os.getppid() == parent

        last = VALUE
        if how == "write":
            counts, last = write_on(kind, path, go_on)
        else:
            counts = (keep_on if how == "keep" else open_on)(kind, path, go_on)
    print(json.dumps({"counts": counts, "last": last}))  # noqa: T201 - its answer to the test


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
