"""The capability of a request, and the request of a metadata file: what is named, what is known, what does not fit."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.errors import ConveyorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor import Config
    from support.workspace import Workspace

TOML = """\
[capabilities.sameArea]
workflows = ["same"]
qa_area = "qa2"
directories = ["products"]

[capabilities.images]
workflows = ["image_*"]
qa_area = "image-qa"
directories = ["products"]
"""
# The workflow of the metadata, the capability that a delivery names, and what it is delivered with, or refused by.
FITS: list[tuple[str | None, str | None, str]] = [
    ("std_calibration", None, "calibration"),
    ("std_calibration", "calibration", "calibration"),
    ("std_calibration", "sameArea", "sameArea"),
    ("std_calibration", "imaging", "capability-mismatch"),
    ("std_calibration", "images", "capability-mismatch"),
    ("std_cms_imaging", "calibration", "capability-mismatch"),
    ("std_cms_imaging", "images", "images"),
    ("image_of_mine", "calibration", "capability-mismatch"),
    ("mystery", None, "capability-unknown"),
    ("mystery", "calibration", "calibration"),
    ("mystery", "imaging", "imaging"),
    (None, None, "workflow-missing"),
    (None, "images", "images"),
]


@pytest.fixture
def config(workspace: Workspace) -> Config:
    """Two capabilities more than those that are built in."""
    file = workspace.root / "conveyor.toml"
    file.write_text(TOML)
    return conveyor.load_config(config=file)


@pytest.mark.parametrize(("workflow", "named", "expected"), FITS)
def test_a_delivery_goes_to_the_area_of_its_workflow(
    workspace: Workspace, config: Config, workflow: str | None, named: str | None, expected: str
) -> None:
    """A capability is refused if another, of another area, claims the workflow; else the one that is named is taken."""
    workspace.write_metadata(workflowName=workflow)
    outcome = conveyor.deliver(workspace.metadata, capability=named, config=config, dry_run=True)
    assert (outcome.error.code if outcome.error else outcome.capability) == expected
    if outcome.error is not None and outcome.error.code == "capability-mismatch":
        assert str(named) in outcome.error.message
        assert outcome.error.retryable is False


@pytest.mark.parametrize("named", ["calibration", "imaging", "sameArea", "images"])
@pytest.mark.parametrize("ready", [True, False])
def test_the_way_home_knows_the_capability(workspace: Workspace, config: Config, named: str, ready: bool) -> None:
    """What a request was delivered with brings it home, unnamed, though READY is withdrawn already; another is refused."""
    workspace.write_metadata(workflowName="mystery")
    delivered = conveyor.deliver(workspace.metadata, capability=named, config=config).raise_for_error()
    if not ready:
        (workspace.root / "image-qa" / workspace.request / "READY").unlink(missing_ok=True)
        (workspace.root / "qa2" / workspace.request / "READY").unlink(missing_ok=True)
    other = "imaging" if named != "imaging" else "calibration"
    for act in (conveyor.retrieve, conveyor.qa_fail, conveyor.deliver):
        error = act(workspace.metadata, capability=other, config=config).error
        assert error is not None
        assert error.code == "capability-mismatch"
        assert repr(named) in error.message
        assert repr(other) in error.message
    assert conveyor.verify(workspace.metadata, config=config).capability == named
    assert conveyor.status([workspace.metadata], config=config)[0].capability == named
    home = conveyor.qa_fail(workspace.metadata, config=config).raise_for_error()
    assert (home.capability, home.state, delivered.state) == (named, "in-spool", "in-qa")
    unclaimed = conveyor.deliver(workspace.metadata, config=config).error
    assert unclaimed is not None
    assert unclaimed.code == "capability-unknown"


def test_a_capability_that_has_another_name_now_does_not_keep_a_request(workspace: Workspace, config: Config) -> None:
    """If nothing has the name that the request was delivered with, the one that is named, or claims, brings it home."""
    conveyor.deliver(workspace.metadata, capability="sameArea", config=config).raise_for_error()
    (workspace.root / "conveyor.toml").write_text(TOML.replace("sameArea", "renamed"))
    later = conveyor.load_config(config=workspace.root / "conveyor.toml")
    assert conveyor.retrieve(workspace.metadata, capability="renamed", config=later).raise_for_error().changed


def _copied(workspace: Workspace) -> Path:
    shutil.copytree(workspace.spool, workspace.spool.with_name("copy"), symlinks=True)
    return workspace.spool.with_name("copy") / "metadata.json"


def _renamed(workspace: Workspace) -> Path:
    return workspace.spool.rename(workspace.spool.with_name("renamed")) / "metadata.json"


def _linked(workspace: Workspace) -> Path:
    _copied(workspace)
    (workspace.root / "link.json").symlink_to(workspace.spool.with_name("copy") / "metadata.json")
    return workspace.root / "link.json"


@pytest.mark.parametrize("misplace", [_copied, _renamed, _linked])
@pytest.mark.parametrize("delivered", [True, False])
def test_the_metadata_of_one_request_do_not_act_on_another(
    workspace: Workspace, misplace: Callable[[Workspace], Path], delivered: bool
) -> None:
    """A copied or renamed directory's metadata file is refused, with both names, and nothing is changed."""
    if delivered:
        conveyor.deliver(workspace.metadata).raise_for_error()
    path = misplace(workspace)
    stands = path.resolve().parent.name
    for act in (conveyor.deliver, conveyor.retrieve, conveyor.qa_fail, conveyor.verify):
        error = act(path).error
        assert error is not None
        assert (error.code, error.exit_code, error.retryable) == ("metadata-misplaced", 65, False)
        assert repr(stands) in error.message
        assert repr(workspace.request) in error.message


def test_metadata_elsewhere_may_name_a_request(workspace: Workspace) -> None:
    """A copy outside of the requests, a link to the request's own file, and a link to its directory are all right."""
    elsewhere = workspace.root / "kept" / "one"
    elsewhere.mkdir(parents=True)
    copy = shutil.copy(workspace.metadata, elsewhere / "metadata.json")
    link = workspace.root / "link.json"
    link.symlink_to(workspace.metadata)
    (workspace.root / "request").symlink_to(workspace.spool)
    inner = shutil.copy(workspace.metadata, workspace.spool / "working" / "metadata.json")
    for path in (copy, link, workspace.root / "request" / "metadata.json", inner):
        assert conveyor.deliver(path, dry_run=True).error is None


def test_a_receipt_of_another_request_says_nothing(workspace: Workspace) -> None:
    """A READY that names another request, or that is none, does not choose the capability."""
    for content in (b"", b"[]", json.dumps({"schema": "conveyor-ready/1", "request": "other"}).encode()):
        workspace.qa.mkdir(exist_ok=True)
        (workspace.qa / "READY").write_bytes(content)
        error = conveyor.retrieve(workspace.metadata).error
        assert not isinstance(error, ConveyorError) or error.code != "capability-mismatch"
        assert conveyor.status([workspace.metadata])[0].capability == "calibration"
