"""Files that share their extents with the source: not read, said to be so, and copied where they cannot be shared.

Here a copy by the kernel stands for the clone, so that it can be tried on every file system; ``tests/filesystems`` has the
real ones.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import ManifestUnknownError
from conveyor.filesystem import syscalls
from conveyor.filesystem.treecopy import manifest
from conveyor.filesystem.treecopy.check_manifest import verify
from conveyor.filesystem.treecopy.copy_options import CopyOptions, Side, Totals
from support.trees import ALONE, TOGETHER, Pair, made, make_tree, rot, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 200_000  # bytes


class Sharing:
    """A file system that clones; ``refuse`` are the error numbers of the files of some sizes."""

    def __init__(self) -> None:
        self.refuse: dict[int, int] = {}

    def clone(self, source: int, copy: int) -> None:
        size = os.fstat(source).st_size
        os.sendfile(copy, source, 0, size // 2 if size in self.refuse else size)
        if size in self.refuse:
            raise OSError(self.refuse[size], os.strerror(self.refuse[size]))


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> Sharing:
    """A kernel that clones every file."""
    made = Sharing()
    monkeypatch.setattr(syscalls, "clone", made.clone)
    return made


@pytest.fixture(params=[ALONE, TOGETHER], ids=["alone", "together"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, sharing: Sharing) -> Iterator[Pair]:
    """A tree of small files with three long ones in it, one of which has two names and one more than a block."""
    options: CopyOptions = request.param
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    pair = Pair(tmp_path / "one", tmp_path / "other", options)
    make_tree(pair.source)
    for number, name in enumerate(("long", "linked", "large")):
        (pair.source / "folder 1" / name).write_bytes(os.urandom(LONG + number))
    os.link(pair.source / "folder 1" / "linked", pair.source / "linked")
    pair.options = CopyOptions(workers=options.workers, fork_after=options.fork_after, block=LONG + 1)
    with closing(pair.stack):
        yield pair


CLONED = Totals(4, 4 * LONG + 4)


def cloned(pair: Pair, side: Side = Side.COPY) -> Totals:
    """Find no difference by reading; what has no digest."""
    place, found = pair.copied if side is Side.COPY else pair.source, list[object]()
    checked = verify(pair.named(place), pair.named(pair.manifest), found.append, pair.options)
    assert checked is not None
    assert not found
    return checked.cloned


def test_a_clone_keeps_everything_and_is_not_read(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long files are cloned, with all that a copy has; the others are copied; none that was cloned is read afterwards."""
    rot(pair.source / "folder 1" / "long", monkeypatch)  # what is read of it is wrong, so that it may not be read
    pair.copy(read_back="disk")
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)
    assert cloned(pair) == cloned(pair, Side.SOURCE) == CLONED


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ETXTBSY, errno.EPERM])
def test_a_file_that_cannot_be_cloned_is_copied(pair: Pair, sharing: Sharing, number: int) -> None:
    """File by file what works: one that the kernel refuses, half-way too, is copied and has a digest."""
    sharing.refuse = {LONG: number, LONG + 2: number}
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert cloned(pair) == Totals(2, 2 * LONG + 2)


def test_an_error_of_the_disk_is_told(pair: Pair, sharing: Sharing) -> None:
    """No file is copied again where the disk is full: the error has its path, and the next run goes on."""
    sharing.refuse = {LONG: errno.ENOSPC}
    with pytest.raises(OSError, match="No space left") as raised:
        pair.copy()
    assert raised.value.filename == str(pair.source / "folder 1" / "long")
    sharing.refuse = {}
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert cloned(pair) == CLONED


def test_what_was_cloned_is_not_cloned_again(pair: Pair) -> None:
    """A second run leaves clones as they are, and makes anew what was written to since."""
    pair.copy()
    before = made(pair.copied)
    (pair.source / "folder 1" / "long").write_bytes(os.urandom(LONG))
    pair.copy()
    now = made(pair.copied)
    assert same(pair.copied) == same(pair.source)
    assert {name for name in before if now[name] != before[name]} == {"folder 1/long"}


def test_a_clone_that_was_touched_is_changed(pair: Pair) -> None:
    """Nothing tells if the content of a clone is the same once its times are others."""
    pair.copy()
    (pair.copied / "folder 1" / "long").chmod(0o640)
    assert pair.verify() == {("folder 1/long", "changed")}
    assert [one.path for one in pair.changes(Side.COPY).examples] == ["folder 1/long"]


def test_a_source_that_grows_is_cloned_again(pair: Pair, sharing: Sharing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone of more than what was seen of the source is no copy of it: the next look clones it again."""
    grown: list[int] = []

    def clone(source: int, copy: int) -> None:
        if os.fstat(source).st_size == LONG and not grown:
            grown.append(1)
            with (pair.source / "folder 1" / "long").open("ab") as file:
                file.write(b"more")
        sharing.clone(source, copy)

    monkeypatch.setattr(syscalls, "clone", clone)
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert cloned(pair).bytes == CLONED.bytes + 4


def test_an_older_release_does_not_take_clones_for_damage(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest with clones has a format of its own, one without them that of before."""

    def form() -> str:
        with closing(sqlite3.connect(pair.manifest)) as database:
            return str(database.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()[0])

    pair.copy()
    assert form() == "conveyor-manifest/2"
    monkeypatch.setattr(manifest, "_FORMAT_WITH_CLONES", "conveyor-manifest/1")  # as an older release has it
    with pytest.raises(ManifestUnknownError):
        pair.verify()
    pair.remove(pair.copied)
    for path in pair.source.rglob("l*"):
        path.unlink()
    pair.copy()
    assert form() == "conveyor-manifest/1"
