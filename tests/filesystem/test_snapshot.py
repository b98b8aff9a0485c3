"""A snapshot asks for each thing once, and tells what the file system tells."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem import snapshot
from conveyor.filesystem.posix import FileSystem, Kind
from conveyor.filesystem.snapshot import Snapshot
from support.faults import Faults, injected

if TYPE_CHECKING:
    from pathlib import Path


def test_a_snapshot_tells_what_the_file_system_tells(tmp_path: Path) -> None:
    """Kinds, entries, texts and contents of what is there, and of what is not."""
    (tmp_path / "request" / "folder").mkdir(parents=True)
    (tmp_path / "request" / "file").write_bytes(b"one\ntwo\n")
    (tmp_path / "request" / "link").symlink_to("folder")
    os.mkfifo(tmp_path / "request" / "fifo")
    plain, fs = FileSystem(), Snapshot()
    with plain.open_root(tmp_path) as root, plain.open_directory(root, "request") as there:
        seen = fs.open_directory(fs.open_root(tmp_path), "request")
        assert seen.path == there.path
        for name in ("folder", "file", "link", "fifo", "missing"):
            assert fs.kind(seen, name) == plain.kind(there, name)
            assert fs.lstat(seen, name) == plain.lstat(there, name)
        assert fs.listdir(seen) == plain.listdir(there)
        assert fs.readlink(seen, "link") == "folder"
        assert (fs.read(seen, "file", limit=5), fs.read_end(seen, "file", limit=4)) == (b"one\nt", b"two\n")
        assert fs.mounted(seen, ["folder"]) == plain.mounted(there, ["folder"])
        for refused in ("link", "file", "missing"):
            with pytest.raises(OSError, match=f"open: .*{refused}"):
                fs.open_directory(seen, refused)
        with pytest.raises(OSError, match="not a regular file"):
            fs.read(seen, "fifo", limit=1)
    fs.close()


def test_a_link_that_is_listed_as_a_file_is_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SMB lists links so: there each name that is said to be a file is looked at."""
    (tmp_path / "request").mkdir()
    (tmp_path / "request" / "file").touch()
    (tmp_path / "request" / "link").symlink_to("file")
    monkeypatch.setattr(snapshot, "lists_links", lambda _: False)
    monkeypatch.setattr(snapshot, "_kind_of", lambda _: Kind.FILE)
    fs = Snapshot()
    request = fs.open_directory(fs.open_root(tmp_path), "request")
    assert [fs.kind(request, name) for name in ("file", "link", "no")] == [Kind.FILE, Kind.LINK, None]
    fs.close()


def test_each_thing_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked, until the snapshot is renewed."""
    (tmp_path / "request").mkdir()
    (tmp_path / "request" / "file").write_bytes(b"one")
    fs, faults = Snapshot(), Faults(looks=True)
    root = fs.open_root(tmp_path)
    with injected(monkeypatch, faults):
        for _ in range(3):
            directory = fs.open_directory(root, "request")
            assert [fs.kind(directory, name) for name in ("file", "no", "none")] == [Kind.FILE, None, None]
            assert fs.read(directory, "file", limit=10) == b"one"
        assert faults.calls == ["open", "scandir", "open", "fstat", "read"]
    (tmp_path / "request" / "file").write_bytes(b"two")
    fs.renew()
    assert fs.read(fs.open_directory(root, "request"), "file", limit=10) == b"two"
    fs.close()


def test_an_area_that_lacks_many_names_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some misses one listing answers for all; renewed entirely, it asks for each name until the next time."""
    fs, faults = Snapshot(), Faults(looks=True)
    root = fs.open_root(tmp_path)
    with injected(monkeypatch, faults):
        assert all(fs.lstat(root, f"tmp{number}") is None for number in range(500))
    assert len(faults.calls) < 100
    (tmp_path / "tmp1").mkdir()
    fs.renew()
    assert fs.lstat(root, "tmp1") is None
    fs.renew(entirely=True)
    assert fs.lstat(root, "tmp1") is not None
    assert fs.kind(root, "tmp1") is Kind.DIRECTORY
    fs.renew()
    assert fs.lstat(root, "tmp1") is None
    fs.close()
