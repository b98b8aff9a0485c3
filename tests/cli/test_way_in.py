"""From the command line to the engine: few frames, garbage collected meanwhile, and names of the release before."""

from __future__ import annotations

import gc
import inspect
import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import conveyor
from conveyor.api.runners import Batch
from conveyor.cli import main as program
from conveyor.cli.options import EPILOG
from conveyor.engine import conveyance
from conveyor.engine.context import Environment
from conveyor.errors import tree
from conveyor.htcondor.dag import Throttle, draft
from conveyor.htcondor.dag_folder import DagFolder
from support.workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.workspace import Workspace

SOURCE = str(Path(conveyor.__file__).parent)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the program in this process: its exit status, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["conveyor", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            program.run()
        assert isinstance(end.value.code, int)
        return end.value.code, *capfd.readouterr()

    return call


def test_five_frames_lead_from_a_command_to_the_engine(
    run: Callable[..., tuple[int, str, str]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function of ``deliver``, the runner's two, the one that resolves the request, and the engine's entry: no more."""
    frames: list[str] = []

    def entry(*arguments: Any, **named: Any) -> Any:
        for frame in inspect.stack(0)[1:]:
            if "command" not in frames:
                assert frame.filename.startswith(SOURCE)
                frames.append(frame.function)
        return conveyance.convey(*arguments, **named)

    monkeypatch.setattr("conveyor.api.runners.convey", entry)
    assert run("deliver", workspace.metadata)[0] == 0
    assert [*reversed(frames), "convey"] == ["command", "convey_all", "convey", "act_on_request", "convey"]


def test_garbage_is_collected_while_a_command_works(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each command's function the collector is on; the program leaves it as it was."""
    seen: dict[str, list[bool]] = {}
    invoke = click.Context.invoke

    def noting(self: click.Context, *arguments: Any, **named: Any) -> Any:
        states = seen.setdefault(self.command_path, [])
        states.append(gc.isenabled())
        result = invoke(self, *arguments, **named)
        states.append(gc.isenabled())
        return result

    workspace = make_workspace(tmp_path / "ws")
    dag = tmp_path / "dag"
    threshold = gc.get_threshold()
    monkeypatch.setattr(click.Context, "invoke", noting)
    metadata = workspace.metadata
    commands: list[tuple[object, ...]] = [
        *((name, metadata) for name in ("status", "verify", "users", "unlock", "tidy", "doctor")),
        ("dag", "deliver", "--output", dag, metadata),
        ("init-area", workspace.root / "qa2"),
        ("board", "--output", tmp_path / "board", "--spool-root", workspace.root / "spool"),
        ("open", "--print", metadata),
        *((name,) for name in ("capabilities", "config", "demo", "notify", "metrics")),
        ("post-script", "--return", "1", "deliver", metadata),
    ]
    for arguments in commands:
        run(*arguments)
    monkeypatch.chdir(dag)
    [node] = [name for name in (one.name for one in DagFolder.read(dag).nodes) if name]
    for arguments in [("dag", "run-node", node), ("dag", "end-node", "--return", "0", node), ("dag", "summary", dag)]:
        run(*arguments)
    for name in ("deliver", "pass", "retrieve", "qa-fail", "fail"):
        run(name, metadata)
    for name in ("assign", "note"):
        run(name, metadata, "somebody")
    for one in (("history", metadata), ("report",), ("resume", metadata)):
        run(*one)
    names = set(program.main.list_commands(click.Context(program.main)))
    assert {path.removeprefix("conveyor ").partition(" ")[0] for path in seen} >= names
    assert {"conveyor dag run-node", "conveyor dag end-node", "conveyor dag summary"} <= set(seen)
    assert all(all(states) for states in seen.values())
    assert (gc.get_threshold(), gc.isenabled()) == (threshold, True)


@pytest.mark.parametrize(
    "command", ["status", "doctor --no-probe", "tidy", "report", "metrics", "init-area", "resume --all"]
)
def test_the_workspace_of_the_working_directory_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]], command: str
) -> None:
    """Whatever is about a whole workspace finds the usual layout from the working directory upwards, as `status` does."""
    monkeypatch.chdir(make_workspace(tmp_path / "ws").spool)
    code, _, errors = run(*command.split())
    assert code == 0, errors


