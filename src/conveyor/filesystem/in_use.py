"""Find the processes that are in a directory: what they have open there, and the casacore tables that they hold.

A file that is open keeps its content when its directory is copied and removed, and what is written to it then is lost. Of
a table one half goes by name into the copy, the other into what is removed.

- ``/proc`` shows the open files of this host's processes (proc_pid_fd(5), proc_pid_fdinfo(5)), those of other accounts to
  root only.
- casacore holds a read lock on byte 1 of ``table.lock`` as long as a table is open, in each of its lock modes, and a lock on
  byte 0 while it writes (casa/IO/LockFile.cc). A query of it, ``F_OFD_GETLK`` of fcntl(2), goes to the file server where
  locks do, so that other hosts are asked too. It names one holder. A table that is open to be read has its lock file open
  for writing all the same, and its data for reading (both seen with python-casacore 3.8.1).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import posixpath
import pwd
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from conveyor.filesystem.error_context import error_context, path_error
from conveyor.filesystem.treecopy.walk import TABLE_LOCK, DirStack, visit
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from conveyor.filesystem.treecopy.copy_options import PathAt

PROC = "/proc"
_F_OFD_GETLK = 36  # linux/fcntl.h; Python has no name for it before 3.13
_WRITING_BYTE = 0  # of table.lock: write-locked while the table is written to, or as long as somebody holds a user lock
_OPENED_BYTE = 1  # read-locked as long as the table is open
_LOOKS, _PAUSE = 10, 0.05  # seconds
_O_PATH = 0o10000000  # asm-generic/fcntl.h: such a descriptor neither reads nor writes


@dataclass(frozen=True, slots=True)
class Use:
    """A use of something below a directory: its ``path`` from there, and the process, in words."""

    path: str
    process: str

    def __str__(self) -> str:
        return f"{self.path} ({self.process})"


@frozen
class Occupant:
    """A process, and one thing that it has open below a directory, by its whole path.

    ``kind`` is ``table`` (a casacore table), ``file``, or ``directory``, in which the process stands. ``writes`` says if it
    was opened for writing; None if that cannot be told. Of a process that this host does not show, on another host say,
    ``host``, ``pid``, ``program`` and ``account`` are None.
    """

    path: str
    kind: Literal["table", "file", "directory"]
    writes: bool | None
    host: str | None = None
    pid: int | None = None
    program: str | None = None
    account: str | None = None

    @property
    def process(self) -> str:
        """The process in words."""
        if self.pid is None:
            return "a process that this host does not show"
        return f"{self.program}, pid {self.pid} on {self.host}, {self.account}"


class _OpenFile(NamedTuple):
    """A file that a process has open: its path from the tree, and if it was opened for writing."""

    path: str
    writes: bool


class _Flock(ctypes.Structure):
    """``struct flock`` of fcntl(2), with 64-bit offsets."""

    _fields_ = (
        ("type", ctypes.c_short),
        ("whence", ctypes.c_short),
        ("start", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("pid", ctypes.c_int32),
    )


def uses(tree: PathAt, tables: Collection[str] | None = None) -> list[Use]:
    """Look for the processes that write to a tree, or may: those that only read go on with what they have open.

    None of another account or host that cannot be asked, and no file but a table that this process has open itself.
    ``tables`` are those in the tree, by their paths from there; if they are not known, the whole tree is visited for them.
    Raises :class:`OSError` if the tree cannot be read.
    """
    opened = _open_files(tree)
    own = opened.get(os.getpid(), [])
    own_tables = _tables_of(own)
    held, writing = _held(tree, tables, own_tables), {*_open_for_writing(opened)}
    # Who opens a table to read it has its lock a moment before its data, and may have that open for writing for as long. Of
    # who wrote for a moment, what was written is seen.
    for _ in range(_LOOKS):
        if not held and not writing:
            break
        time.sleep(_PAUSE)
        held &= _held(tree, tables, own_tables)
        writing &= {*_open_for_writing(_open_files(tree))}
    held |= {(path, os.getpid()) for path in own_tables if not _only_reads(path, own)}
    by_lock = [Use(path or ".", f"a casacore table that is open: {_process(pid)}") for path, pid in sorted(held)]
    return list({use.path: use for use in (*by_lock, *sorted(writing, key=str))}.values())


def _held(tree: PathAt, tables: Collection[str] | None, passed_over: Collection[str]) -> set[tuple[str, int]]:
    """The tables in a tree that are open, unless they are seen to be only read, and the number of the holder of each."""
    held = set(_held_tables(tree, tables, passed_over))
    opened = _open_files(tree) if held else {}
    return {(path, pid) for path, pid in held if not _only_reads(path, opened.get(pid, ()))}


def visitors(tree: PathAt) -> list[Use]:
    """Look for the processes of this host that stand in a tree, or have a file in it open, if only to read.

    This process and those that it was started by, a shell say, are not told. Raises :class:`OSError`.
    """
    own = set(_ancestors())
    found = {
        pid: Use(files[0].path, _process(pid)) for pid, files in _open_files(tree).items() if files and pid not in own
    }
    for pid, path in _standing(tree):
        if pid not in own:
            found[pid] = Use(path or ".", f"{_process(pid)}, its working directory")
    return list(found.values())


def occupants(tree: PathAt) -> list[Occupant]:
    """Look for all that processes have open in a tree, if only to read, but for this process.

    Processes of other accounts show what they have open to root only, and the lock of a table names one holder of it, if
    several hosts have it open. The whole tree is visited for tables. Raises :class:`OSError` if it cannot be read.
    """
    opened = _open_files(tree)
    # To open and close the lock file of a table that this process has open would drop its locks: close(2) does so.
    own_tables = _tables_of(opened.pop(os.getpid(), ()))
    found = [
        Occupant(str(tree.path / path), kind, writes, **_shown(pid))
        for pid, files in opened.items()
        for path, (kind, writes) in _things(files).items()
    ]
    found += [
        Occupant(str(tree.path / path), "directory", None, **_shown(pid))
        for pid, path in _standing(tree)
        if pid != os.getpid()
    ]
    seen = {(file.path, pid) for pid, files in opened.items() for file in files}
    found += [
        Occupant(str(tree.path / path), "table", writes, **_shown(pid))
        for path, pid, writes in _holders(tree, own_tables)
        if (f"{path}/{TABLE_LOCK}", pid) not in seen
    ]
    return sorted(found, key=lambda one: (one.path, one.pid or 0))


def _holders(tree: PathAt, passed_over: Collection[str]) -> Iterator[tuple[str, int, bool | None]]:
    """The tables in a tree that are open, the number of a process that has each, and True if it is written to."""
    for path, directory in _tables(tree):
        pid = _holder(directory, tree.path / path) if path not in passed_over else None
        if pid is not None:
            is_written_to = _holder(directory, tree.path / path, _WRITING_BYTE, fcntl.F_RDLCK) is not None
            yield path, pid, is_written_to or None


def hidden_processes() -> int:
    """Count the processes of this host whose open files this account may not see."""
    return sum(_is_hidden(f"{PROC}/{pid}/fd") for pid in _names(PROC) if pid.isdecimal())


def _is_hidden(directory: str) -> bool:
    """Tell if a directory is there and this account may not read it: a process may have ended since it was listed."""
    try:
        os.scandir(directory).close()
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


def _things(files: Sequence[_OpenFile]) -> dict[str, tuple[Literal["table", "file"], bool | None]]:
    """What a process has open, by its path: files, and tables as one thing, with their subtables."""
    tables, things = _tables_of(files), dict[str, tuple[Literal["table", "file"], bool | None]]()
    for path, writes in files:
        above = [path[:end] for end in (index for index, sign in enumerate(path) if sign == "/")]
        table = next((one for one in above if one in tables), None)
        if table is None:
            things[path] = ("file", things.get(path, ("file", False))[1] or writes)
        elif posixpath.basename(path) == TABLE_LOCK:  # which readers have open for writing too
            things.setdefault(table, ("table", None))
        else:
            things[table] = ("table", things.get(table, ("table", None))[1] or writes)
    return things


def _tables_of(files: Iterable[_OpenFile]) -> set[str]:
    """The tables whose lock files are among open files."""
    return {posixpath.split(file.path)[0] for file in files if posixpath.basename(file.path) == TABLE_LOCK}


def _standing(tree: PathAt) -> Iterator[tuple[int, str]]:
    """The processes that have their working directory in a tree, each with its path from there."""
    top = _real_path(tree)
    for pid in map(int, filter(str.isdecimal, _names(PROC))):
        here = _path_of(f"{PROC}/{pid}/cwd")
        if top is not None and here is not None and f"{here}/".startswith(f"{top}/"):
            yield pid, here[len(top) + 1 :]


def _shown(pid: int) -> dict[str, Any]:
    """What this host shows of a process: nothing of one of another host, or that a container keeps to itself."""
    try:
        with open(f"{PROC}/{pid}/status", encoding="utf-8", errors="replace") as file:
            fields = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    except OSError:
        return {}
    number = int(fields["Uid"].split()[0])
    try:
        account = pwd.getpwuid(number).pw_name
    except KeyError:
        account = str(number)
    return {
        "host": os.uname().nodename,
        "pid": pid,
        "program": fields["Name"] or "a nameless program",
        "account": account,
    }


def _ancestors() -> Iterator[int]:
    """The numbers of this process and of those above it."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        try:
            with open(f"{PROC}/{pid}/stat", encoding="utf-8", errors="replace") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            return


