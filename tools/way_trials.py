"""Trials of what file systems do: each way that a directory can go from one place to another, and what others see of it.

Each trial is a function of two directories between which something is to go, and returns the cell of a table: a few words,
or the name of the error.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from conveyor.errors import ConveyorError
from conveyor.filesystem import syscalls
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.check_manifest import verify
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt
from conveyor.filesystem.treecopy.retag import TreeProjects
from conveyor.filesystem.treecopy.retag import retag as retag_tree
from conveyor.filesystem.treecopy.server_copy import is_served
from conveyor.filesystem.treecopy.transfer import transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE = 100_000  # bytes
_WATCH = 3  # seconds of swaps under the eyes of a reader
_PATIENCE = 30  # seconds for a trial
_NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP"}
_MOMENT = 1_400_000_000_123_456_789


@dataclass
class Places:
    """Two directories, and trees in the first that were made before it could be mounted, if they had to be.

    ``elsewhere`` is the first as another client sees it, if there is one.
    """

    one: Path
    other: Path
    made: Iterator[str] = field(default_factory=lambda: iter(()))
    elsewhere: Path | None = None
    _number: Iterator[int] = field(default_factory=count)

    def tree(self) -> tuple[Path, Path]:
        """A directory with a file in it, and the place where it is to go."""
        name = next(self.made, None)
        if name is None:
            name = f"tree{next(self._number)}"
            make_tree(self.one / name)
        return self.one / name, self.other / name


def make_tree(tree: Path) -> None:
    """Make a directory with a file in it."""
    tree.mkdir()
    (tree / "file").write_bytes(os.urandom(SIZE))


def answer(trial: Callable[[Places], str], places: Places) -> str:
    """The result of a trial, or the name of the error that it ended with."""
    try:
        return _in_time(trial, places)
    except OSError as error:
        return _NAMES.get(error.errno or 0, str(error))
    except ConveyorError as error:
        return f"refused: `{error.code}`"


def _in_time(trial: Callable[[Places], str], places: Places) -> str:
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(_PATIENCE)
    try:
        return trial(places)
    finally:
        signal.alarm(0)


def _give_up(*_: object) -> None:
    raise OSError(errno.ETIME, f"nothing came of it in {_PATIENCE} s")


def exchange(places: Places) -> str:
    """Let a directory and a link to where it goes trade places."""
    source, goal = places.tree()
    goal.symlink_to(source)
    _exchange(source, goal)
    whole = (goal / "file").stat().st_size == SIZE
    return "yes" if whole and source.is_symlink() else "it lies"


def renames(places: Places) -> str:
    """Rename a directory, whole."""
    source, goal = places.tree()
    source.rename(goal)
    return "yes" if (goal / "file").stat().st_size == SIZE and not source.exists() else "it lies"


def retag(places: Places) -> str:
    """Rename a directory that was given the target's project ID, and give that to all in it."""
    source, goal = places.tree()
    fs = FileSystem()
    with fs.open_root(source.parent) as here, fs.open_root(goal.parent) as there:
        own, wanted = fs.project(here, source.name), fs.project(there)
        if wanted is None:
            return "no project IDs"
        fs.give_project(here, source.name, wanted)
        fs.rename(here, source.name, there, goal.name)
        retag_tree(PathAt(there, goal.name), TreeProjects(wanted), fs.project_calls, CopyOptions(), CopyMonitor())
        with fs.open_directory(there, goal.name) as opened:
            found = fs.project(opened, "file")
        if own == wanted:
            return "not needed"
        return "yes" if found is not None and found.number == wanted.number else "it lies"


def served(places: Places) -> str:
    """Find out whether Conveyor asks the server to copy, by the types of the two file systems."""
    source, goal = places.tree()
    with (source / "file").open("rb") as file, goal.open("w+b") as copy:
        return "asked" if is_served(file.fileno(), copy.fileno()) else "no server"


def clone(places: Places) -> str:
    """Let a file share the blocks of another one."""
    source, goal = places.tree()
    with (source / "file").open("rb") as file, goal.open("w+b") as copy:
        syscalls.clone(file.fileno(), copy.fileno())
    return "yes" if goal.read_bytes() == (source / "file").read_bytes() else "it lies"


def copy(places: Places) -> str:
    """Copy and verify a directory with everything that a file can have; what is not the same in the copy."""
    source, goal = places.tree()
    wanted = _adorn(source)
    time.sleep(1.1)  # what the kernel remembers of a file on FUSE is up to a second old
    with ExitStack() as stack:
        fs = FileSystem()
        ends = [stack.enter_context(fs.open_root(path)) for path in (source.parent, goal.parent)]
        probe = fs.sets_link_times(ends[1], goal.name)
        manifest = PathAt(ends[0], source.name + ".manifest")
        options = CopyOptions(link_attributes=probe)
        transfer(PathAt(ends[0], source.name), PathAt(ends[1], goal.name), manifest, options)
        found: list[object] = []
        if verify(PathAt(ends[1], goal.name), manifest, found.append) is None or found:
            return "it differs"
    return _lost(wanted, _adornments(goal))


def what_a_rename_changes(places: Places) -> str:
    """Rename a directory with everything that a file can have; what is not the same afterwards."""
    source, goal = places.tree()
    wanted = _adorn(source) | {"inode": (source / "file").stat().st_ino}
    source.rename(goal)
    return _lost(wanted, _adornments(goal) | {"inode": (goal / "file").stat().st_ino})


