"""Lustre's layouts in a copy: what the site chose is set before the first byte, and what cannot be kept is known before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import CopyMonitor
from conveyor.filesystem.treecopy.estimate import estimate
from conveyor.filesystem.treecopy.layout_survey import LostLayouts, lost_layouts
from conveyor.filesystem.treecopy.striping import Striping, has_layouts, parse
from support.lustre import MEBIBYTE, FakeLustre, striped, with_objects
from support.trees import ALONE, Pair

if TYPE_CHECKING:
    from pathlib import Path

_WIDE = Striping((striped(4, 4 * MEBIBYTE),))
_POOLED = Striping((striped(2, pool=b"flash"),))
#: On a metadata server up to a megabyte, on one server up to 256, and wider behind.
_GROWING = Striping(
    (
        striped(0, end=MEBIBYTE)._replace(pattern=0x100),
        striped(1, start=MEBIBYTE, end=256 * MEBIBYTE),
        striped(0xFFFF, start=256 * MEBIBYTE),
    ),
    is_composite=True,
)
_LAYOUTS = {"wide": _WIDE, "pooled": _POOLED, "growing": _GROWING}


@pytest.fixture
def site(tmp_path: Path) -> Pair:
    """A small tree: a table with two files, beside a file of its own."""
    pair = Pair(tmp_path / "one", tmp_path / "other", ALONE)
    (pair.source / "table").mkdir(parents=True)
    pair.other.mkdir()
    for name in ("table/f0", "table/f1", "log"):
        (pair.source / name).write_bytes(name.encode() * 1000)
    return pair


def _lost(site: Pair) -> list[LostLayouts]:
    target = FileSystem().open_root(site.other)
    with target:
        found = estimate(site.named(site.source), target, None, ALONE, CopyMonitor())
        return lost_layouts(target, found.layouts)


@pytest.mark.parametrize("layout", _LAYOUTS.values(), ids=_LAYOUTS)
def test_a_layout_is_read_as_it_is_set_and_as_it_is_told(layout: Striping) -> None:
    """With and without objects, numbers and flags it is the same layout."""
    assert parse(layout.pack()) == layout
    assert parse(with_objects(layout)) == layout


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_half_a_layout_is_not_believed(length: int) -> None:
    """What is cut off has no components."""
    whole = with_objects(_GROWING)
    assert length < len(whole)
    assert parse(whole[:length]).components == ()


@pytest.mark.parametrize("flags", [0x40, 0x80, 0x100], ids=["growing by itself", "parity", "compressed"])
def test_a_layout_of_a_kind_that_cannot_be_set_is_told(site: Pair, flags: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan counts it, of files and of a directory that hands it on, and the copy gets the layout of its place."""
    told = bytearray(with_objects(_GROWING))
    told[36:40] = flags.to_bytes(4, "little")
    lustre = FakeLustre(site.one, site.other)
    for name in ("table", "table/f0", "log"):
        lustre.choose(site.source / name, bytes(told))
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        assert [(one.number, one.reason) for one in _lost(site)] == [(3, "it is of a kind that cannot be set")]
        site.copy()
    assert lustre.layout(site.copied / "log") == lustre.layout(site.copied / "table" / "f0") == Striping((striped(1),))
    assert site.verify() == set()


