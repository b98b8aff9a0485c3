"""Fixtures that every test has: a folder of its own, and no way out of it."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import coverage
import hypothesis
import pytest

from support.guard import Guard
from support.sweep import Sweep, everything, part, seed
from support.volumes import Volumes, volumes
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

# All processes of a session have its sample, over the turn of the hour too.
os.environ.setdefault("SWEEP_SEED", str(seed()))

# Random tests take as many examples as the profile says; 'nox -s fuzz' takes the second.
for _profile, _examples in (("default", 100), ("fuzz", 5000)):
    hypothesis.settings.register_profile(
        _profile, max_examples=_examples, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )

# A forked child writes what it has run, and all that its parent had by then: which is little, if it was just written.
if _measured := coverage.Coverage.current():
    os.register_at_fork(before=_measured.save)

_GUARD = Guard()
_TOP = tempfile.gettempdir()
_MEMORY = "/dev/shm"
_TESTS = Path(__file__).parent
#: Of how many tests one is run, by the folder that they are in; and below how many of them all are.
_SAMPLED, _WHOLE = {"sweeps": 4, "pool": 3, "filesystems": 2, "released": 3}, 12
_COLUMNS = "{:<90} {:>8} {:>8} {:>8}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a sample of the folders whose tests take long, which moves on with every hour, unless all are asked for."""
    if everything():
        return
    for folder, share in _SAMPLED.items():
        found = sorted((item for item in items if _TESTS / folder in item.path.parents), key=lambda item: item.nodeid)
        if len(found) < _WHOLE:  # somebody named them
            continue
        left_out = set(found) - set(found[seed() % share :: share])
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(autouse=True)
def own_folder(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> Iterator[Path]:
    """Home, configuration and working directory are the test's own; the environment has nothing of ours."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("CONVEYOR_", "CAPO_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(home / "xdg"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    before = _GUARD.allowed
    own = [".hypothesis", ".coverage"]  # of what runs the tests
    folders = [tmp_path_factory.getbasetemp().resolve(), *(pytestconfig.rootpath / name for name in own)]
    _GUARD.allowed = tuple(map(str, folders))
    yield tmp_path
    _GUARD.allowed = before


@pytest.fixture
def mounted() -> Iterator[Volumes]:
    """Where file systems of the test's own come from."""
    with volumes() as ready:
        yield ready


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A calibration request in a workspace of the usual layout."""
    return make_workspace(tmp_path / "workspaces")


@pytest.fixture
def public_workspace() -> Iterator[Workspace]:
    """The same where any account may go: pytest's own folders are closed to all but their owner."""
    with _folder_in(_TOP) as folder:
        folder.chmod(0o755)
        yield make_workspace(folder / "workspaces")


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder on tmpfs, which is another file system than that of the test's own folder."""
    if not os.path.ismount(_MEMORY) or not os.access(_MEMORY, os.W_OK):
        pytest.skip(f"there is no tmpfs at {_MEMORY} that this account may write in")
    with _folder_in(_MEMORY) as folder:
        yield folder


@pytest.fixture
def quick_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a sweep has its thousands of workspaces: in memory where that can be, else in the test's own folder."""
    try:
        memory: Path = request.getfixturevalue("memory_folder")
    except pytest.skip.Exception:
        return tmp_path
    return memory


@contextmanager
def _folder_in(top: str) -> Iterator[Path]:
    """One more folder that this test may change, elsewhere than its own."""
    before = _GUARD.allowed
    _GUARD.allowed = (*before, top)
    with tempfile.TemporaryDirectory(dir=top) as name:
        folder = Path(name).resolve()
        _GUARD.allowed = (*before, str(folder))
        yield folder
    _GUARD.allowed = before


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
    which = f"a sample of the points, repeated with SWEEP_SEED={seed()}"
    if asked := part():
        which = "part {} of {} of all points".format(*asked)
    terminalreporter.section(f"sweeps: {which}")
    terminalreporter.write_line(_COLUMNS.format("", "planned", "tried", "hit"))
    for name, counts in sorted(rows.items()):
        terminalreporter.write_line(_COLUMNS.format(name, *counts))
    terminalreporter.write_line(_COLUMNS.format("together", *map(sum, zip(*rows.values(), strict=True))))
