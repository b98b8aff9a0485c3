"""Which uses of a directory are seen: open files of other processes, and the locks of casacore tables."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem import in_use
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.filesystem.treecopy.walk import TABLE_LOCK
from support.holders import holding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE = "13B-014.ms"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[PathAt]:
    """A directory with a file, and a table in it."""
    (tmp_path / "working" / TABLE).mkdir(parents=True)
    (tmp_path / "working" / TABLE / TABLE_LOCK).write_bytes(bytes(325))
    (tmp_path / "working" / TABLE / "table.f0").write_bytes(bytes(325))
    (tmp_path / "working" / "casa.log").write_text("log")
    (tmp_path / "working-2").mkdir()
    (tmp_path / "working-2" / "casa.log").write_text("log")
    with FileSystem().open_root(tmp_path) as directory:
        yield PathAt(directory, "working")


@pytest.mark.parametrize(
    ("how", "name", "seen"),
    [
        ("append", "working/casa.log", "casa.log"),
        ("update", "working/casa.log", "casa.log"),
        ("read", "working/casa.log", None),
        ("append", "working-2/casa.log", None),
        ("table", f"working/{TABLE}", TABLE),
        ("table to write", f"working/{TABLE}", f"{TABLE}/table.f0"),
        ("table to read", f"working/{TABLE}", None),
        ("update", f"working/{TABLE}/table.lock", None),
    ],
)
def test_what_is_a_use(tmp_path: Path, tree: PathAt, how: str, name: str, seen: str | None) -> None:
    """A file that is open for writing is in use, and a table unless it is seen to be only read."""
    assert in_use.uses(tree) == []
    with holding(how, tmp_path / name) as process:
        found = in_use.uses(tree)
    assert seen in [use.path for use in found] if seen else found == []
    assert all(f"pid {process.pid} on this host" in use.process for use in found)
    assert in_use.uses(tree) == []


def test_a_directory_that_was_renamed_is_still_in_use(tmp_path: Path, tree: PathAt) -> None:
    """A file is found by where it is now, not by the path that it was opened by."""
    with holding("append", tmp_path / "working" / "casa.log"):
        (tmp_path / "working").rename(tmp_path / "outgoing")
        assert [use.path for use in in_use.uses(PathAt(tree.directory, "outgoing"))] == ["casa.log"]


@pytest.mark.parametrize("how", ["append", "table to read", "table to write"])
def test_what_was_removed_is_not_in_use(tmp_path: Path, tree: PathAt, how: str) -> None:
    """Files of an earlier copy, which somebody still has open, are not in the tree that has their path now."""
    working = tmp_path / "working"
    with holding(how, working / ("casa.log" if how == "append" else TABLE)):
        shutil.copytree(working, tmp_path / "copy")
        shutil.rmtree(working)
        (tmp_path / "copy").rename(working)
        assert [*in_use.uses(tree), *in_use.visitors(tree), *in_use.occupants(tree)] == []


def test_a_file_whose_name_ends_as_one_that_was_removed(tmp_path: Path, tree: PathAt) -> None:
    """The kernel's word for what was removed may be a part of a name."""
    (tmp_path / "working" / "casa.log").rename(tmp_path / "working" / "casa.log (deleted)")
    with holding("append", tmp_path / "working" / "casa.log (deleted)"):
        assert [use.path for use in in_use.uses(tree)] == ["casa.log (deleted)"]


def test_own_tables_are_told_and_keep_their_locks(tmp_path: Path, tree: PathAt) -> None:
    """A process that has a table open itself is refused too, and looking for it drops none of its locks."""
    table = tmp_path / "working" / TABLE
    with (table / "table.lock").open("r+b") as lock, (table / "table.f0").open("r+b"):
        fcntl.lockf(lock, fcntl.LOCK_SH, 1, 1)
        assert [use.path for use in in_use.uses(tree)] == [TABLE]
        other = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1)"
        refused = subprocess.run(
            [sys.executable, "-c", other, str(table / "table.lock")], capture_output=True, check=False
        )
        assert b"BlockingIOError" in refused.stderr


