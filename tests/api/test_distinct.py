"""A request that is named more than once in one command is acted on once; outcomes are told as they come."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor import Operation, Outcome, convey_all
from conveyor.api.distinct import distinct
from support.workspace import make_workspace

if TYPE_CHECKING:
    from support.workspace import Workspace


def _names(workspace: Workspace, tmp_path: Path) -> dict[str, Path]:
    """Further names of a request's metadata file."""
    copy = Path(shutil.copy(workspace.metadata, tmp_path / "copy.json"))
    (tmp_path / "link.json").symlink_to(workspace.metadata)
    (tmp_path / "alias").symlink_to(workspace.root / "spool")
    aliased = tmp_path / "aliased.json"
    aliased.write_text(workspace.metadata.read_text().replace(str(workspace.root / "spool"), str(tmp_path / "alias")))
    return {
        "the same": workspace.metadata,
        "dots": workspace.spool / ".." / workspace.request / "metadata.json",
        "relative": Path(os.path.relpath(workspace.metadata)),
        "copy": copy,
        "link": tmp_path / "link.json",
        "through a link": tmp_path / "alias" / workspace.request / "metadata.json",
        "another spelling of the directory": aliased,
    }


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_request_that_is_named_twice_is_conveyed_once(workspace: Workspace, tmp_path: Path, jobs: int) -> None:
    """Whatever names it, one request has one outcome, without an error, and a warning that says who else named it."""
    for name, path in _names(workspace, tmp_path).items():
        for operation in (Operation.DELIVER, Operation.RETRIEVE):
            told: list[Outcome] = []
            outcomes = convey_all(operation, [workspace.metadata, path], jobs=jobs, on_outcome=told.append)
            assert outcomes == told
            [outcome] = outcomes
            assert outcome.error is None, name
            assert outcome.changed
            assert f"named 2 times, acted on once: also by {path}" in outcome.warnings


def test_what_is_refused_takes_no_other_with_it(workspace: Workspace) -> None:
    """A file in a copied directory, one that is no metadata and one that is not there stay outcomes of their own."""
    shutil.copytree(workspace.spool, workspace.spool.with_name("copy"))
    paths = [
        workspace.spool.with_name("copy") / "metadata.json",
        workspace.spool / "PPR.xml",
        Path("none"),
        Path("none"),
    ]
    outcomes = convey_all(Operation.DELIVER, [*paths, workspace.metadata], jobs=2)
    codes = [one.error and one.error.code for one in outcomes]
    assert codes == ["metadata-misplaced", "metadata-invalid", "metadata-missing", None]


def test_different_requests_stay_apart(tmp_path: Path) -> None:
    """Two requests of one name in two workspaces, and two of one workspace, are not taken for one."""
    requests = [
        make_workspace(tmp_path / "a"),
        make_workspace(tmp_path / "b"),
        make_workspace(tmp_path / "b", request="other"),
    ]
    paths = [one.metadata for one in requests]
    assert distinct(paths) == dict.fromkeys(paths, ())


def test_a_single_path_is_no_list_of_letters(workspace: Workspace) -> None:
    """Where several metadata files may be given, one path, in a string too, is that one."""
    for one in (workspace.metadata, str(workspace.metadata)):
        [seen] = conveyor.status(one)
        assert seen.request == workspace.request
        assert any(workspace.request in finding.subject for finding in conveyor.doctor(one, probe=False).findings)
        [planned] = convey_all(Operation.DELIVER, one, dry_run=True)
        assert planned.request == workspace.request


def test_outcomes_come_as_requests_end(tmp_path: Path) -> None:
    """on_outcome has the first request before the second is begun, and each of several processes' exactly once."""
    requests = [make_workspace(tmp_path / "ws", request=f"request{number}") for number in range(4)]
    paths = [one.metadata for one in requests]
    delivered: list[list[bool]] = []
    convey_all(
        Operation.DELIVER,
        paths,
        on_outcome=lambda _: delivered.append([(one.qa / "READY").exists() for one in requests]),
    )
    assert delivered == [[number <= last for number in range(4)] for last in range(4)]
    told: list[Outcome] = []
    outcomes = convey_all(Operation.RETRIEVE, paths, jobs=3, on_outcome=told.append)
    assert sorted(str(one.request) for one in told) == [one.request for one in outcomes]


def test_the_document_of_outcomes_is_that_of_the_command_line(workspace: Workspace) -> None:
    """A service gets the document that --json prints, as text."""
    outcomes = convey_all(Operation.DELIVER, [workspace.metadata])
    document = json.loads(conveyor.to_json("deliver", outcomes))
    assert (document["schema"], document["command"], document["exit_code"]) == ("conveyor/1", "deliver", 0)
    assert [one["state"] for one in document["requests"]] == ["in-qa"]