def readers_of_exchanges(places: Places) -> str:
    """Look at a path again and again while the directory in it and a link trade places.

    From either place the link leads to the other one.
    """
    source, goal = places.tree()
    for here, there in ((source, goal), (goal, source)):
        (here.parent / "peer").unlink(missing_ok=True)
        (here.parent / "peer").symlink_to(there.parent)
    goal.symlink_to(f"peer/{source.name}")
    return _watched(source / "file", lambda: _exchange(source, goal))


def readers_of_renames(places: Places) -> str:
    """The same while the directory is renamed away, and a link is renamed into its place; and back."""
    source, goal = places.tree()
    link = source.with_name("bridge")

    def there_and_back() -> None:
        link.symlink_to(goal)
        source.rename(goal)
        link.rename(source)
        source.unlink()
        goal.rename(source)

    return _watched(source / "file", there_and_back)


def open_after_a_rename(places: Places) -> str:
    """Go on reading a file that was open when its directory was renamed."""
    source, goal = places.tree()
    with (source / "file").open("rb", buffering=0) as file:
        first = file.read(10)
        source.rename(goal)
        return "go on" if first + file.read(SIZE) == (goal / "file").read_bytes() else "read something else"


def open_after_a_removal(places: Places) -> str:
    """Go on reading a file that was open when it was removed, as the source of a copy is."""
    source, _ = places.tree()
    content = (source / "file").read_bytes()
    with (source / "file").open("rb", buffering=0) as file:
        first = file.read(10)
        (source / "file").unlink()
        said = "go on" if first + file.read(SIZE) == content else "read something else"
        try:
            source.rmdir()
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            said += ", and keep the directory"
        return said


def locks(places: Places) -> str:
    """Lock a file, and try the lock by another process at the path that its directory was renamed to."""
    held = {}
    for name, lock in (("flock", fcntl.flock), ("fcntl", fcntl.lockf)):
        source, goal = places.tree()
        with (source / "file").open("r+b") as file:
            lock(file, fcntl.LOCK_EX)
            source.rename(goal)
            held[name] = _in_child(partial(_is_locked, goal / "file", lock))
    return ", ".join(f"{name} {'stays' if stays else 'is lost'}" for name, stays in held.items())


def _is_locked(path: Path, lock: Callable[..., object]) -> bool:
    with path.open("r+b") as file:
        try:
            lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return True
    return False


def _in_child(look: Callable[[], bool]) -> bool:
    """The answer of another process."""
    if (pid := os.fork()) == 0:
        try:
            os._exit(int(look()))
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, 1):
        raise OSError(errno.EIO, "the other process failed")
    return bool(code)


def _watched(path: Path, act: Callable[[], None]) -> str:
    """Act again and again while another process looks at a path, until it misses it, or for some seconds."""
    missed = mmap.mmap(-1, 1)
    if (pid := os.fork()) == 0:
        while True:  # until it is killed
            try:
                os.stat(path)
            except OSError:
                missed[0] = 1
    try:
        end = time.monotonic() + _WATCH
        while time.monotonic() < end and not missed[0]:
            act()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return "missing for moments" if missed[0] else "always there"


def _exchange(one: Path, other: Path) -> None:
    parents = [os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY) for path in (one, other)]
    try:
        syscalls.exchange(parents[0], one.name, parents[1], other.name)
    finally:
        for parent in parents:
            os.close(parent)


def _adorn(tree: Path) -> dict[str, object]:
    """Give a file everything that it can have here; what it has then."""
    file = tree / "file"
    with file.open("ab") as opened:
        opened.truncate(1 << 20)
    os.link(file, tree / "second")
    (tree / "link").symlink_to("file")
    acts: list[Callable[[], object]] = [
        lambda: os.setxattr(file, "user.note", b"note"),
        lambda: os.setxattr(file, "trusted.note", b"note"),
        lambda: subprocess.run(["setfacl", "-m", "u:1234:r", file], check=False, capture_output=True),
        lambda: os.chown(file, 12, 34),
        lambda: file.chmod(0o4640),
        lambda: os.utime(tree / "link", ns=(_MOMENT, _MOMENT), follow_symlinks=False),
    ]
    for act in acts:
        with suppress(OSError):  # what this file system does not have is not missed afterwards
            act()
    os.utime(file, ns=(_MOMENT, _MOMENT))
    return _adornments(tree)


def _adornments(tree: Path) -> dict[str, object]:
    file = tree / "file"
    status, link = file.stat(), (tree / "link").lstat()
    try:
        names = set(os.listxattr(file))
    except OSError:
        names = set()
    return {
        "content": file.read_bytes()[:SIZE],
        "holes": status.st_blocks * 512 < 1 << 19,
        "hard links": status.st_ino == (tree / "second").stat().st_ino,
        "mode": status.st_mode,
        "owner": (status.st_uid, status.st_gid),
        "time": status.st_mtime_ns,
        "time of links": link.st_mtime_ns,
        "ACL": "system.posix_acl_access" in names,
        "user.*": "user.note" in names,
        "trusted.*": "trusted.note" in names,
    }


def _lost(wanted: dict[str, object], found: dict[str, object]) -> str:
    lost = [name for name, value in wanted.items() if found[name] != value]
    return f"all but {', '.join(lost)}" if lost else "all"
