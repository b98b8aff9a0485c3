"""A real MeasurementSet, read by casacore through the spool path while the request goes out and home."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conveyor import deliver, load_config, retrieve
from conveyor.settings.model import Settings
from conveyor.settings.sources import Config
from support.workspace import Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

tables: Any = pytest.importorskip("casacore.tables", reason="python-casacore is not installed: nox -s casacore has it")

ROWS = 400


def make_measurement_set(path: Path) -> None:
    """An MS with the subtables of the standard, an antenna table and a main table with values that can be told apart."""
    with tables.default_ms(str(path)) as main:
        main.addrows(ROWS)
        main.putcol("TIME", [4.9e9 + row for row in range(ROWS)])
        main.putcol("SCAN_NUMBER", [row // 7 for row in range(ROWS)])
        main.putcol("ANTENNA2", [row % 27 for row in range(ROWS)])
    with tables.table(str(path / "ANTENNA"), readonly=False, ack=False) as antennas:
        antennas.addrows(27)
        antennas.putcol("NAME", [f"ea{number:02}" for number in range(1, 28)])


def columns(path: Path) -> dict[str, Any]:
    """What a script of an analyst would read."""
    with tables.table(str(path), ack=False) as main, tables.table(str(path / "ANTENNA"), ack=False) as antennas:
        return {
            "time": list(main.getcol("TIME")),
            "scan": list(main.getcol("SCAN_NUMBER")),
            "antenna": list(main.getcol("ANTENNA2")),
            "name": list(antennas.getcol("NAME")),
        }


@pytest.fixture
def observed(tmp_path: Path) -> Workspace:
    """A request with a MeasurementSet in its working directory."""
    workspace = make_workspace(tmp_path / "workspaces")
    make_measurement_set(workspace.spool / "working" / "13B-014.ms")
    return workspace


@pytest.fixture(params=["one file system", "two file systems"])
def settings(request: pytest.FixtureRequest) -> Config:
    """Settings with the QA area beside the spool area, or on a file system of its own, where only a copy gets to.

    A table that is just being opened counts as in use, which a copy waits for then.
    """
    if request.param == "one file system":
        return load_config()
    memory: Path = request.getfixturevalue("memory_folder")
    (memory / "qa2").mkdir()
    return Config(Settings(qa_root=memory, wait=20), {}, None)


def test_a_table_kept_open_across_a_conveyance_can_still_be_read(observed: Workspace, settings: Config) -> None:
    """A table that was opened before the request went out is read after it is out, and after it is home again."""
    path = observed.spool / "working" / "13B-014.ms"
    expected = columns(path)
    with tables.table(str(path), ack=False) as main, tables.table(str(path / "ANTENNA"), ack=False) as antennas:
        assert (
            list(antennas.getcol("NAME")) == expected["name"]
        )  # before, none of its data is open: it could be written to
        for act in (deliver, retrieve):
            assert act(observed.metadata, config=settings).raise_for_error().changed
            assert list(main.getcol("TIME")) == expected["time"]
            assert list(antennas.getcol("NAME")) == expected["name"]
            assert columns(path) == expected


def test_a_change_by_an_analyst_comes_home(observed: Workspace, settings: Config) -> None:
    """What casacore writes through the spool path while the request is in the QA area is in the table at home."""
    path = observed.spool / "working" / "13B-014.ms"
    deliver(observed.metadata, config=settings).raise_for_error()
    with tables.table(str(path), readonly=False, ack=False) as main:
        main.putcol("SCAN_NUMBER", [99] * ROWS)
    retrieve(observed.metadata, config=settings).raise_for_error()
    assert columns(path)["scan"] == [99] * ROWS
    assert not path.parent.is_symlink()


@pytest.mark.parametrize("lock", ["default", "auto", "user", "usernoread"])
def test_a_table_that_is_open_for_writing_is_not_copied(observed: Workspace, memory_folder: Path, lock: str) -> None:
    """Half of what is written to it later would go into the copy, and half be lost: not before it is closed."""
    apart = Config(Settings(qa_root=memory_folder), {}, None)
    (memory_folder / "qa2").mkdir()
    main = tables.table(str(observed.spool / "working" / "13B-014.ms"), readonly=False, ack=False, lockoptions=lock)
    outcome = deliver(observed.metadata, config=apart)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.changed) == ("in-use", False)
    assert "13B-014.ms" in outcome.error.message
    main.close()
    assert deliver(observed.metadata, config=apart).raise_for_error().state == "in-qa"
