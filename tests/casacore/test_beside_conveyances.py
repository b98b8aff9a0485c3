"""Readers and writers of the field's own software, by absolute spool paths, while a request goes out and home."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conveyor import deliver, load_config, retrieve
from conveyor.settings.model import Settings
from conveyor.settings.sources import Config
from support import beside
from support.beside import VALUE
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor import Outcome

tables: Any = pytest.importorskip("casacore.tables", reason="python-casacore is not installed: nox -s casacore has it")

_CYCLES = int(os.environ.get("CASA_CYCLES", "1"))
_PACKAGES = {"casatools": "casatools", "zarr": "zarr", "astropy": "astropy"}
_DISTRIBUTIONS = ("casatools", "python-casacore", "zarr", "astropy")
_HEADER = """
Measured on {today}, with Python {python}, {versions}: {cycles} times out and home each.

| Reads or writes | How | Way | Looks or writes | Misses | Conveyances | Refused |
| --- | --- | --- | --- | --- | --- | --- |"""
_ROWS: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def _report() -> Iterator[None]:
    """What each has seen, printed at the end, for ``-s``: a table in Markdown."""
    yield
    versions = [f"{name} {found}" for name in _DISTRIBUTIONS if (found := _version(name))]
    header = _HEADER.format(
        today=datetime.now(UTC).date(),
        python=platform.python_version(),
        versions=", ".join(versions),
        cycles=_CYCLES,
    )
    print("\n".join([header, *sorted(_ROWS)]))  # noqa: T201 - what the session is for


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _row(kind: str, how: str, way: str, counts: Counter[str], outcomes: Counter[str]) -> str:
    """What one program saw, and what became of the conveyances beside it."""
    good = counts.pop("data", 0) + counts.pop("written", 0)
    done = outcomes.pop("done", 0)
    cells = (kind, how, way, f"{good:,}", _told(counts), str(done), _told(outcomes))
    return f"| {' | '.join(cells)} |"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items()) or "0"


def _configure_casa() -> None:
    """CASA's tools look for the observatories' data in the home directory, and would load them."""
    data: Any = importlib.import_module("casadata")
    (Path.home() / ".casa").mkdir(exist_ok=True)
    (Path.home() / ".casa" / "config.py").write_text(
        f"measurespath = {data.datapath!r}\ndatapath = [measurespath]\n"
        "measures_auto_update = data_auto_update = False\nnogui = True\n"
    )


def make(kind: str, workspace: Workspace) -> Path:
    """A data set of a kind in a request, whose values are all the same; its path."""
    working = workspace.spool / "working"
    match kind:
        case "zarr":
            zarr: Any = importlib.import_module("zarr")
            group = zarr.create_group(working / "x.zarr")
            group.create_array("TIME", shape=(500,), chunks=(50,), dtype="f8", fill_value=0.0)[:] = VALUE
            return working / "x.zarr"
        case "astropy":
            fits: Any = importlib.import_module("astropy.io.fits")
            numpy: Any = importlib.import_module("numpy")
            fits.PrimaryHDU(numpy.full(500, VALUE)).writeto(working / "x.fits")
            return working / "x.fits"
    path = workspace.spool / "rawdata" / "x.ms"
    with tables.default_ms(str(path)) as main, tables.table(main.getkeyword("ANTENNA"), readonly=False) as antennas:
        for table, column in ((main, "TIME"), (antennas, "DISH_DIAMETER")):
            table.addrows(27)
            table.putcol(column, [VALUE] * 27)
    if kind == "subtable":
        return path / "ANTENNA"
    if kind == "selection":
        with tables.table(str(path), ack=False) as main:
            main.query("TIME > 0", name=str(working / "selected.ms")).close()
        return working / "selected.ms"
    return path


@pytest.fixture(autouse=True)
def _home(own_folder: Path) -> None:
    """Where astropy looks for its settings, and warns if there is no such directory."""
    Path(os.environ["XDG_CONFIG_HOME"]).mkdir(parents=True, exist_ok=True)


def by(way: str, request: pytest.FixtureRequest, wait: int = 0) -> Config:
    """Settings by which directories are renamed to the QA area, or copied there."""
    if way == "rename":
        return load_config()
    memory: Path = request.getfixturevalue("memory_folder")
    (memory / "qa2").mkdir()
    return Config(Settings(qa_root=memory, wait=wait), {}, None)


def prepare(kind: str) -> None:
    """Skip what is not installed, and let the rest find what it looks for."""
    if importlib.util.find_spec(_PACKAGES.get(kind, "casacore")) is None:
        pytest.skip(f"{kind} is not installed: nox -s casa has it")
    if kind == "casatools":
        _configure_casa()


def rounds_of(folder: Path) -> int:
    """How often the program has looked."""
    counter = folder / "rounds"
    return counter.stat().st_size if counter.exists() else 0


def _wait_for_rounds(folder: Path, process: subprocess.Popen[str]) -> None:
    goal, limit = rounds_of(folder) + 3, time.monotonic() + 300
    while rounds_of(folder) < goal and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.001)
    assert rounds_of(folder) >= goal, "the program does not go on"


def _convey(act: Callable[..., Outcome], workspace: Workspace, config: Config, *, may_be_refused: bool) -> str:
    """The code of a refusal that asks for another try, which what is written to gets by copy; or ``done``."""
    error = act(workspace.metadata, config=config).error
    if error is None:
        return "done"
    if may_be_refused and error.exit_code == 75:
        return error.code
    raise error


def run_beside(kind: str, how: str, path: Path, workspace: Workspace, config: Config, folder: Path) -> dict[str, Any]:
    """What a program saw that reads or writes while a request goes out and home, several times; it is home at the end."""
    folder /= "beside"
    command = [sys.executable, beside.__file__, kind, how, str(path), str(folder)]
    by_copy = config.values.qa_root is not None
    outcomes: Counter[str] = Counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder.parent) as process:
        try:
            for act in (deliver, retrieve) * _CYCLES:
                _wait_for_rounds(folder, process)
                outcomes[_convey(act, workspace, config, may_be_refused=by_copy and how == "write")] += 1
            _wait_for_rounds(folder, process)
            (folder / "stop").touch()
            output, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    retrieve(workspace.metadata, config=config).raise_for_error()
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    _ROWS.append(_row(kind, how, "copy" if by_copy else "rename", Counter(answer["counts"]), outcomes))
    return answer


@pytest.mark.parametrize("way", ["rename", "copy"])
@pytest.mark.parametrize("how", ["keep", "open"])
@pytest.mark.parametrize("kind", ["casacore", "subtable", "selection", "casatools", "zarr", "astropy"])
def test_readers_by_spool_paths_see_the_data(
    kind: str, how: str, way: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """No look misses or finds other values, by what was open before or is opened meanwhile."""
    prepare(kind)
    workspace = make_workspace(tmp_path / "workspaces")
    config = by(way, request, wait=120)  # a table that is just being opened counts as in use
    answer = run_beside(kind, how, make(kind, workspace), workspace, config, tmp_path)
    assert [*answer["counts"]] == ["data"]


# Not CASA's table tool by copy: it ends its process by std::terminate if a table is replaced just while it writes to it.
# What else leans on casacore may do so some day, and is tried by copy in the whole form only.
_COPIED = ("casacore", "subtable", "selection", "zarr", "astropy") if _CYCLES > 1 else ("zarr", "astropy")
_WRITERS = [
    *((kind, "rename") for kind in ("casacore", "subtable", "selection", "casatools", "zarr", "astropy")),
    *((kind, "copy") for kind in _COPIED),
]


@pytest.mark.parametrize(("kind", "way"), _WRITERS)
def test_what_writers_by_spool_paths_wrote_is_there(
    kind: str, way: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A write that was taken is not lost; by rename each is taken, by copy the conveyance may be refused meanwhile."""
    prepare(kind)
    workspace = make_workspace(tmp_path / "workspaces")
    path = make(kind, workspace)
    answer = run_beside(kind, "write", path, workspace, by(way, request), tmp_path)
    assert way == "copy" or [*answer["counts"]] == ["written"]
    with beside.KINDS["casacore" if kind == "casatools" else kind](str(path)) as column:
        assert set(column()) == {answer["last"]}
