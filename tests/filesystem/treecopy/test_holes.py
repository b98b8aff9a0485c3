"""Holes stay holes, cost next to nothing, and have the digest of as many zeros."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import InterruptedRunError
from conveyor.filesystem.treecopy import content
from conveyor.filesystem.treecopy.content import Content
from conveyor.filesystem.treecopy.copy_options import CopyMonitor
from conveyor.filesystem.treecopy.worker_context import SharedCounters, WorkerContext
from support.trees import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from conveyor.filesystem.treecopy.digest import Hasher

_BLOCK = 1 << 16
_LAYOUTS = {
    "nothing but a hole": (5 * _BLOCK, []),
    "a hole of a block and a bit": (_BLOCK + 1, []),
    "data at the end": (5 * _BLOCK, [5 * _BLOCK - 1]),
    "data in the middle": (9 * _BLOCK + 7, [4 * _BLOCK + 5]),
    "data at both ends": (9 * _BLOCK + 7, [0, 9 * _BLOCK + 6]),
    "data in each block": (4 * _BLOCK, [0, _BLOCK, 2 * _BLOCK, 3 * _BLOCK]),
    "data and a last short block": (4 * _BLOCK + 100, [0]),
}


def make_sparse(path: Path, size: int, data: Sequence[int]) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for position in data:
            file.seek(position)
            file.write(b"x")
    return path


def digest_of(path: Path) -> bytes:
    counters = SharedCounters(1, None)
    context = WorkerContext(counters, 0, lambda _: None)
    with closing(counters), path.open("rb") as file:
        return Content(1 << 12, _BLOCK, read_back=False).digest(file.fileno(), path.stat().st_size, context)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """An empty directory to be copied."""
    for name in ("one/data", "other"):
        (tmp_path / name).mkdir(parents=True)
    pair = Pair(tmp_path / "one", tmp_path / "other")
    with closing(pair.stack):
        yield pair


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_a_hole_has_the_digest_of_its_zeros(tmp_path: Path, layout: str) -> None:
    """A file has one digest, with holes or written out, so that every manifest stays right."""
    sparse = make_sparse(tmp_path / "sparse", *_LAYOUTS[layout])
    dense = tmp_path / "dense"
    dense.write_bytes(sparse.read_bytes())
    assert digest_of(sparse) == digest_of(dense)


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_a_file_with_holes_is_copied_and_verified(pair: Pair, layout: str) -> None:
    """Content and holes arrive, and the manifest says so."""
    source = make_sparse(pair.source / "file", *_LAYOUTS[layout])
    pair.copy(block=_BLOCK)
    copy = pair.copied / "file"
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_blocks <= source.stat().st_blocks
    assert pair.verify() == set()


def test_a_hole_of_terabytes_is_not_hashed_zero_by_zero(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the blocks that have data in them, and one that has none, are hashed."""
    real, hashed = content.add_zeros, [0]

    def count(state: Hasher, length: int) -> None:
        hashed[0] += length
        real(state, length)

    monkeypatch.setattr(content, "add_zeros", count)
    size = 4 << 40
    make_sparse(pair.source / "file", size, [size // 2])
    pair.copy()
    assert pair.verify() == set()
    assert (pair.copied / "file").stat().st_size == size
    assert hashed[0] <= 4 * pair.options.block
    assert os.stat(pair.copied / "file").st_blocks * 512 < 1 << 20


def test_a_copy_of_a_hole_is_resumed(pair: Pair) -> None:
    """Blocks of a hole that an earlier run had come to are believed, and what follows is copied."""
    source = make_sparse(pair.source / "file", 8 * _BLOCK, [6 * _BLOCK])

    def stop() -> bool:
        copy = pair.copied / "file"
        return copy.exists() and copy.stat().st_size > 0

    with pytest.raises(InterruptedRunError):
        pair.copy(CopyMonitor(stop=stop), block=_BLOCK)
    pair.copy(block=_BLOCK)
    assert (pair.copied / "file").read_bytes() == source.read_bytes()
    assert pair.verify() == set()
