"""What was copied and proven is not copied again; what is torn, changed or unproven is."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import CopyDiffersError, InterruptedRunError, ManifestUnknownError, SourceChangingError
from conveyor.filesystem.treecopy import manifest
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, Side, Totals
from support.trees import Pair, made, make_tree, rot, same

if TYPE_CHECKING:
    from collections.abc import Callable


def after(phase: str, act: Callable[[], object], *, once: bool = True) -> CopyMonitor:
    """A monitor that does something when a phase is first told of."""
    seen: list[str] = []

    def progress(now: str, done: Totals, total: Totals) -> None:
        if now == phase and not (once and seen):
            seen.append(now)
            act()

    return CopyMonitor(progress)


def test_a_whole_copy_is_not_copied_again(pair: Pair) -> None:
    """A second call copies nothing: every file in the copy is the one that was there."""
    pair.copy()
    before = made(pair.copied)
    pair.copy()
    assert made(pair.copied) == before


def test_only_what_changed_is_copied_again(pair: Pair) -> None:
    """Between two calls a file is written to, one is new, one is gone, a directory is: the copy follows, the rest stays."""
    pair.copy()
    before = made(pair.copied)
    inner = pair.source / "folder 2" / "inner"
    (inner / "file 3").write_text("another content")
    (inner / "new").mkdir()
    (inner / "new" / "file").write_text("new")
    (inner / "file 4").unlink()
    (pair.source / "empty").rmdir()
    (pair.source / "empty").write_text("a file by now")
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    now = made(pair.copied)
    changed = {f"folder 2/inner/{name}" for name in ("file 3", "file 4", "new/file")} | {"empty"}
    assert {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)} == changed
    assert not pair.changes(Side.SOURCE)
    assert not pair.changes(Side.COPY)


def test_what_somebody_did_to_the_copy_is_undone(pair: Pair) -> None:
    """A file of the copy with the size and time of before, but other content, is copied again; what is more is removed."""
    pair.copy()
    victim = pair.copied / "folder 3" / "inner" / "file 5"
    status = victim.stat()
    victim.write_bytes(bytes(status.st_size))
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    (pair.copied / "folder 1" / "more" / "and more").mkdir(parents=True)
    (pair.copied / "folder 1" / "more" / "file").write_text("x")
    (pair.copied / "link").unlink()
    (pair.copied / "link").mkdir()
    pair.copy()
    assert same(pair.copied) == same(pair.source)


def test_hard_links_that_were_made_and_broken_since_are_in_the_copy(pair: Pair) -> None:
    """A second call brings names of one file together, and apart, as they are in the source by then."""
    pair.copy()
    inner = pair.source / "folder 0" / "inner"
    os.link(inner / "file 2", pair.source / "folder 4" / "another name")
    (pair.source / "folder 1" / "second name").unlink()
    (pair.source / "folder 1" / "second name").write_text("a file of its own")
    pair.copy()
    assert same(pair.copied) == same(pair.source)


@pytest.mark.parametrize("damage", ["torn", "byte", "empty", "link", "folder", "no database", "another format"])
def test_a_damaged_manifest_proves_nothing(pair: Pair, damage: str) -> None:
    """Where the manifest is not what was written, both sides count as changed, and a copy begins anew."""
    pair.copy()
    before = made(pair.copied)
    content = pair.manifest.read_bytes()
    match damage:
        case "torn":
            pair.manifest.write_bytes(content[: len(content) // 2])
        case "byte":
            position = content.rindex(b"file 7") + 2
            pair.manifest.write_bytes(content[:position] + b"X" + content[position + 1 :])
        case "empty":
            pair.manifest.write_bytes(b"")
        case "no database":
            pair.manifest.write_bytes(b"nothing of the kind" * 100)
        case "another format":
            with closing(sqlite3.connect(pair.manifest)) as connection, connection:
                connection.execute("UPDATE facts SET value = 'another' WHERE name = 'format'")
        case "link":
            pair.manifest.rename(pair.one / "kept")
            pair.manifest.symlink_to("kept")
        case "folder":
            pair.manifest.unlink()
            pair.manifest.mkdir()
    assert pair.changes(Side.SOURCE)
    assert pair.changes(Side.COPY)
    if damage == "folder":  # not ours to remove
        with pytest.raises(OSError, match="unlink"):
            pair.copy()
        return
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert before.keys() == made(pair.copied).keys()
    assert not pair.changes(Side.COPY)


@pytest.mark.parametrize(("fact", "value"), [("format", "conveyor-manifest/99"), ("digest", "blake3")])
def test_a_manifest_of_another_release_is_said_to_be_that(pair: Pair, fact: str, value: str) -> None:
    """A manifest of another format, or with another hash, is no damage: it is refused by name, and a copy begins anew."""
    pair.copy()
    set_fact(pair, fact, value)
    for side in Side:
        with pytest.raises(ManifestUnknownError, match=value):
            pair.changes(side)
    with pytest.raises(ManifestUnknownError, match=value):
        pair.verify()
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.COPY)


def test_a_manifest_that_names_no_hash_has_the_first_one(pair: Pair) -> None:
    """Manifests that were made before they named their hash are believed, and what they prove is not copied again."""
    pair.copy()
    set_fact(pair, "digest", None)
    before = made(pair.copied)
    assert pair.verify() == set()
    pair.copy()
    assert made(pair.copied) == before


def set_fact(pair: Pair, name: str, value: str | None) -> None:
    with closing(sqlite3.connect(pair.manifest)) as connection, connection:
        connection.execute("UPDATE facts SET value = ? WHERE name = ?", (value, name))


def test_a_manifest_without_its_copy_proves_nothing(pair: Pair) -> None:
    """Where the copy is gone, all is copied."""
    pair.copy()
    pair.remove(pair.copied)
    pair.copy()
    assert same(pair.copied) == same(pair.source)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_in_the_place_of_the_copy_makes_room(pair: Pair, kind: str) -> None:
    """A file there, or a link, which is not followed, is removed, and all is copied."""
    pair.copy()
    pair.copied.rename(pair.other / "elsewhere")
    pair.copied.symlink_to("elsewhere") if kind == "link" else pair.copied.write_text("x")
    before = made(pair.other / "elsewhere")
    pair.copy()
    assert same(pair.copied) == same(pair.source)
    assert made(pair.other / "elsewhere") == before


def test_a_file_that_changes_while_it_is_copied_is_copied_again(pair: Pair) -> None:
    """What is written between the copy and the last look is in the copy."""

    def edit() -> None:
        (pair.source / "folder 2" / "inner" / "file 3").write_text("edited")
        (pair.source / "folder 2" / "inner" / "added").write_text("added")
        os.rename(pair.source / "folder 5", pair.source / "renamed")

    pair.copy(after("check", edit))
    assert same(pair.copied) == same(pair.source)
    assert (pair.copied / "folder 2" / "inner" / "file 3").read_text() == "edited"
    assert not pair.changes(Side.SOURCE)


def test_a_source_that_changes_everywhere_is_copied_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the manifest in a look sees one state of it, even if more is set meanwhile than its cache holds."""
    monkeypatch.setattr(manifest, "_SETTINGS", "PRAGMA synchronous = OFF; PRAGMA cache_size = 10;")  # pages
    make_tree(pair.source / "more", 40, 12)

    def edit() -> None:
        for path in pair.source.rglob("file *"):
            path.write_text(f"edited {path.name}")

    pair.copy(after("check", edit))
    assert same(pair.copied) == same(pair.source)
    assert not pair.changes(Side.SOURCE)
    assert pair.verify() == set()


