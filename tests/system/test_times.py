"""Modification times on real file systems that treat them in their own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import conveyor
from conveyor.settings.model import Settings
from conveyor.settings.sources import Config
from support.inventory import inventory
from support.volumes import volumes
from support.workspace import DIRECTORIES, make_workspace

if TYPE_CHECKING:
    from pathlib import Path


def times(folder: Path) -> dict[bytes, int]:
    return {path: item.modified for name in DIRECTORIES for path, item in inventory(folder, inside=name).items()}


def test_a_qa_area_with_coarse_times_gets_a_copy_that_counts_as_equal(tmp_path: Path) -> None:
    """A file system that keeps times in seconds, as Lustre does, is copied to, and its times are cut off to that."""
    with volumes() as mounted:
        point = tmp_path / "coarse"
        mounted.image(point, tmp_path / "image", "ext4", mib=8, options=("-I", "128"))
        (point / "qa2").mkdir()
        workspace = make_workspace(tmp_path / "workspaces", qa_root=point)
        before = times(workspace.spool)
        settings = Config(Settings(qa_root=point), {}, None)
        conveyor.deliver(workspace.metadata, config=settings).raise_for_error()
        assert times(workspace.qa) == {path: moment // 10**9 * 10**9 for path, moment in before.items()}
        conveyor.retrieve(workspace.metadata, config=settings).raise_for_error()
        assert times(workspace.spool).keys() == before.keys()


def test_xfs_keeps_the_times_of_what_is_exchanged(tmp_path: Path) -> None:
    """On xfs, which sets the time of a directory when it is exchanged, every time is what it was, out and home."""
    with volumes() as mounted:
        mounted.image(tmp_path / "xfs", tmp_path / "image", "xfs", mib=300)
        workspace = make_workspace(tmp_path / "xfs" / "workspaces")
        before = times(workspace.spool)
        done = conveyor.deliver(workspace.metadata).raise_for_error()
        assert "exchange" in {step.detail for step in done.steps}
        assert times(workspace.qa) == before
        conveyor.retrieve(workspace.metadata).raise_for_error()
        assert times(workspace.spool) == before