def test_own_files_are_not_told(tmp_path: Path, tree: PathAt) -> None:
    """The log of the run itself may stand in what it moves, opened by the process or handed down to it."""
    with (tmp_path / "working" / "casa.log").open("a") as log, holding("append", tmp_path / "working" / "casa.log"):
        assert os.fstat(log.fileno()).st_size == 3
        assert in_use.uses(tree) == []


def test_without_proc_the_tables_are_asked_all_the_same(
    tmp_path: Path, tree: PathAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the kernel shows no processes, open files are not seen, and the holder of a table has no name."""
    monkeypatch.setattr(in_use, "PROC", str(tmp_path / "nothing"))
    with holding("append", tmp_path / "working" / "casa.log"):
        assert in_use.uses(tree) == []
    with holding("table to read", tmp_path / "working" / TABLE):
        assert [str(use) for use in in_use.uses(tree)] == [
            f"{TABLE} (a casacore table that is open: a process that this host does not show)"
        ]


@pytest.mark.parametrize(
    ("how", "name", "kind", "writes"),
    [
        ("read", "casa.log", "file", False),
        ("append", "casa.log", "file", True),
        ("table", TABLE, "table", None),
        ("table to read", TABLE, "table", False),
        ("table to write", TABLE, "table", True),
    ],
)
def test_occupants(tmp_path: Path, tree: PathAt, how: str, name: str, kind: str, writes: bool | None) -> None:
    """Each thing that a process has open is told once, with the process, its account and its host; a table as one thing."""
    assert in_use.occupants(tree) == []
    path = tmp_path / "working" / name
    with holding(how, path) as process:
        [found] = in_use.occupants(tree)
    account = pwd.getpwuid(os.getuid()).pw_name
    assert (found.path, found.kind, found.writes) == (str(path), kind, writes)
    assert (found.host, found.pid, found.account) == (os.uname().nodename, process.pid, account)
    assert f"pid {process.pid} on {found.host}, {account}" in found.process


def test_who_stands_in_a_directory_is_an_occupant(tree: PathAt, tmp_path: Path) -> None:
    """A shell that stands in the tree is told, and this process is not."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=tmp_path / "working" / TABLE) as shell:
        assert shell.stdin is not None
        [found] = in_use.occupants(tree)
        shell.stdin.close()
    assert (found.kind, found.path, found.pid) == ("directory", str(tmp_path / "working" / TABLE), shell.pid)


def test_a_program_may_have_no_name(tree: PathAt, tmp_path: Path) -> None:
    """A program may call itself by a blank; it is told like any other."""
    rename = "open('/proc/self/comm', 'w').write(' '); print(flush=True); input()"
    command = [sys.executable, "-c", rename]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path / "working") as process:
        assert process.stdout is not None
        process.stdout.readline()
        [found] = in_use.occupants(tree)
        process.communicate(b"\n")
    assert found.program == "a nameless program"


def test_a_holder_that_this_host_does_not_show(tmp_path: Path, tree: PathAt, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of a table tells that somebody has it open, and if it is written to, where no process is to be seen."""
    monkeypatch.setattr(in_use, "PROC", str(tmp_path / "nothing"))
    with holding("table to read", tmp_path / "working" / TABLE):
        [found] = in_use.occupants(tree)
        assert (found.kind, found.writes, found.host, found.pid) == ("table", None, None, None)
        assert "does not show" in found.process
        with holding("table while writing", tmp_path / "working" / TABLE):
            [found] = in_use.occupants(tree)
    assert found.writes is True
    assert in_use.hidden_processes() == 0


def test_a_process_that_has_ended_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the list of processes and a look at one it may end; its files are nobody's."""
    (tmp_path / "4102").mkdir()
    monkeypatch.setattr(in_use, "PROC", str(tmp_path))
    assert in_use.hidden_processes() == 0


def test_a_subtable_is_told_with_its_table(tmp_path: Path, tree: PathAt) -> None:
    """Files of one process in a table and below it, lock files among them, are the one table."""
    table = tmp_path / "working" / TABLE
    (table / "ANTENNA").mkdir()
    with holding("table and subtable", table):
        assert [(one.path, one.writes) for one in in_use.occupants(tree)] == [(str(table), False)]