def test_a_source_that_does_not_come_to_rest_is_refused(pair: Pair) -> None:
    """What changes at each look is copied again so many times, and then the call ends with 75; the source is as it was."""
    edits = []

    def edit() -> None:
        edits.append(1)
        (pair.source / "folder 2" / "inner" / "file 3").write_text(f"edit {len(edits)}")

    with pytest.raises(SourceChangingError, match=r"folder 2/inner/file 3 \(changed\)") as caught:
        pair.copy(after("check", edit, once=False), rounds=2)
    assert caught.value.exit_code == 75
    before = same(pair.source)
    pair.copy()
    assert same(pair.copied) == same(pair.source) == before


@pytest.mark.parametrize("side", list(Side))
def test_changes_are_found_on_either_side(pair: Pair, side: Side) -> None:
    """A file written to with its old size and time, a new name, a missing one, a mode: each is found, by its path."""
    pair.copy()
    tree = pair.source if side is Side.SOURCE else pair.copied
    assert not pair.changes(side)
    file = tree / "folder 0" / "inner" / "file 4"
    status = file.stat()
    file.write_bytes(bytes(status.st_size))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    (tree / "folder 1" / "new").write_text("x")
    (tree / "link").unlink()
    (tree / "folder 3" / "inner").chmod(0o700)
    found = {(one.path, str(one.change)) for one in pair.changes(side).examples}
    assert found == {
        *(("folder 0/inner/file 4", "changed"), ("folder 1", "changed"), ("folder 1/new", "new")),
        *(("link", "missing"), ("folder 3/inner", "changed")),
    }


