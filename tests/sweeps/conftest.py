"""What the sweeps share: the real program, two file systems, and a table of what was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import strace
from support.program import Program
from support.stage import WAYS, Stage
from support.sweep import Sweep, cannot, everything, seed
from support.volumes import Volumes, volumes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COLUMNS = "{:<90} {:>8} {:>8} {:>8}"


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


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The real program."""
    with Program(tmp_path_factory.mktemp("program")) as ready:
        yield ready


@pytest.fixture(params=WAYS)
def stage(request: pytest.FixtureRequest, program: Program, near: Path, tracing: None) -> Stage:
    """A stage for one way of carrying after the other."""
    far = request.getfixturevalue("far") if request.param.startswith("copy") else near
    return Stage(program, near, far, request.param)


@pytest.fixture
def mounted() -> Iterator[Volumes]:
    """Where file systems of the test's own come from."""
    with volumes() as ready:
        yield ready


@pytest.fixture
def sweep(request: pytest.FixtureRequest) -> Iterator[Sweep]:
    """What is counted in this test, for the table."""
    counts = Sweep()
    yield counts
    request.node.user_properties.append(("sweep", (counts.planned, counts.tried, counts.hit)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table: how many points each sweep has, how many were tried, and how many of those were hit."""
    rows = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, counts in getattr(report, "user_properties", ()):
                if name == "sweep":
                    rows[report.nodeid.rpartition("/")[2]] = counts
    if not rows:
        return
    which = "all points" if everything() else f"a sample of the points, repeated with SWEEP_SEED={seed()}"
    terminalreporter.section(f"sweeps: {which}")
    terminalreporter.write_line(_COLUMNS.format("", "planned", "tried", "hit"))
    for name, counts in sorted(rows.items()):
        terminalreporter.write_line(_COLUMNS.format(name, *counts))
    terminalreporter.write_line(_COLUMNS.format("together", *map(sum, zip(*rows.values(), strict=True))))
