"""Copies between file systems, as the command line steers them and shows them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conveyor.cli import main as program
from conveyor.cli.progress import Display, Lines
from conveyor.documents.kept_documents import Progress
from conveyor.filesystem.treecopy import check_manifest, remove_tree, transfer
from support.trees import rot

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.treecopy.copy_options import CopyOptions
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
def used(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[CopyOptions]]:
    """The options that each function of the copy engine is called with."""
    seen: dict[str, set[CopyOptions]] = {"transfer": set(), "changes": set(), "remove_what_can_be_removed": set()}

    def noting(home: object, name: str, place: int) -> None:
        real = getattr(home, name)

        def function(*arguments: object, **named: object) -> object:
            seen[name].add(arguments[place])  # type: ignore[arg-type]  # whatever it is, it is compared
            return real(*arguments, **named)

        monkeypatch.setattr(home, name, function)

    noting(transfer, "transfer", 3)
    noting(check_manifest, "changes", 3)
    noting(remove_tree, "remove_what_can_be_removed", 1)
    return seen


def test_the_settings_of_copies_reach_all_that_copies_compares_and_removes(
    run: Callable[..., int],
    workspace: Workspace,
    areas: list[str],
    used: dict[str, set[CopyOptions]],
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
    assert {name: len(options) for name, options in used.items()} == {
        "transfer": 1,
        "changes": 1,
        "remove_what_can_be_removed": 1,
    }
    [options] = set().union(*used.values())
    assert (options.workers, options.buffer, options.rounds) == (2, 65_536, 5)
    assert (options.read_back, options.max_rate, options.checkpoint) == ("disk", 100_000_000, 7)


def test_a_rate_that_is_no_size_is_refused(run: Callable[..., int], workspace: Workspace, areas: list[str]) -> None:
    """What cannot be understood as a size ends with 78, and nothing moves."""
    assert run("deliver", "--max-rate", "fast", *areas, workspace.metadata) == 78
    assert not (workspace.spool / "rawdata").is_symlink()


ONE = Progress("rawdata", "copy", 5, 1_500_000, 10, 3_000_000, 500_000, 3, "now")


class Terminal(io.StringIO):
    """A terminal that remembers what was shown on it."""

    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stderr is a terminal, wide enough for whole lines. Not a fixture: pytest sets stderr anew for each test's body."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    return terminal


def test_a_terminal_shows_how_far_each_copy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests have a line each, with directory, phase, bytes, files, rate and time left; it goes when they are done."""
    terminal = at_a_terminal(monkeypatch)
    display = Display()
    display("first", ONE)
    display("second", ONE)
    last = terminal.getvalue()
    for wanted in ("first/rawdata", "second/rawdata", "copy, 1.5 MB of 3 MB, 5 of 10 files, 500 kB/s, 0:00:03 left"):
        assert wanted in last
    display("first", None)
    display("second", None)
    assert sys.stderr is terminal
    seen = len(terminal.getvalue())
    display.close()
    assert len(terminal.getvalue()) == seen


def test_a_terminal_that_goes_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is closed is no error of the copy."""
    terminal = at_a_terminal(monkeypatch)
    display = Display()
    display("request", ONE)
    terminal.close()
    display("request", ONE)
    display("request", None)


def test_a_copy_is_shown_at_a_terminal(
    run: Callable[..., int], workspace: Workspace, areas: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery to another file system shows each directory on stderr, and no log line."""
    terminal = at_a_terminal(monkeypatch)
    assert run("deliver", *areas, workspace.metadata) == 0
    for name in ("rawdata", "products", "working"):
        assert f"{workspace.request}/{name}" in terminal.getvalue()
    assert "total_bytes" not in terminal.getvalue()


