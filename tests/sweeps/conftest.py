"""What the sweeps of the real program share: the program, and two file systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import strace
from support.program import Program
from support.stage import CLONE, RETAG, WAYS, Stage
from support.sweep import cannot
from support.volumes import apart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.volumes import Volumes


@pytest.fixture(scope="session")
def tracing() -> None:
    """strace, without which there is nothing to sweep with."""
    cannot(strace.why_not())


@pytest.fixture
def near(quick_folder: Path) -> Path:
    """Where the workspace is."""
    return quick_folder


@pytest.fixture
def far(near: Path, tmp_path: Path) -> Path:
    """A folder on another file system than ``near``."""
    if near.stat().st_dev == tmp_path.stat().st_dev:
        cannot("there is no second file system: the tests' own folder and /dev/shm have to be on two")
    return tmp_path


@pytest.fixture
def two_projects(mounted: Volumes, tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of one xfs, of which one hands on a project ID."""
    return apart(mounted.image(tmp_path / "xfs", tmp_path / "image", "xfs", mib=320).point, RETAG)


@pytest.fixture
def two_mounts(mounted: Volumes, tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of one xfs, whose files can share blocks, by two mounts of it."""
    root = mounted.image(tmp_path / "xfs", tmp_path / "image", "xfs", mib=320).point
    near, real, far = root / "near", root / "far", tmp_path / "far"
    for folder in (near, real):
        folder.mkdir()
    mounted.bind(far, real)
    return near, far


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The real program."""
    with Program(tmp_path_factory.mktemp("program")) as ready:
        yield ready


@pytest.fixture(params=(*WAYS, RETAG, CLONE))
def stage(request: pytest.FixtureRequest, program: Program, near: Path, tracing: None) -> Stage:
    """A stage for one way of carrying after the other."""
    if request.param in (RETAG, CLONE):
        near, far = request.getfixturevalue("two_projects" if request.param == RETAG else "two_mounts")
        return Stage(program, near, far, request.param)
    far = request.getfixturevalue("far") if request.param.startswith("copy") else near
    return Stage(program, near, far, request.param)