@pytest.mark.parametrize("layout", _LAYOUTS.values(), ids=_LAYOUTS)
def test_a_file_keeps_its_layout(site: Pair, layout: Striping, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the same components in the copy, and others the target's."""
    lustre = FakeLustre(site.one, site.other)
    lustre.choose(site.source / "log", with_objects(layout))
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        assert _lost(site) == []
        site.copy()
    shape = [one._replace(stripes=0) for one in layout.components]
    assert [one._replace(stripes=0) for one in lustre.layout(site.copied / "log").components] == shape
    assert lustre.layout(site.copied / "table" / "f0") == Striping((striped(1),))
    assert (site.copied / "log").read_bytes() == (site.source / "log").read_bytes()


def test_a_directory_hands_on_what_it_did(site: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made in the copy of a directory afterwards gets the layout that it would have got in the original."""
    lustre = FakeLustre(site.one, site.other)
    lustre.choose(site.source / "table", _POOLED.pack())
    for name in ("f0", "f1"):
        lustre.choose(site.source / "table" / name, with_objects(_POOLED))
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        assert _lost(site) == []
        site.copy()
    assert lustre.layout(site.copied / "table") == _POOLED
    assert lustre.layout(site.copied / "table" / "f0") == _POOLED


def test_a_directory_hands_on_the_mirrors_that_it_did(site: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told of a directory, mirrors have no numbers: each begins where the one before it ends."""
    mirrored = Striping((striped(1), striped(2, pool=b"flash")), is_composite=True, mirrors=1)
    lustre = FakeLustre(site.one, site.other)
    lustre.choose(site.source / "table", mirrored.pack())
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        assert _lost(site) == []
        site.copy()
    assert lustre.layout(site.copied / "table") == mirrored
    assert os.listdir(site.other) == ["copy"]


#: As Lustre 2.16.1 tells of directories that the first of two mirrors is preferred, and that the server 2 comes first.
_PREFERRED = bytes.fromhex(
    "d00bd60bc000000000000000000002000100000000000000000000000000000000000000060000000000000000000000ffffffffffffffff"
    "80000000200000000000000000000000000000000000000000000000000000000000000000000000ffffffffffffffffa000000020000000"
    "00000000000000000000000000000000d00bd10b0100000071030200000000000000000000000000000000000100ffffd00bd10b01000000"
    "51030200000000000000000000000000000000000200ffff"
)
_FIRST = bytes.fromhex("d00bd10b01000000000000000000000000000000000000000000000001000200")


@pytest.mark.parametrize(
    ("told", "reason"), [(_FIRST, "a first server"), (_PREFERRED, "a preferred mirror")], ids=["first", "preferred"]
)
def test_what_a_directory_chose_besides_its_components_is_told(
    site: Pair, told: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan counts it; the components are handed on all the same."""
    lustre = FakeLustre(site.one, site.other)
    lustre.choose(site.source / "table", told)
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        assert _lost(site) == [LostLayouts(1, "table", reason)]
        site.copy()
    assert lustre.layout(site.copied / "table").components == parse(told).components


def test_metadata_servers_for_new_directories_are_told_where_they_were_chosen(
    site: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that got them from the one above, less deep, is not counted."""
    lustre = FakeLustre(site.one, site.other)
    (site.source / "table" / "inner").mkdir()
    lustre.spread(site.source / "table", servers=2)
    lustre.spread(site.source / "table" / "inner", servers=2, depth=2)
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        assert _lost(site) == [LostLayouts(1, "table", "metadata servers for the directories that are made in it")]


def test_what_nobody_chose_is_not_counted(site: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """One stripe below a directory that hands on nothing is no loss where there are no layouts."""
    lustre = FakeLustre(site.one)
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        assert _lost(site) == []
        lustre.choose(site.source / "log", with_objects(_POOLED))
        assert [one.number for one in _lost(site)] == [1]


def test_mirrors_are_told_and_one_that_is_not_stale_is_kept(site: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies that Lustre keeps become one, and the plan says so beforehand."""
    lustre = FakeLustre(site.one, site.other)
    lustre.choose(site.source / "log", with_objects(_GROWING, mirrors=2))
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        assert _lost(site) == [LostLayouts(1, "log", "2 mirrors")]
        site.copy()
    now = lustre.layout(site.copied / "log")
    assert len(now.components) == len(_GROWING.components)


@pytest.mark.parametrize(("servers", "unknown"), [(1, 0), (4, 0x200)], ids=["too few servers", "an older release"])
def test_what_the_target_does_not_take_is_told_with_a_count(
    site: Pair, servers: int, unknown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried beforehand; the copy is made all the same, in the layout of its place."""
    lustre = FakeLustre(site.one, site.other, servers=servers, unknown=unknown)
    for name in ("table/f0", "table/f1"):
        lustre.choose(site.source / name, with_objects(Striping((striped(2)._replace(pattern=0x201),))))
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        lost = _lost(site)
        assert [(one.number, one.reason) for one in lost] == [(2, "that file system does not take it")]
        site.copy()
    assert (site.copied / "table" / "f0").read_bytes() == (site.source / "table" / "f0").read_bytes()


def test_a_target_without_layouts_is_told_once(site: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Lustre to another file system all layouts of files' own are lost, and one message counts them."""
    lustre = FakeLustre(site.one)
    for name, layout in (("table/f0", _POOLED), ("table/f1", _POOLED), ("log", _WIDE)):
        lustre.choose(site.source / name, with_objects(layout))
    with monkeypatch.context() as patch:
        lustre.patch(patch)
        lost = _lost(site)
        assert [(one.number, one.reason) for one in lost] == [(3, "that file system has no layouts")]
        site.copy()
    assert site.verify() == set()


def test_a_file_system_without_layouts_is_not_asked_for_any(site: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere no entry costs a call, and nothing is lost."""
    asked: list[object] = []
    real = os.getxattr

    def getxattr(place: int, name: str, **options: bool) -> bytes:
        asked.append(name)
        return real(place, name, **options)

    with site.named(site.source).directory as directory:
        assert not has_layouts(directory.descriptor)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getxattr", getxattr)
        site.copy()
    assert asked.count("lustre.lov") <= 2 * 5  # the two ends, once a walk
