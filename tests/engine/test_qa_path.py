"""The QA path breaks when a request comes home: who used it is warned, and it may lead to spool for a while."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from support.holders import holding
from support.inventory import inventory
from support.workspace import DIRECTORIES, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Workspace


@pytest.fixture
def delivered(workspace: Workspace) -> Workspace:
    """A request that is in QA."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    return workspace


def _table(path: Path, other: str | Path) -> None:
    """A table that refers to another one, as a selection does: its path stands among other bytes."""
    path.mkdir()
    (path / "table.dat").write_bytes(bytes(1 << 20) + os.fsencode(other) + bytes(100))


def _home(workspace: Workspace, **settings: Any) -> conveyor.Outcome:
    return conveyor.retrieve(workspace.metadata, config=conveyor.load_config(settings))


# How something names something else: by what path, and if it breaks.
NAMED = {
    "table by QA": ("table", "{qa}/rawdata/x.ms", True),
    "table by spool": ("table", "{spool}/rawdata/x.ms", False),
    "table of another request": ("table", "{qa}-2/rawdata/x.ms", False),
    "image list by QA": ("imageconcat.json", "{qa}/working/a.image", True),
    "link by QA": ("link", "{qa}/rawdata/x.ms", True),
    "link to the QA folder": ("link", "{qa}", True),
    "link by spool": ("link", "{spool}/rawdata/x.ms", False),
    "link between directories": ("link", "../rawdata/x.ms", False),
    "link to what stays in spool": ("link", "../PPR.xml", False),
    "link to what stays in QA": ("link", "../note.txt", True),
    "link out of the request": ("link", "../../other", False),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_names_the_qa_folder_is_named(delivered: Workspace, name: str) -> None:
    """Each link, table and image list that breaks is in the warning of the dry run and of the retrieval, and no other."""
    kind, text, breaks = NAMED[name]
    text = text.format(qa=delivered.qa, spool=delivered.spool)
    (delivered.qa / "note.txt").write_text("note")
    made = delivered.qa / "working" / "made"
    if kind == "link":
        made.symlink_to(text)
    elif kind == "table":
        _table(made, text)
    else:
        made.mkdir()
        (made / kind).write_text(f'["{text}"]')
    rehearsed = conveyor.retrieve(delivered.metadata, dry_run=True)
    outcome = conveyor.retrieve(delivered.metadata)
    for one in (rehearsed, outcome):
        assert one.error is None
        assert any("working/made" in warning for warning in one.warnings) is breaks
    assert outcome.state == "in-spool"


@pytest.mark.parametrize("how", ["read", "append"])
def test_who_has_something_open_in_qa_is_named(delivered: Workspace, how: str) -> None:
    """A process that has a file open there is named: by the QA path it cannot open it anew."""
    with holding(how, delivered.qa / "products" / "weblog.tgz") as process:
        outcome = conveyor.retrieve(delivered.metadata)
    assert any("products/weblog.tgz (" in warning and f"pid {process.pid}" in warning for warning in outcome.warnings)
    assert outcome.state == "in-spool"


def test_who_stands_in_qa_is_named(delivered: Workspace) -> None:
    """A process whose working directory is there is named; the one that runs the command is not."""
    sleeping = [sys.executable, "-c", "print('ready', flush=True); input()"]
    with subprocess.Popen(
        sleeping, cwd=delivered.qa / "working", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        outcome = conveyor.retrieve(delivered.metadata, dry_run=True)
        process.kill()
    assert any(f"pid {process.pid} on this host, its working directory" in warning for warning in outcome.warnings)
    os.chdir(delivered.qa)
    assert conveyor.retrieve(delivered.metadata).warnings == ()


def test_links_between_what_comes_home_are_not_named(delivered: Workspace) -> None:
    """They lead where they led, also if somebody removed the links in spool meanwhile."""
    (delivered.qa / "products" / "log").symlink_to("../working/cont.dat")
    for name in DIRECTORIES:
        (delivered.spool / name).unlink()
    assert _home(delivered, strict=True).raise_for_error().warnings == ()


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "in earnest"])
def test_strict_refuses_what_would_be_warned_of(delivered: Workspace, dry_run: bool) -> None:
    """With ``strict`` nothing changes where there is something to warn of."""
    (delivered.qa / "working" / "made").symlink_to(delivered.qa / "rawdata")
    before = inventory(delivered.root)
    config = conveyor.load_config({"strict": True})
    outcome = conveyor.retrieve(delivered.metadata, config=config, dry_run=dry_run)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("strict", 73)
    assert "working/made" in outcome.error.message
    assert inventory(delivered.root) == before
    (delivered.qa / "working" / "made").unlink()
    assert conveyor.retrieve(delivered.metadata, config=config).state == "in-spool"


def test_the_qa_path_leads_to_spool_for_a_while(delivered: Workspace) -> None:
    """The link in the place of the QA folder lets what was saved by that path work; a new delivery takes its place."""
    _table(delivered.qa / "working" / "made", delivered.qa / "rawdata")
    assert _home(delivered, qa_link_days=7).state == "in-spool"
    assert (delivered.qa / "rawdata").samefile(delivered.spool / "rawdata")
    assert conveyor.status(delivered.metadata)[0].state == "in-spool"
    assert conveyor.deliver(delivered.metadata).state == "in-qa"
    assert not delivered.qa.is_symlink()


def test_a_link_that_has_stood_long_enough_goes(delivered: Workspace) -> None:
    """The next way home in that area removes the links that are older, and nothing of anybody else's."""
    other = make_workspace(delivered.root, request="tmpanother")
    assert _home(delivered, qa_link_days=7).state == "in-spool"
    theirs = delivered.qa.parent / "theirs"
    theirs.symlink_to("/elsewhere")
    old = time.time() - 8 * 24 * 60 * 60
    for link in (delivered.qa, theirs):
        os.utime(link, (old, old), follow_symlinks=False)
    conveyor.deliver(other.metadata).raise_for_error()
    assert _home(other, qa_link_days=7).state == "in-spool"
    assert sorted(os.listdir(delivered.qa.parent)) == ["theirs", "tmpanother"]