def test_the_help_names_every_exit_status() -> None:
    """The last lines of each command's help have every exit status, and the codes of its errors."""
    for kind in tree():
        assert f" {kind.exit_code} " in EPILOG
    assert re.search(r"; 75 source-changing, [a-z, -]*locked, interrupted, [a-z, -]*;", EPILOG)


def _commands(group: click.Group, context: click.Context) -> Iterator[click.Command]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from _commands(command, context)


def test_the_help_of_each_command_has_an_example() -> None:
    """Each command that a person types shows a command line that is right, down to its options."""
    context = click.Context(program.main, info_name="conveyor", **program.main.context_settings)
    internal = {"run-node", "end-node", "summary"}
    for command in _commands(program.main, context):
        examples = re.findall(r"^  (conveyor [^\n]*?)(?:   |$)", command.epilog or "", re.MULTILINE)
        assert examples or command.name in internal, command.name
        for example in examples:
            _, name, *rest = shlex.split(example.replace("$RETURN", "0").replace("> ", ""))
            shown = program.main.get_command(context, name)
            assert shown is not None
            with click.Context(shown, info_name=name, parent=context) as inner:
                shown.parse_args(inner, rest)


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("capabilities", ["--links", "--spool-root", "--qa-root", "--weblog-cache"]),
        ("status", ["--links"]),
        ("verify", ["--links"]),
        ("deliver", []),
    ],
)
def test_the_help_shows_options_where_they_matter(
    run: Callable[..., tuple[int, str, str]], name: str, hidden: list[str], tmp_path: Path
) -> None:
    """An option that a command does nothing with is taken, and is not in its help."""
    shown = run(name, "--help")[1]
    for option in ("--links", "--spool-root", "--qa-root", "--weblog-cache"):
        assert (option in shown) is (option not in hidden)
    if name == "capabilities":
        assert run(name, "--links", "relative", "--qa-root", tmp_path)[0] == 0


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
def test_the_old_name_of_the_runner_works_for_a_release(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """``engine`` is taken for ``runner`` from each source, and one sentence says so; the new name from there goes first."""
    file = tmp_path / "conveyor.toml"
    workspace = make_workspace(tmp_path / "ws")
    arguments: list[object] = []
    match source:
        case "flag":
            arguments = ["--engine", "htcondor"]
        case "environment":
            monkeypatch.setenv("CONVEYOR_ENGINE", "htcondor")
        case _:
            file.write_text('engine = "htcondor"\n')
            monkeypatch.setenv("CONVEYOR_CONFIG", str(file))
    monkeypatch.setitem(sys.modules, "htcondor2", None)
    status, _, errors = run("deliver", "--log-format", "console", *arguments, workspace.metadata)
    assert status == 78
    assert "the runner htcondor needs HTCondor's Python bindings" in errors
    assert errors.count("is called runner now") == 1
    status, _, errors = run("deliver", *arguments, workspace.metadata)
    [notice, *_] = map(json.loads, errors.splitlines()[:1])
    assert (notice["level"], "engine (from " in notice["event"]) == ("warning", True)
    if source != "flag":
        document = json.loads(run("config", "--json")[1])
        assert document["settings"]["runner"]["value"] == "htcondor"
        assert "engine" not in document["settings"]
        assert run("deliver", "--runner", "local", workspace.metadata)[0] == 0


def test_the_folder_of_a_dag_of_an_earlier_release_is_read(workspace: Workspace, tmp_path: Path) -> None:
    """Settings in a ``dag.json`` that has ``engine`` are those of ``runner``."""
    batch = Batch(conveyor.Operation.DELIVER, (workspace.metadata,), None, conveyor.load_config(), Environment())
    folder = draft(batch, tmp_path / "dag").write(Throttle())
    manifest = folder.path / "dag.json"
    manifest.write_text(manifest.read_text().replace('"runner": "local"', '"engine": "htcondor"'))
    assert "engine" in manifest.read_text()
    assert DagFolder.read(folder.path).config.values.runner == "htcondor"
