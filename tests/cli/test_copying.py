"""Copies between file systems, as the command line steers them and shows them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from conveyor.cli import main as program
from conveyor.filesystem.copying import findings, removing, transfer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.filesystem.copying.values import Options
    from support.workspace import Workspace


@pytest.fixture
def areas(memory_folder: Path) -> list[str]:
    """The flags by which the QA area is on another file system than spool."""
    (memory_folder / "qa2").mkdir()
    return ["--qa-root", str(memory_folder)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the program in this process; its exit status."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["conveyor", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            program.run()
        assert isinstance(end.value.code, int)
        return end.value.code

    return call


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[Options]]:
    """The options that each function of the copy engine is called with."""
    seen: dict[str, set[Options]] = {"transfer": set(), "changes": set(), "remove": set()}

    def noting(home: object, name: str, place: int) -> None:
        real = getattr(home, name)

        def function(*arguments: object, **named: object) -> object:
            seen[name].add(arguments[place])  # type: ignore[arg-type]  # whatever it is, it is compared
            return real(*arguments, **named)

        monkeypatch.setattr(home, name, function)

    noting(transfer, "transfer", 3)
    noting(findings, "changes", 3)
    noting(removing, "remove", 1)
    return seen


def test_the_settings_of_copies_reach_all_that_copies_compares_and_removes(
    run: Callable[..., int],
    workspace: Workspace,
    areas: list[str],
    used: dict[str, set[Options]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Flag and environment are what the engine works by, on the way out and home."""
    for name, value in {
        "WORKERS": "2",
        "BUFFER": "64KiB",
        "ROUNDS": "5",
        "READ_BACK": "disk",
        "CHECKPOINT": "7",
    }.items():
        monkeypatch.setenv(f"CONVEYOR_COPY_{name}", value)
    for command in ("deliver", "retrieve"):
        assert run(command, "--max-rate", "100M", *areas, workspace.metadata) == 0
    assert {name: len(options) for name, options in used.items()} == {"transfer": 1, "changes": 1, "remove": 1}
    [options] = set().union(*used.values())
    assert (options.workers, options.buffer, options.rounds) == (2, 65_536, 5)
    assert (options.read_back, options.max_rate, options.checkpoint) == ("disk", 100_000_000, 7)


def test_a_rate_that_is_no_size_is_refused(run: Callable[..., int], workspace: Workspace, areas: list[str]) -> None:
    """What cannot be understood as a size ends with 78, and nothing moves."""
    assert run("deliver", "--max-rate", "fast", *areas, workspace.metadata) == 78
    assert not (workspace.spool / "rawdata").is_symlink()
