"""A real pool of HTCondor, for the tests in this folder; ``nox -s pool`` builds it and runs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.condor import Pool
from support.dags import Dags
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """The pool, started once: ``POOL_PREFIX`` names the folder that it was built in."""
    built = os.environ.get("POOL_PREFIX")
    if not built:
        pytest.skip("needs a pool that was built: 'nox -s pool' does that")
    if os.geteuid() == 0:
        pytest.skip("root may not own jobs: 'nox -s pool' runs these tests as another account")
    with Pool(Path(built), tmp_path_factory.mktemp("pool")) as running:
        yield running


@pytest.fixture
def dags(pool: Pool, tmp_path: Path) -> Dags:
    """Runs DAGs in the test's own folder, beside a link to the program."""
    folder = tmp_path / "dag"
    folder.mkdir()
    (folder / "conveyor").symlink_to(Path(sys.executable).with_name("conveyor"))
    return Dags(pool, folder)


@pytest.fixture
def large(tmp_path: Path, memory_folder: Path) -> Workspace:
    """A request whose QA area is on another file system, and so large that its copy takes a while."""
    workspace = make_workspace(tmp_path / "workspaces", qa_root=memory_folder)
    for number in range(40):
        (workspace.spool / "working" / f"{number}.bin").write_bytes(os.urandom(8_000_000))
    return workspace
