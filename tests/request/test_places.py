"""Places: what follows from the layout, and what has to be set where the layout is another."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from conveyor import ConveyorError, read_metadata
from conveyor.engine.endpoints import Endpoints
from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import locate
from conveyor.settings.model import Settings
from support.workspace import make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Workspace


def test_everything_follows_from_the_usual_layout(workspace: Workspace) -> None:
    """From .../workspaces/spool/<request> follow the QA folder and the weblog cache, and links are relative."""
    places = locate(read_metadata(workspace.metadata), Settings(), "image-qa")
    assert places.spool == workspace.spool
    assert places.qa == workspace.root / "image-qa" / workspace.request
    assert places.weblog == workspace.weblog
    assert places.relative_links


def test_everything_can_be_set(workspace: Workspace, tmp_path: Path) -> None:
    """Settings win over the layout; links between two workspaces are absolute, unless they are set to be relative."""
    (tmp_path / "qa" / "qa2").mkdir(parents=True)
    settings = Settings(qa_root=tmp_path / "qa", weblog_cache=tmp_path / "web")
    places = locate(read_metadata(workspace.metadata), settings, "qa2")
    assert (places.qa_area, places.weblog_cache) == (tmp_path / "qa/qa2", tmp_path / "web")
    assert not places.relative_links
    relative = settings.model_copy(update={"links": "relative"})
    assert locate(read_metadata(workspace.metadata), relative, "qa2").relative_links


def test_an_unusual_layout_needs_a_setting(tmp_path: Path) -> None:
    """A request that is not in a folder named spool is refused with the names of the settings that would help."""
    workspace = make_workspace(tmp_path / "workspaces")
    workspace.spool.parent.rename(tmp_path / "workspaces" / "processing")
    metadata = tmp_path / "workspaces" / "processing" / workspace.request / "metadata.json"
    metadata.write_text(metadata.read_text().replace("/spool/", "/processing/"))
    with pytest.raises(ConveyorError) as caught:
        locate(read_metadata(metadata), Settings(), "qa2")
    assert caught.value.exit_code == 78
    assert "CONVEYOR_QA_ROOT" in caught.value.hint
    places = locate(read_metadata(metadata), Settings(spool_root=tmp_path / "workspaces" / "processing"), "qa2")
    assert places.qa_area == tmp_path / "workspaces" / "qa2"


def test_the_spool_root_is_compared_by_real_paths(workspace: Workspace, tmp_path: Path) -> None:
    """A request is inside the spool root by what the paths are, not by how they are spelt."""
    (tmp_path / "alias").symlink_to(workspace.root)
    metadata = read_metadata(workspace.metadata)
    assert locate(metadata, Settings(spool_root=tmp_path / "alias" / "spool"), "qa2").spool == workspace.spool
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "inside").symlink_to(workspace.root / "spool")
    workspace.write_metadata(destinationDirectory=str(tmp_path / "spool" / "inside" / workspace.request))
    with pytest.raises(ConveyorError, match="is outside the spool root"):
        locate(read_metadata(workspace.metadata), Settings(spool_root=tmp_path / "spool"), "qa2")
    with pytest.raises(ConveyorError, match="is outside the spool root"):  # a longer name is no deeper folder
        locate(metadata, Settings(spool_root=workspace.root / "spoo"), "qa2")


def test_a_request_stands_in_the_spool_root_itself(workspace: Workspace) -> None:
    """A directory deeper in the spool root is part of a request, and no request: two would share their names."""
    inner = make_workspace(workspace.spool / "working", request="inner")
    inner.spool.rename(workspace.spool / "working" / "inner")
    workspace.write_metadata(destinationDirectory=str(workspace.spool / "working" / "inner"))
    with pytest.raises(ConveyorError, match="is no request of the spool root") as caught:
        locate(read_metadata(workspace.metadata), Settings(spool_root=workspace.spool.parent), "qa2")
    assert caught.value.code == "metadata-invalid"


@pytest.mark.parametrize(
    ("changes", "area", "code"),
    [
        ({"qa_root": "spool"}, "tmpiox5trbp", "metadata-invalid"),
        ({"qa_root": "spool/tmpiox5trbp"}, "working", "metadata-invalid"),
        ({}, "spool", "metadata-invalid"),
        ({"weblog_cache": "spool"}, "qa2", "metadata-invalid"),
        ({"weblog_cache": "spool/tmpiox5trbp/cache"}, "qa2", "metadata-invalid"),
        ({"weblog_cache": "alias/tmpiox5trbp"}, "qa2", "metadata-invalid"),
        ({"weblog_cache": "qa2"}, "qa2", "configuration"),
        ({"weblog_cache": "qa2/weblogs"}, "qa2", "configuration"),
        ({"weblog_cache": "loop/weblogs", "qa_root": "loop"}, "weblogs", "configuration"),
    ],
)
def test_places_that_lie_in_one_another_are_refused(
    workspace: Workspace, changes: dict[str, str], area: str, code: str
) -> None:
    """Neither the request, the QA area nor the weblog cache may be, contain or lie in another of the three."""
    (workspace.root / "alias").symlink_to("spool")
    (workspace.root / "loop").symlink_to("loop")
    settings = Settings.model_validate({name: workspace.root / path for name, path in changes.items()})
    with pytest.raises(ConveyorError, match="are in one another") as caught:
        locate(read_metadata(workspace.metadata), settings, area)
    assert caught.value.code == code


def test_a_parent_swapped_for_a_link_does_not_lead_out_of_the_spool_root(workspace: Workspace, tmp_path: Path) -> None:
    """What is opened is the request in the spool root, whatever the folders on the metadata's path became meanwhile."""
    victim = make_workspace(tmp_path / "victim")
    (tmp_path / "way").symlink_to(workspace.root)
    workspace.write_metadata(destinationDirectory=str(tmp_path / "way" / "spool" / workspace.request))
    places = locate(read_metadata(workspace.metadata), Settings(spool_root=workspace.root / "spool"), "qa2")
    (tmp_path / "way").unlink()
    (tmp_path / "way").symlink_to(victim.root)
    with Endpoints(FileSystem(), places) as endpoints:
        assert os.fstat(endpoints.spool.root.descriptor).st_ino == workspace.spool.stat().st_ino
    workspace.spool.rename(workspace.spool.with_name("aside"))
    workspace.spool.symlink_to(victim.spool)
    with pytest.raises(OSError, match="open: ") as caught, Endpoints(FileSystem(), places):
        pass
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
