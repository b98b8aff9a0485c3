"""An area that is not mounted is noticed, by a marker or by what is missing in it, before anything is conveyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.api.areas import init_areas
from conveyor.documents.codec import load
from conveyor.documents.kept_documents import AreaMarker
from conveyor.engine.outcome import exit_code
from conveyor.errors import ConflictError, QaAreaMissingError
from conveyor.layout import AREA_MARKER
from support.inventory import inventory
from support.workspace import make_workspace

if TYPE_CHECKING:
    from conveyor.engine.outcome import Outcome
    from support.workspace import Workspace

OPERATIONS = [conveyor.deliver, conveyor.retrieve, conveyor.qa_fail]


def unmount(workspace: Workspace, area: str) -> None:
    """Leave in the place of an area what a file system leaves that is not mounted: an empty directory."""
    (workspace.root / area).rename(workspace.root / "elsewhere")
    (workspace.root / area).mkdir()


def mount(workspace: Workspace, area: str) -> None:
    (workspace.root / area).rmdir()
    (workspace.root / "elsewhere").rename(workspace.root / area)


def code_of(outcome: Outcome) -> str | None:
    return outcome.error.code if outcome.error else None


def test_areas_are_marked_once(workspace: Workspace) -> None:
    """The spool area and both QA areas get a marker each; a second time all of them stay as they are."""
    config = conveyor.load_config({"spool_root": workspace.root / "spool"})
    first = init_areas(config=config)
    assert [(one.path.name, one.made) for one in first] == [("spool", True), ("image-qa", True), ("qa2", True)]
    assert len({one.id for one in first}) == 3
    assert load(AreaMarker, (workspace.root / "qa2" / AREA_MARKER).read_bytes())["id"] == first[2].id
    again = init_areas([workspace.root / "qa2"])
    assert [(one.id, one.made) for one in again] == [(first[2].id, False)]


def test_what_cannot_be_marked_is_refused(workspace: Workspace) -> None:
    """An area that is not there is never made, and somebody's file of the marker's name stays."""
    with pytest.raises(QaAreaMissingError):
        init_areas([workspace.root / "qa3"])
    (workspace.root / "qa2" / AREA_MARKER).write_text("mine")
    with pytest.raises(ConflictError):
        init_areas([workspace.root / "qa2"])
    assert (workspace.root / "qa2" / AREA_MARKER).read_text() == "mine"


def test_a_required_marker_that_is_missing_stops_every_conveyance(workspace: Workspace) -> None:
    """Nothing is changed while a QA area is not mounted, out or home, and all goes on when it is."""
    spool_root = workspace.root / "spool"
    config = conveyor.load_config({"spool_root": spool_root, "require_area_marker": True})
    assert code_of(conveyor.deliver(workspace.metadata, config=config)) == "area-not-mounted"
    init_areas(config=config)
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    unmount(workspace, "qa2")
    before = inventory(workspace.root)
    for operation in OPERATIONS:
        outcome = operation(workspace.metadata, config=config)
        assert code_of(outcome) == "area-not-mounted"
        assert (outcome.error and (outcome.error.exit_code, outcome.error.retryable)) == (74, True)
    found = conveyor.status(config=config)
    assert (exit_code(found), str(workspace.root / "qa2") in [one.metadata for one in found]) == (74, True)
    assert inventory(workspace.root) == before
    mount(workspace, "qa2")
    conveyor.retrieve(workspace.metadata, config=config).raise_for_error()


def test_a_spool_area_without_its_marker_stops_a_delivery(workspace: Workspace) -> None:
    """It is asked too, since metadata may lie anywhere."""
    config = conveyor.load_config({"spool_root": workspace.root / "spool", "require_area_marker": True})
    init_areas(config=config)
    (workspace.root / "spool" / AREA_MARKER).unlink()
    assert code_of(conveyor.deliver(workspace.metadata, config=config)) == "area-not-mounted"


def test_an_area_that_has_nothing_of_the_requests_in_it_is_not_delivered_to(workspace: Workspace) -> None:
    """Without markers a link that leads into an empty area is enough; a dry run says so too."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    other = make_workspace(workspace.root, request="zother")
    unmount(workspace, "qa2")
    for dry_run in (True, False):
        outcome = conveyor.deliver(other.metadata, dry_run=dry_run)
        assert code_of(outcome) == "area-not-mounted"
        assert outcome.error is not None
        assert workspace.request in outcome.error.message
    assert list((workspace.root / "qa2").iterdir()) == []
    mount(workspace, "qa2")
    conveyor.deliver(other.metadata).raise_for_error()


@pytest.mark.parametrize("kept", ["another request's", "renamed", "marked"])
def test_an_area_that_is_there_is_delivered_to(workspace: Workspace, kept: str) -> None:
    """A QA folder that was lost or renamed does not stop the next delivery, if the area has anything of Conveyor's."""
    other = make_workspace(workspace.root, request="zother")
    conveyor.deliver(workspace.metadata).raise_for_error()
    if kept == "another request's":
        make_workspace(workspace.root, request="third")
        conveyor.deliver(workspace.root / "spool" / "third" / "metadata.json").raise_for_error()
    workspace.qa.rename(workspace.qa.with_name("done") if kept == "renamed" else workspace.root / "lost")
    if kept == "marked":
        init_areas([workspace.root / "qa2"])
    conveyor.deliver(other.metadata).raise_for_error()


def test_the_first_delivery_needs_nothing_in_the_area(workspace: Workspace) -> None:
    """Requests at home, or out in another area, say nothing of this one."""
    imaging = make_workspace(workspace.root, request="image", qa_area="image-qa")
    conveyor.deliver(imaging.metadata).raise_for_error()
    conveyor.deliver(workspace.metadata).raise_for_error()


def test_a_delivery_that_has_just_begun_says_nothing_of_the_area(workspace: Workspace) -> None:
    """A request that names its QA folder, and has no link to it yet, stops nobody who delivers at the same time."""
    other = make_workspace(workspace.root, request="zother")
    (other.spool / ".conveyor").mkdir()
    (other.spool / ".conveyor" / "peer").write_text(f"../../../qa2/{other.request}\n")
    assert conveyor.deliver(workspace.metadata).state == "in-qa"
