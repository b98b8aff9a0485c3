"""A process that stats and opens paths as fast as it can while a request goes out and home, and counts what it misses.

The test starts it with :class:`Reader`; as a program of its own this file is what runs beside the test. The two share a
page with three numbers: whether to stop, how many rounds were read, how many calls failed.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_STOP, _ROUNDS, _MISSES = range(3)
_PAGE = 3 * 8
_PATIENCE = 60  # seconds that a reader may take for a round before the test gives up on it


class Reader:
    """A reader of files, each below a directory that is conveyed; runs from ``with`` to its end."""

    def __init__(self, page: Path, files: Sequence[Path]) -> None:
        page.write_bytes(bytes(_PAGE))
        self._files = [str(file) for file in files]
        self._page = page
        self.misses: list[str] = []

    def __enter__(self) -> Self:
        with self._page.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _PAGE)
        self._numbers = memoryview(self._map).cast("Q")
        command = [sys.executable, __file__, str(self._page), *self._files]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.read_on(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._numbers[_STOP] = 1
        output, _errors = self._process.communicate()
        missed = self._numbers[_MISSES]
        self._numbers.release()
        self._map.close()
        self.misses = json.loads(output)
        assert len(self.misses) == missed, "the reader lost count"

    @property
    def rounds(self) -> int:
        """How often every file was read so far."""
        return self._numbers[_ROUNDS]

    def read_on(self, rounds: int) -> None:
        """Wait until so many more rounds were read."""
        goal, limit = self.rounds + rounds, time.monotonic() + _PATIENCE
        while self.rounds < goal:
            assert self._process.poll() is None, "the reader died"
            assert time.monotonic() < limit, "the reader does not read"
            time.sleep(0)


def _read(page: Path, files: list[str]) -> list[str]:
    misses = []
    pairs = [(os.path.dirname(file), file) for file in files]
    with page.open("r+b") as opened, mmap.mmap(opened.fileno(), _PAGE) as shared:
        numbers = memoryview(shared).cast("Q")
        while not numbers[_STOP]:
            for folder, file in pairs:
                try:
                    os.stat(folder)
                    os.close(os.open(file, os.O_RDONLY))
                except OSError as error:
                    misses.append(str(error))
                    numbers[_MISSES] += 1
            numbers[_ROUNDS] += 1
        numbers.release()
    return misses


if __name__ == "__main__":
    print(json.dumps(_read(Path(sys.argv[1]), sys.argv[2:])))  # noqa: T201 - its answer to the test
