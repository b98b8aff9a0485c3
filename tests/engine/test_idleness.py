"""A directory that is in use is not copied, and the source of a copy does not go while somebody has it open."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor.engine import idleness, move_across
from conveyor.engine.plan import Operation
from conveyor.filesystem.posix import FileSystem
from support.holders import holding
from support.inventory import inventory
from support.verdicts import check_the_end, data_in
from support.workspace import DIRECTORIES, Workspace, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

NAME = "working/casa.log"


@pytest.fixture
def apart(tmp_path: Path, memory_folder: Path) -> Workspace:
    """A request whose QA area is on another file system."""
    workspace = make_workspace(tmp_path / "here", qa_root=memory_folder)
    (workspace.spool / NAME).write_text("log\n")
    return workspace


def convey(command: str, workspace: Workspace, **options: Any) -> conveyor.Outcome:
    """Run one of the conveyances by the Python API."""
    config = conveyor.load_config({"qa_root": str(workspace.qa.parents[1])})
    outcome: conveyor.Outcome = getattr(conveyor, command)(workspace.metadata, config=config, **options)
    return outcome


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "in earnest"])
def test_what_is_in_use_is_not_copied(apart: Workspace, dry_run: bool) -> None:
    """Before anything moves it ends with 75, the file and the process named, and nothing is changed."""
    before = inventory(apart.root)
    with holding("append", apart.spool / NAME) as process:
        outcome = convey("deliver", apart, dry_run=dry_run)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("in-use", 75)
    assert "casa.log" in outcome.error.message
    assert f"pid {process.pid}" in outcome.error.message
    assert not outcome.changed
    assert inventory(apart.root) == before
    assert convey("deliver", apart).state == "in-qa"


def test_a_conveyance_waits_until_nobody_works_there(apart: Workspace) -> None:
    """With --wait it begins once the file is closed, and says meanwhile what it waits for."""
    said: list[str] = []
    with holding("append", apart.spool / NAME) as process:

        def on_event(level: str, event: str, **_: object) -> None:
            if event.startswith("waiting"):
                said.append(event)
                assert process.stdin is not None
                process.stdin.close()

        config = conveyor.load_config({"qa_root": str(apart.qa.parents[1]), "wait": 60})
        outcome = conveyor.deliver(apart.metadata, config=config, on_event=on_event)
    assert outcome.raise_for_error().state == "in-qa"
    assert "casa.log" in said[0]


@pytest.mark.parametrize("command", ["deliver", "retrieve"])
def test_when_idle_waits_for_readers_too(workspace: Workspace, command: str) -> None:
    """With --when-idle nothing moves while anybody has anything open in it; it says once who, and waits without limit."""
    if command == "retrieve":
        conveyor.deliver(workspace.metadata).raise_for_error()
    said: list[str] = []
    config = conveyor.load_config({"when_idle": True})
    with holding("read", workspace.spool / "products" / "weblog.tgz") as process:
        tried = getattr(conveyor, command)(workspace.metadata, config=config, dry_run=True)
        before = inventory(workspace.root)

        def on_event(level: str, event: str, **_: object) -> None:
            if event.startswith("waiting"):
                said.append(event)
                assert inventory(workspace.root) == before
                assert process.stdin is not None
                process.stdin.close()

        outcome = getattr(conveyor, command)(workspace.metadata, config=config, on_event=on_event)
    assert (tried.error.code, tried.error.exit_code) == ("in-use", 75)
    assert "/products: weblog.tgz (" in tried.error.message
    assert f"pid {process.pid} on this host" in tried.error.message
    assert outcome.raise_for_error().state == ("in-qa" if command == "deliver" else "in-spool")
    assert len(said) == 1


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "in earnest"])
def test_a_rename_that_is_refused_for_a_reader_names_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    """SMB renames no directory in which anything is open: 75, and the process; elsewhere it is a permission."""

    def refuse(*_: object) -> bool:
        raise PermissionError(errno.EACCES, "rename: Permission denied")

    for name in ("can_rename_onto", "can_rename"):
        monkeypatch.setattr(FileSystem, name, refuse)
    with holding("read", workspace.spool / "rawdata" / "folder" / "file.txt") as process:
        outcome = conveyor.deliver(workspace.metadata, dry_run=dry_run)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.state) == ("in-use", "in-spool")
    assert f"pid {process.pid}" in outcome.error.message
    outcome = conveyor.deliver(workspace.metadata, dry_run=dry_run)
    assert outcome.error is not None
    assert outcome.error.code == "not-permitted"
    monkeypatch.setattr(idleness, "renames_only_what_is_closed", lambda _: True)
    outcome = conveyor.deliver(workspace.metadata, dry_run=dry_run)
    assert outcome.error is not None
    assert outcome.error.code == "in-use"


def test_what_is_renamed_may_be_in_use(workspace: Workspace) -> None:
    """In one file system the writer goes on in the directory that it has open: nobody is refused."""
    (workspace.spool / NAME).write_text("log\n")
    with holding("append", workspace.spool / NAME):
        assert conveyor.deliver(workspace.metadata).state == "in-qa"


@pytest.mark.parametrize("command", ["deliver", "retrieve"])
@pytest.mark.parametrize("moment", ["after the copy", "before the source goes"])
def test_what_is_opened_during_the_copy_comes_back(
    apart: Workspace, monkeypatch: pytest.MonkeyPatch, command: str, moment: str
) -> None:
    """Somebody who opens a file while it is copied has the directory back where it was, and 75; later all goes well."""
    if command == "retrieve":
        assert convey("deliver", apart).state == "in-qa"
    before = data_in(apart.spool if command == "deliver" else apart.qa, DIRECTORIES)
    looks = {"after the copy": 2, "before the source goes": 3}[moment]
    found = ("casa.log (python, pid 1 on this host)",)
    seen: list[str] = []

    def users(tree: Any, tables: object) -> tuple[str, ...]:
        if "working" in tree.name:
            seen.append(tree.name)
        return found if len(seen) == looks + 1 and "working" in tree.name else ()

    for module in (idleness, move_across):
        monkeypatch.setattr(module, "users", users)
    outcome = convey(command, apart)
    assert len(seen) == looks + 1
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("in-use", 75)
    origin = apart.spool if command == "deliver" else apart.qa
    assert not (origin / "working").is_symlink()
    assert (origin / NAME).read_text() == "log\n"
    monkeypatch.undo()
    final = convey(command, apart).raise_for_error()
    check_the_end(apart, DIRECTORIES, before, Operation(command), final.state, final.warnings)