def _real_path(tree: PathAt) -> str | None:
    """The path of a directory, links resolved, as the kernel has it for open files; None if it shows none."""
    with error_context("open", tree.path):
        descriptor = os.open(tree.name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=tree.directory.descriptor)
    try:
        return _readlink(f"{PROC}/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _open_files(tree: PathAt) -> dict[int, list[_OpenFile]]:
    """The files below a tree that processes of this host have open, by the number of the process."""
    top = _real_path(tree)
    opened: dict[int, list[_OpenFile]] = {}
    for pid in _names(PROC) if top is not None else ():
        if not pid.isdecimal():
            continue
        for number in _names(f"{PROC}/{pid}/fd"):
            path = _path_of(f"{PROC}/{pid}/fd/{number}")
            if path is not None and path.startswith(f"{top}/"):
                file = _OpenFile(path[len(f"{top}/") :], _writes(f"{PROC}/{pid}/fdinfo/{number}"))
                opened.setdefault(int(pid), []).append(file)
    return opened


def _open_for_writing(opened: Mapping[int, Sequence[_OpenFile]]) -> Iterator[Use]:
    own = {file.path for file in opened.get(os.getpid(), ())}  # a log of this run, say, that others have too
    for pid, files in opened.items():
        for file in files:
            is_lock = posixpath.basename(file.path) == TABLE_LOCK  # which readers of a table open for writing too
            if file.writes and not is_lock and file.path not in own:
                yield Use(file.path, _process(pid))


def _only_reads(table: str, files: Sequence[_OpenFile]) -> bool:
    """Tell if a process that has a table open has a file of it open, beside the lock, and none for writing.

    casacore opens the files of a table's data in the way that the table was opened in.
    """
    data = [file for file in files if posixpath.split(file.path)[0] == table and not file.path.endswith(TABLE_LOCK)]
    return bool(data) and not any(file.writes for file in data)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:  # another account's, gone at this moment, or no /proc
        return []


def _readlink(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _path_of(link: str) -> str | None:
    """The path of what a process has open; None if it was removed, as the files of before a copy are.

    Such files may have lain at a path that is in use again: readers of them keep nobody from the next copy.
    """
    path = _readlink(link)
    with contextlib.suppress(OSError):
        if path is not None and path.endswith(" (deleted)") and os.stat(link).st_nlink == 0:
            return None
    return path


def _writes(path: str) -> bool:
    """Tell if a descriptor was opened for writing, by its ``fdinfo``, which has the flags of open(2) in octal."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        for line in file:
            if line.startswith(b"flags:"):
                flags = int(line.split()[1], 8)
                return flags & os.O_ACCMODE != os.O_RDONLY and not flags & _O_PATH
    return False


def _process(pid: int) -> str:
    """A process in words. The server's answer may name one of another host, or none."""
    with contextlib.suppress(OSError), open(f"{PROC}/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return f"{file.read().strip()}, pid {pid} on this host"
    return "a process that this host does not show"


def _held_tables(
    tree: PathAt, tables: Collection[str] | None, passed_over: Collection[str]
) -> Iterator[tuple[str, int]]:
    """The tables in a tree that are open, and the number of a process that has each."""
    for path, directory in _tables(tree) if tables is None else _opened(tree, tables):
        if path not in passed_over:
            pid = _holder(directory, tree.path / path)
            if pid is not None:
                yield path, pid


def _tables(tree: PathAt) -> Iterator[tuple[str, int]]:
    """The paths of all tables in a tree, each with its open directory."""
    for path, directory, locks in visit(tree, lambda entry: entry.name == TABLE_LOCK):
        if locks:
            yield path, directory


def _opened(tree: PathAt, tables: Collection[str]) -> Iterator[tuple[str, int]]:
    """The same of tables that are known, as far as they are still there."""
    stack = DirStack(tree.directory.descriptor, tree.name)
    try:
        for path in sorted(tables):
            with error_context("open", tree.path / path):
                try:
                    directory = stack.open(path)
                except (FileNotFoundError, NotADirectoryError):
                    continue
            yield path, directory
    finally:
        stack.close()


def _holder(directory: int, path: Path, byte: int = _OPENED_BYTE, beside: int = fcntl.F_WRLCK) -> int | None:
    """The number of the process that has a table open; None if none has, or if nobody can be asked.

    Of another ``byte`` of its lock file, that of the process which would refuse this kind of lock ``beside`` its own.
    """
    query = _Flock(beside, os.SEEK_SET, byte, 1, 0)
    try:
        file = os.open(TABLE_LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            answer = _Flock.from_buffer_copy(fcntl.fcntl(file, _F_OFD_GETLK, bytes(query)))
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ESTALE):
            raise path_error(error, "list", path) from error
        return None  # not readable for this account, no file, or a file system without locks
    return None if answer.type == fcntl.F_UNLCK else answer.pid
