"""A server that copies by itself: asked only on its own kind of file system, and read on both sides afterwards.

The kernel's own ``copy_file_range`` stands for the server; the types of file systems say that it is one.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import CopyDiffersError, SourceChangingError
from conveyor.filesystem import syscalls
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from support.trees import Pair, rot, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = 250_000  # bytes, some blocks of the copy


class Server:
    """A server that copies some bytes a call; ``refusal`` is the error that it has after so many calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.refusal: tuple[int, int] | None = None
        self.copy: Callable[..., int] = os.copy_file_range

    def copy_file_range(self, source: int, copy: int, length: int, start: int, goal: int) -> int:
        self.calls += 1
        if self.refusal and self.calls > self.refusal[1]:
            raise OSError(self.refusal[0], os.strerror(self.refusal[0]))
        return self.copy(source, copy, min(length, 30_000), start, goal)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """An NFS server, as everything here says."""
    server = Server()
    monkeypatch.setattr(os, "copy_file_range", server.copy_file_range)
    monkeypatch.setattr(syscalls, "file_system_type", lambda _: 0x6969)
    return server


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A tree with a file of several blocks, one of one block, and one of holes."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    pair = Pair(tmp_path / "one", tmp_path / "other", CopyOptions(workers=1, block=100_000))
    pair.source.mkdir()
    (pair.source / "large").write_bytes(os.urandom(LONG))
    (pair.source / "middle").write_bytes(os.urandom(90_000))
    with (pair.source / "sparse").open("wb") as file:
        file.seek(150_000)
        file.write(b"x" * 20_000)
        file.truncate(400_000)
    with closing(pair.stack):
        yield pair


@pytest.mark.parametrize("refusal", [None, (errno.EOPNOTSUPP, 0), (errno.EXDEV, 2), (errno.EINVAL, 5)])
def test_what_a_server_copies_has_a_digest(pair: Pair, server: Server, refusal: tuple[int, int] | None) -> None:
    """Content, holes and digests are those of any copy, and where the server refuses, at first or later, it is one."""
    server.refusal = refusal
    pair.copy()
    assert server.calls
    assert same(pair.copied) == same(pair.source)
    assert (pair.copied / "sparse").stat().st_blocks * 512 < 100_000
    assert pair.verify() == set()


def test_no_server_is_asked_where_there_is_none(pair: Pair, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """On a local file system, where the kernel would copy in a loop of its own, it is not called."""
    monkeypatch.undo()
    monkeypatch.setattr(os, "copy_file_range", server.copy_file_range)
    pair.copy()
    assert server.calls == 0


def test_a_server_that_errs_is_found_out(pair: Pair, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides are read: what differs is no copy."""
    del server
    rot(pair.source / "middle", monkeypatch)
    with pytest.raises(CopyDiffersError, match="middle"):
        pair.copy()


def test_a_source_that_changes_meanwhile_is_copied_again(pair: Pair, server: Server) -> None:
    """What somebody writes while the server copies is a change, and no error of the server's."""
    copy = server.copy

    def write(*arguments: int) -> int:
        with (pair.source / "large").open("r+b") as file:
            file.write(b"new")
        return copy(*arguments)

    server.copy = write
    with pytest.raises(SourceChangingError):
        pair.copy()
    server.copy = copy
    pair.copy()
    assert same(pair.copied) == same(pair.source)