@pytest.mark.parametrize("side", list(Side))
def test_a_tree_that_is_renamed_as_a_whole_has_not_changed(pair: Pair, side: Side) -> None:
    """To put a directory in another place, as the swap does, is no change of what is in it, nor is its time (xfs)."""
    pair.copy()
    tree = pair.source if side is Side.SOURCE else pair.copied
    (pair.other / "elsewhere").mkdir()
    os.rename(tree, pair.other / "elsewhere" / "tree")
    os.rename(pair.other / "elsewhere" / "tree", tree)
    os.utime(tree)
    assert not pair.changes(side)


@pytest.mark.parametrize("side", list(Side))
def test_verifying_tells_what_analysts_changed_from_what_rotted(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, side: Side
) -> None:
    """Content that differs behind unchanged size, times and inode has rotted; the rest somebody changed.

    A retrieval that was begun and not finished leaves a manifest of which the delivered directory is the source.
    """
    pair.copy()
    assert pair.verify(side) == set()
    inner = (pair.source if side is Side.SOURCE else pair.copied) / "folder 0" / "inner"
    (inner / "file 4").write_text("edited")
    os.utime(inner / "file 5", ns=(1, 1))
    (inner / "file 6").unlink()
    (inner / "new").write_text("x")
    rot(inner / "file 7", monkeypatch)
    assert pair.verify(side) == {
        *((f"folder 0/inner/file {number}", what) for number, what in ((4, "changed"), (5, "touched"))),
        *(("folder 0/inner/file 6", "missing"), ("folder 0/inner/new", "new"), ("folder 0/inner/file 7", "rotted")),
    }


@pytest.mark.parametrize("size", [1000, 200_000])
def test_a_copy_that_reads_back_otherwise_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Where the target gives back another bit than was written, the call ends with 74, and the next one copies again."""
    (pair.source / "victim").write_bytes(b"x" * size)
    before = same(pair.source)
    write = os.write

    def bad_write(descriptor: int, content: bytes) -> int:
        if bytes(content[:9]) == b"x" * 9:
            content = b"y" + bytes(content[1:])
        return write(descriptor, content)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", bad_write)
        with pytest.raises(CopyDiffersError, match="victim") as caught:
            pair.copy()
    assert caught.value.exit_code == 74
    assert same(pair.source) == before
    pair.copy()
    assert same(pair.copied) == before


def test_rot_between_writing_and_reading_back_from_the_disk_is_found(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk gives back another bit after the flush, the call ends with 74, and only that file is copied again."""
    victim = pair.copied / "folder 4" / "inner" / "file 6"

    def spoil() -> None:
        rot(victim, monkeypatch)

    with pytest.raises(CopyDiffersError, match=r"folder 4/inner/file 6 \(rotted\)"):
        pair.copy(after("read back", spoil), read_back="disk")
    monkeypatch.undo()
    before = made(pair.copied)
    pair.copy(read_back="disk")
    now = made(pair.copied)
    assert {name for name in now if now[name] != before[name]} == {"folder 4/inner/file 6"}
    assert same(pair.copied) == same(pair.source)


def test_a_copy_that_was_asked_to_end_goes_on(pair: Pair) -> None:
    """A run that is asked to end does so at the next file, keeps what it has, and the next one copies only the rest."""
    pair.options = replace(pair.options, max_rate=30_000)

    def stop() -> bool:
        return len(made(pair.copied)) > 10

    with pytest.raises(InterruptedRunError):
        pair.copy(CopyMonitor(stop=stop))
    before = made(pair.copied)
    assert 0 < len(before) < len(made(pair.source))
    assert pair.changes(Side.SOURCE)
    pair.options = replace(pair.options, max_rate=None)
    pair.copy()
    now = made(pair.copied)
    again = [name for name in before if now[name] != before[name]]
    assert len(again) <= pair.options.workers  # each process was in the middle of one file
    assert same(pair.copied) == same(pair.source)
