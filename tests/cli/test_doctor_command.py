"""``conveyor doctor`` on the command line: its text, its exit status, and what it repeats in the commands."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from conveyor.cli import main as program
from conveyor.cli.doctor_report import report_lines
from conveyor.diagnostics.findings import Finding, Group, Report, Severity, info, ok, warning
from conveyor.engine.claim import Holder
from conveyor.engine.host import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.workspace import Workspace

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the program: its exit status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["conveyor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            program.run()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return call


def claimed_elsewhere(workspace: Workspace) -> None:
    (workspace.spool / ".conveyor").mkdir()
    holder = Holder(Process("elsewhere", "m", "b", "n", 7, "1"), "then")
    (workspace.spool / ".conveyor" / "claim.1").symlink_to(holder.text)


def test_a_healthy_workspace_ends_with_0(run: Run, workspace: Workspace) -> None:
    """Every section is there, no line is wider than the terminal, and the last line is the summary."""
    status, out, err = run("doctor", "--log-format", "console", workspace.metadata)
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert [line for line in lines if not line.startswith(" ")][:-1] == [
        "This host",
        "The workspace",
        "The file systems, by trying",
        "The requests",
        "Litter",
    ]
    assert lines[-1].startswith("All is well") or "warning" in lines[-1]
    assert all(len(line) <= 100 or " " not in line.strip() for line in lines)
    assert f"  ok       {workspace.request} (calibration): in spool" in lines


def test_errors_end_with_69_and_warnings_with_0(run: Run, workspace: Workspace) -> None:
    """A missing QA area that no request needs is a warning; one that a request needs an error."""
    shutil.rmtree(workspace.root / "image-qa")
    status, out, _ = run("doctor", workspace.metadata)
    assert (status, "  WARNING  image-qa:" in out) == (0, True)
    shutil.rmtree(workspace.root / "qa2")
    status, out, err = run("doctor", workspace.metadata)
    assert (status, err) == (69, "")
    assert "  ERROR    qa2: the QA area" in out
    assert out.splitlines()[-1].startswith("1 error and ")


def test_quiet_says_nothing_where_there_is_nothing_to_say(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With -q only warnings and errors are printed, so that cron sends mail only for those."""
    monkeypatch.setattr("conveyor.diagnostics.CHECKS", {Group.HOST: {"x": lambda _: iter([ok("y", "z")])}})
    assert run("doctor", "-q", workspace.metadata) == (0, "", "")
    checks = {"x": lambda _: iter([ok("y", "fine"), info("y", "known"), warning("y", "odd")])}
    monkeypatch.setattr("conveyor.diagnostics.CHECKS", {Group.HOST: checks})
    _, out, _ = run("doctor", "-q", workspace.metadata)
    assert out.splitlines()[:2] == ["This host", "  WARNING  y: odd"]
    assert "fine" not in out


def test_nothing_configured_says_what_to_set(run: Run) -> None:
    """A user who has set nothing and named nothing is told what to do, with the exit status of a missing setting."""
    status, out, err = run("doctor")
    assert (status, out) == (78, "")
    assert "hint: name a request's metadata.json, or set CONVEYOR_SPOOL_ROOT" in err


def test_the_commands_repeat_the_options_that_were_given(run: Run, workspace: Workspace) -> None:
    """So they mean the same places, from wherever they are run."""
    claimed_elsewhere(workspace)
    arguments = ["--qa-root", "workspaces", "-c", "calibration", "workspaces/spool/tmpiox5trbp/metadata.json"]
    _, out, _ = run("doctor", *arguments)
    options = f"--qa-root {workspace.root} --capability calibration {workspace.metadata}"
    assert f"               conveyor unlock {options}" in out.splitlines()
    config = workspace.root / "conveyor.toml"
    config.touch()
    _, out, _ = run("--config", config, "doctor", workspace.metadata)
    assert f"               conveyor unlock --config {config} {workspace.metadata}" in out.splitlines()


def test_no_probe_writes_nothing(run: Run, workspace: Workspace) -> None:
    """The flag is passed on, and said in the report."""
    before = (workspace.root / "qa2").stat().st_mtime_ns
    _, out, _ = run("doctor", "--no-probe", workspace.metadata)
    assert (workspace.root / "qa2").stat().st_mtime_ns == before
    assert "left out, as was asked" in out


def test_with_v_each_check_is_told_before_it_is_made(run: Run, workspace: Workspace) -> None:
    """If a server hangs, the last line says in which check."""
    _, _, err = run("doctor", "-v", "--log-format", "json", workspace.metadata)
    assert '"event": "check there"' in err


@pytest.mark.parametrize("columns", [20, 80, 120, 400])
def test_text_is_wrapped_and_commands_are_not(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text fits the terminal, within reason; a command stays on one line, so that it can be copied."""
    monkeypatch.setenv("COLUMNS", str(columns))
    command = "conveyor deliver " + "x" * 150
    finding = Finding("check", Severity.ERROR, "subject", "words " * 60, "advice " * 60, (command,))
    lines = report_lines(Report((finding,)))
    assert "               " + command in lines
    rest = [line for line in lines if command not in line]
    assert 50 < max(map(len, rest)) <= min(max(columns, 60), 120)


def test_equal_findings_about_several_subjects_are_one() -> None:
    """A few subjects are named, many are counted, and what differs stays apart."""
    few = tuple(ok(name, "is well") for name in ("a", "b"))
    many = tuple(ok(f"request{number}", "in QA") for number in range(40))
    odd = (warning("request41", "is odd"),)
    lines = report_lines(Report(few + many + odd))
    assert lines[1:4] == ["  ok       a, b: is well", "  ok       40 of them: in QA", "  WARNING  request41: is odd"]
    assert lines[-1].startswith("1 warning: do what")
