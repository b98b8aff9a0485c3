"""Workspaces with thousands of requests in every state: a few are conveyed by the program, the others are made like them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.startup import make_request
from benchmarks.support.program import environment, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEAD = {
    "boot": "before",
    "machine": "",
    "namespace": "",
    "pid": 1,
    "since": "2026-01-01T00:00:00+00:00",
    "started": "1",
}


@dataclass(frozen=True)
class _Stamp:
    """What one request consists of, as paths from the workspace; its name, wherever it stands, is to be replaced."""

    name: str
    directories: tuple[str, ...]
    files: tuple[tuple[str, bytes], ...]
    links: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, root: Path, name: str) -> _Stamp:
        """Take it from a request in a workspace."""
        directories, files, links = [], [], []
        for area in sorted(root.iterdir()):
            for path in sorted(one for one in area.glob("*") if name in one.name):
                for each in [path, *sorted(path.rglob("*"))] if path.is_dir() and not path.is_symlink() else [path]:
                    place = str(each.relative_to(root))
                    if each.is_symlink():
                        links.append((place, os.readlink(each)))
                    elif each.is_dir():
                        directories.append(place)
                    else:
                        files.append((place, each.read_bytes()))
        return cls(name, tuple(directories), tuple(files), tuple(links))

    def put(self, root: Path, name: str) -> None:
        """Make a request of another name like it."""
        own, other = self.name.encode(), name.encode()
        for place in self.directories:
            (root / place.replace(self.name, name)).mkdir()
        for place, content in self.files:
            (root / place.replace(self.name, name)).write_bytes(content.replace(own, other))
        for place, text in self.links:
            (root / place.replace(self.name, name)).symlink_to(text.replace(self.name, name))


def _deliver(root: Path, folder: Path, metadata: Path) -> None:
    command = [*program(), "deliver", "--spool-root", str(root / "spool"), str(metadata)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment(folder))


def _stalled(root: Path, name: str) -> None:
    """Take away the end of a delivery, and leave the claim of a process that died."""
    (root / "qa2" / name / "READY").unlink()
    holder = _DEAD | {"host": os.uname().nodename, "machine": _machine(), "token": "0"}
    (root / "spool" / name / ".conveyor" / "claim.1").symlink_to(json.dumps(holder, sort_keys=True))


def _machine() -> str:
    path = Path("/etc/machine-id")
    return path.read_text().strip() if path.exists() else ""


def _dangling(root: Path, name: str) -> None:
    shutil.rmtree(root / "qa2" / name)


def _orphaned(root: Path, name: str) -> None:
    shutil.rmtree(root / "spool" / name)


def _renamed(root: Path, name: str) -> None:
    (root / "qa2" / name).rename(root / "qa2" / f"{name}-done")


def _unreadable(root: Path, name: str) -> None:
    (root / "spool" / name / "metadata.json").write_text('{"destinationDirectory": ')


def _left_over(root: Path, name: str) -> None:
    (root / "qa2" / name / ".conveyor" / "rawdata.left.1").mkdir()


def _lost_metadata(root: Path, name: str) -> None:
    (root / "spool" / name / "metadata.json").unlink()


_TROUBLES: tuple[Callable[[Path, str], None], ...] = (
    _stalled,
    _dangling,
    _orphaned,
    _renamed,
    _unreadable,
    _left_over,
    _lost_metadata,
)


def _stamps(folder: Path, place: Path) -> Iterator[tuple[_Stamp, int]]:
    """The stamps, with the share of each in ten thousand.

    They are taken in a workspace at the place of the one that is to be made, since some of them hold its path.
    """
    for number, (share, change) in enumerate([(7000, None), (2500, None), *((0, one) for one in _TROUBLES)]):
        name = f"tmpstamp{number:04}"
        metadata = make_request(place, name)
        if number:
            _deliver(place, folder, metadata)
        if change is not None:
            change(place, name)
        yield _Stamp.of(place, name), share
        for area in ("spool", "qa2", "weblog-cache"):
            for path in (place / area).glob(f"*{name}*"):
                shutil.rmtree(path)


def fill(root: Path, count: int, folder: Path) -> None:
    """Make so many requests: seven tenths in spool, a quarter in QA, the rest in every kind of trouble."""
    stamps = list(_stamps(folder, root))
    kinds = [stamp for stamp, share in stamps for _ in range(count * share // 10_000)]
    kinds += islice(cycle(stamp for stamp, share in stamps if not share), count - len(kinds))
    for number, stamp in enumerate(kinds):
        stamp.put(root, f"tmp{number * 7919 % 99_991:05}")