@pytest.mark.parametrize("why", ["quiet", "verbose", "no rich", "dumb"])
def test_there_is_no_display(
    run: Callable[..., int],
    workspace: Workspace,
    areas: list[str],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With -q, among log lines, without rich, and at a terminal that cannot: the delivery is the same."""
    terminal = at_a_terminal(monkeypatch)
    if why == "no rich":
        monkeypatch.setitem(sys.modules, "rich", None)
    if why == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    flags = {"quiet": ["-q"], "verbose": ["-v"]}.get(why, [])
    assert run("deliver", *flags, *areas, workspace.metadata) == 0
    assert f"{workspace.request}/rawdata" not in terminal.getvalue()


def test_a_rename_shows_nothing(run: Callable[..., int], workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is copied, rich is not even imported."""
    terminal = at_a_terminal(monkeypatch)
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        del sys.modules[name]
    assert run("deliver", workspace.metadata) == 0
    assert (terminal.getvalue(), "rich" in sys.modules) == ("", False)


def test_log_lines_come_now_and_then(workspace: Workspace) -> None:
    """No line of a copy that takes less than the interval, one each interval of a longer one, each request by itself."""
    seconds = [0.0]
    told: list[tuple[float, object]] = []
    lines = Lines(lambda *_, **details: told.append((seconds[0], details["request"])), 10, lambda: seconds[0])
    for second in range(30):
        seconds[0] = second
        lines("long", ONE)
        if 5 <= second < 14:
            lines("short", ONE)
        if second == 14:
            lines("short", None)
        if second >= 16:
            lines("short", ONE)
    assert told == [(10, "long"), (20, "long"), (26, "short")]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_copy_that_takes_its_time_is_told_of_in_the_log(
    run: Callable[..., int],
    workspace: Workspace,
    areas: list[str],
    jobs: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lines of JSON on stderr say how far it is, from a process of its own too; what else is asked for fails."""
    monkeypatch.setenv("CONVEYOR_PROGRESS_SECONDS", "1")
    monkeypatch.setenv("CONVEYOR_COPY_BUFFER", "64KiB")
    (workspace.spool / "rawdata" / "large").write_bytes(b"x" * 1_500_000)
    missing = workspace.root / "missing.json"
    assert run("deliver", "--max-rate", "500k", "--jobs", jobs, *areas, workspace.metadata, missing) == 66
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    progress = [line for line in lines if line["event"] == "progress"]
    assert {(line["level"], line["request"]) for line in progress} == {("info", workspace.request)}
    copies = [line for line in progress if (line["directory"], line["phase"]) == ("rawdata", "copy")]
    assert any(line["total_bytes"] > 1_500_000 > line["bytes"] > 0 for line in copies)


def test_a_verification_says_what_became_of_what_was_copied(
    run: Callable[..., int], workspace: Workspace, areas: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each directory has a line, and each path that is not as it was; a request that is missing fails beside it."""
    assert run("deliver", *areas, workspace.metadata) == 0
    qa = Path(areas[1]) / "qa2" / workspace.request
    (qa / "products" / "qa_report.txt").write_text("PASS")
    capsys.readouterr()
    assert run("verify", *areas, workspace.metadata, workspace.root / "missing.json") == 66
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == f"{workspace.request} (calibration): nothing is corrupted"
    assert lines[1].startswith("  rawdata   as it was copied; ")
    assert lines[2].startswith("  products  1 new; ")
    assert lines[3] == "    new      qa_report.txt"
    assert lines[-2].endswith("missing.json: not verified, state unknown [metadata-missing]")
    assert lines[-1] == "1 not corrupted, 1 not verified"
    assert "hint:" in said.err
    assert run("retrieve", *areas, workspace.metadata) == 0
    capsys.readouterr()
    assert run("verify", *areas, workspace.metadata) == 0
    assert capsys.readouterr().out.endswith("now in-spool, there is nothing to verify\n")


def test_what_rotted_is_said_and_fails(
    run: Callable[..., int],
    workspace: Workspace,
    areas: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that the disk changed, and a manifest that it changed, end with 74 and are named."""
    assert run("deliver", *areas, workspace.metadata) == 0
    (workspace.spool / ".conveyor" / "working.manifest").write_bytes(b"damaged")
    capsys.readouterr()
    assert run("verify", *areas, workspace.metadata) == 74
    said = capsys.readouterr()
    assert "not verified: a manifest is damaged [rotted]\n" in said.out
    assert "no file is known to be damaged" in said.err
    rot(Path(areas[1]) / "qa2" / workspace.request / "rawdata" / "folder" / "file.txt", monkeypatch)
    capsys.readouterr()
    assert run("verify", *areas, workspace.metadata) == 74
    said = capsys.readouterr()
    assert "    corrupted  folder/file.txt\n" in said.out
    assert "  working   not verified: its manifest cannot be believed\n" in said.out
    assert "although nobody wrote to it" in said.err
