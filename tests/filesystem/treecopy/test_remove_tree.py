"""Removals stay inside, and get by whatever is of the account's own."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.filesystem.treecopy.remove_tree import remove_tree
from support.trees import ALONE, TOGETHER, Pair, make_tree
from support.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.workspace import Workspace


@pytest.fixture(params=[ALONE, TOGETHER], ids=["alone", "together"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A small tree, to be removed by one process or by several."""
    (tmp_path / "one").mkdir()
    pair = Pair(tmp_path / "one", tmp_path / "other", request.param)
    make_tree(pair.source, 2, 3)
    with closing(pair.stack):
        yield pair


def test_a_removal_leaves_what_links_point_at(pair: Pair, tmp_path: Path) -> None:
    """Links inside the tree go, links to directories too; their targets stay."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (pair.source / "to-folder").symlink_to(outside)
    (pair.source / "folder 0" / "to-file").symlink_to(outside / "precious")
    pair.remove(pair.source)
    assert os.listdir(pair.one) == []
    assert (outside / "precious").read_text() == "x"


def test_a_removal_of_nothing_names_it(pair: Pair) -> None:
    """A tree that is not there is an error with its path."""
    with pytest.raises(FileNotFoundError) as caught:
        pair.remove(pair.one / "nothing")
    assert caught.value.filename == str(pair.one / "nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_an_unprivileged_account_removes_its_own_read_only_directories(public_workspace: Workspace) -> None:
    """Read-only files and directories of one's own are no obstacle."""
    locked = public_workspace.spool / "rawdata" / "locked"
    (locked / "deeper").mkdir(parents=True)
    (locked / "deeper" / "file").write_text("x")
    (locked / "deeper" / "file").chmod(0o444)
    (locked / "deeper").chmod(0o555)
    locked.chmod(0o500)
    act = as_nobody(public_workspace.root)

    def go() -> bool:
        with FileSystem().open_root(public_workspace.spool) as directory:
            remove_tree(PathAt(directory, "rawdata"))
        return (public_workspace.spool / "rawdata").exists()

    assert act(go) is False
