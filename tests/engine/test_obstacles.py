"""What hinders a move to another file system is known before anything moves, or left behind with a warning."""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.engine.survey import State
from conveyor.filesystem import syscalls
from conveyor.filesystem.posix import DirFd, FileSystem, Space
from conveyor.filesystem.treecopy.striping import Striping
from conveyor.filesystem.treecopy.target_limits import Limit
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.inventory import inventory
from support.lustre import FakeLustre, striped, with_objects
from support.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.workspace import Workspace

_FLAGS = syscalls.IMMUTABLE | syscalls.APPEND_ONLY
_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
_STAYS = "stays.txt"


class Stage:
    """A request whose QA area is on another file system; ``qa`` is its folder there."""

    def __init__(self, workspace: Workspace, memory: Path) -> None:
        (memory / "qa2").mkdir()
        self.spool, self.qa, self.root = workspace.spool, memory / "qa2" / workspace.request, workspace.root
        self.area = memory / "qa2"
        places = Places(workspace.request, workspace.spool, memory / "qa2", memory / "weblogs", relative_links=False)
        self.request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))

    def run(self, operation: Operation, *, dry_run: bool = False) -> Outcome:
        environment = Environment(FileSystem(pause=lambda _: None))
        return convey(self.request, operation, environment, Outcome(str(operation), None), dry_run=dry_run)

    def everything(self) -> dict[bytes, object]:
        """All that there is at both ends, but for the times of directories."""
        both = inventory(self.spool) | {b"qa2/" + path: item for path, item in inventory(self.area).items()}
        return {path: item.content for path, item in both.items()}

    def refused(self, operation: Operation, code: str, *, retryable: bool = False) -> str:
        """Refuse, by a dry run too, with nothing changed, and a retry advised or not; the message and its hint."""
        before = self.everything()
        rehearsal, outcome = self.run(operation, dry_run=True).error, self.run(operation).error
        assert rehearsal is not None
        assert outcome is not None
        assert (rehearsal.code, outcome.code, outcome.retryable) == (code, code, retryable)
        assert self.everything() == before
        return f"{outcome.message}; {outcome.hint}"


@pytest.fixture
def stage(workspace: Workspace, memory_folder: Path) -> Stage:
    """The request, before its delivery to another file system."""
    return Stage(workspace, memory_folder)


@pytest.fixture
def public_stage(public_workspace: Workspace, memory_folder: Path) -> Stage:
    """The same in a workspace that an ordinary account may work in."""
    memory_folder.chmod(0o777)
    return Stage(public_workspace, memory_folder)


def set_flag(monkeypatch: pytest.MonkeyPatch, path: Path, flag: int) -> None:
    """Let the kernel tell a flag of what is at a path now, wherever it goes, and of nothing else."""
    inode, statuses = path.stat().st_ino, syscalls.statuses

    def with_flag(directory: int, names: Sequence[str]) -> list[tuple[int, ...]]:
        inodes = [os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino for name in names]
        entries = zip(inodes, statuses(directory, names), strict=True)
        return [(flag, *entry[1:]) if found == inode else entry for found, entry in entries]

    monkeypatch.setattr(syscalls, "statuses", with_flag)

    def inode_flags(directory: int, name: str = "") -> tuple[int, int]:
        status = os.stat(name or ".", dir_fd=directory, follow_symlinks=False)
        return (flag if status.st_ino == inode else 0), _FLAGS

    monkeypatch.setattr(syscalls, "inode_flags", inode_flags)


def keep(monkeypatch: pytest.MonkeyPatch, code: int = errno.EPERM) -> None:
    """Let nobody remove what has a certain name."""
    real = os.unlink

    def unlink(name: str, *, dir_fd: int | None = None) -> None:
        if name == _STAYS:
            raise OSError(code, os.strerror(code))
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)


@pytest.mark.parametrize(("flag", "remedy"), [(syscalls.IMMUTABLE, "chattr -i"), (syscalls.APPEND_ONLY, "chattr -a")])
@pytest.mark.parametrize("where", [".", "products", "products/folder", "products/folder/file.txt"])
def test_a_flag_of_what_has_to_go_from_spool_is_seen_before_anything_moves(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, where: str, flag: int, remedy: str
) -> None:
    """A file or directory that is immutable or append-only is named with the command that helps, and nothing moves."""
    set_flag(monkeypatch, stage.spool / where, flag)
    said = stage.refused(Operation.DELIVER, "unmovable")
    assert f"{stage.spool / where} " in said
    assert remedy in said


@pytest.mark.parametrize("where", ["qa2", "spool/{}", "spool/{}/working"])
def test_a_flag_keeps_what_would_be_renamed_where_it_is(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """On one file system too, a folder that nothing can be taken out of, or put into, is named before anything moves."""
    area = workspace.root / "qa2"
    places = Places(workspace.request, workspace.spool, area, workspace.root / "weblogs", relative_links=False)
    path = workspace.root / where.format(workspace.request)
    set_flag(monkeypatch, path, syscalls.APPEND_ONLY)
    request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))
    error = convey(request, Operation.DELIVER, Environment(), Outcome("deliver", None)).error
    assert error is not None
    assert (error.code, error.message) == ("unmovable", f"{path} is append-only")
    assert os.listdir(area) == []


def test_a_read_only_file_system_is_called_read_only(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the account that lacks something where nobody can write."""
    real = os.statvfs
    monkeypatch.setattr(
        os, "statvfs", lambda place: os.statvfs_result([*list(real(place))[:8], os.ST_RDONLY, real(place)[9]])
    )
    said = stage.refused(Operation.DELIVER, "read-only", retryable=True)
    assert "mounted read-only" in said
    assert "account" not in said


def test_the_flags_of_the_kernel_are_read(tmp_path: Path) -> None:
    """What the kernel tells of a plain file is that it has neither flag; of nothing, nothing."""
    (tmp_path / "file").touch()
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        for name in ("", "file"):
            flags, known = syscalls.inode_flags(directory, name)
            assert (flags & _FLAGS, flags & ~known) == (0, 0)
        assert syscalls.inode_flags(directory, "nothing") == (0, 0)
    finally:
        os.close(directory)


@_AS_ROOT
@pytest.mark.parametrize("mode", [0o755, 0o1777], ids=["not writable", "sticky"])
def test_a_folder_of_another_account_in_spool_is_seen_before_anything_moves(public_stage: Stage, mode: int) -> None:
    """What this account may copy and not remove is named with its owner's part, and nothing moves."""
    folder = public_stage.spool / "products" / "theirs"
    folder.mkdir()
    (folder / "file").write_text("x")
    act = as_nobody(public_stage.root)
    os.chown(public_stage.area, 65534, 65534)
    for path in (folder, folder / "file"):
        os.chown(path, 54400, 54400)
    folder.chmod(mode)
    said = act(lambda: public_stage.refused(Operation.DELIVER, "unmovable"))
    assert "another account's" in said
    assert str(folder) in said


@_AS_ROOT
def test_a_file_that_may_not_be_read_is_seen_before_anything_moves(public_stage: Stage) -> None:
    """A file of the last directory that this account may not read keeps the first one in spool too."""
    secret = public_stage.spool / "working" / "secret"
    secret.touch()
    act = as_nobody(public_stage.root)
    os.chown(public_stage.area, 65534, 65534)
    os.chown(secret, 54400, 54400)
    secret.chmod(0o600)

    def deliver(*, dry_run: bool) -> str:
        return str(public_stage.run(Operation.DELIVER, dry_run=dry_run).error)

    for dry_run in (True, False):
        assert str(secret) in act(partial(deliver, dry_run=dry_run))
        assert not public_stage.qa.exists()


@_AS_ROOT
def test_a_folder_of_an_analyst_does_not_keep_a_request_in_the_qa_area(public_stage: Stage) -> None:
    """It comes home as a copy; what this account may not remove of it is left behind, and named by the dry run too."""
    act = as_nobody(public_stage.root)
    os.chown(public_stage.area, 65534, 65534)
    folder = public_stage.qa / "products" / "notes"
    act(lambda: public_stage.run(Operation.DELIVER).raise_for_error().changed)
    folder.mkdir()
    (folder / "verdict").write_text("fine")
    os.chown(folder, 54400, 54400)
    [planned] = act(lambda: public_stage.run(Operation.RETRIEVE, dry_run=True).raise_for_error().warnings)
    assert str(folder) in planned
    state, warnings = act(
        lambda: [(done := public_stage.run(Operation.RETRIEVE).raise_for_error()).state, done.warnings]
    )
    left = public_stage.qa / ".conveyor" / "products.left.1"
    assert state == State.IN_SPOOL
    assert str(left) in warnings[-1]
    assert (public_stage.spool / "products" / "notes" / "verdict").read_text() == "fine"
    assert sorted(inventory(left)) == [b".", b"notes", b"notes/verdict"]


@pytest.mark.parametrize("operation", [Operation.RETRIEVE, Operation.QA_FAIL])
def test_what_is_left_behind_goes_as_soon_as_it_can(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, operation: Operation
) -> None:
    """What cannot be removed in the QA area keeps no request from going out and home again; once it can be, it goes."""
    stage.run(Operation.DELIVER).raise_for_error()
    (stage.qa / "rawdata" / _STAYS).write_text("x")
    with monkeypatch.context() as patch:
        keep(patch)
        for number in (1, 2):
            home = stage.run(operation).raise_for_error()
            left = stage.qa / ".conveyor" / f"rawdata.left.{number}"
            assert home.state is State.IN_SPOOL
            assert any(str(left) in warning for warning in home.warnings)
            assert [path.name for path in left.iterdir()] == [_STAYS]
            again = stage.run(Operation.RETRIEVE).raise_for_error()
            assert (again.state, again.changed) == (State.IN_SPOOL, False)
            assert len(again.warnings) >= number
            stage.run(Operation.DELIVER).raise_for_error()
    assert stage.run(Operation.DELIVER).raise_for_error().changed
    assert not stage.run(Operation.DELIVER).raise_for_error().changed
    stage.run(operation).raise_for_error()
    assert not stage.qa.exists()
    assert (stage.spool / "rawdata" / _STAYS).exists()


def test_what_is_left_behind_of_a_request_that_is_home_goes_with_its_folder(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next way home of a request that is home removes what it can by then, and the QA folder that held it."""
    stage.run(Operation.DELIVER).raise_for_error()
    (stage.qa / "rawdata" / _STAYS).write_text("x")
    with monkeypatch.context() as patch:
        keep(patch)
        stage.run(Operation.RETRIEVE).raise_for_error()
    assert stage.qa.exists()
    assert stage.run(Operation.RETRIEVE).raise_for_error().changed
    assert not stage.qa.exists()


@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_what_an_earlier_release_could_not_remove_stops_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, operation: Operation
) -> None:
    """The source that a run could not remove at its end, and left on its way out, is set aside by the next one."""
    stage.run(Operation.DELIVER).raise_for_error()
    staged = stage.spool / ".conveyor" / "rawdata.outgoing"
    staged.mkdir()
    (staged / _STAYS).write_text("x")
    keep(monkeypatch)
    done = stage.run(operation).raise_for_error()
    assert done.state is (State.IN_QA if operation is Operation.DELIVER else State.IN_SPOOL)
    left = stage.spool / ".conveyor" / "rawdata.left.1"
    assert [path.name for path in left.iterdir()] == [_STAYS]
    assert any(str(left) in warning for warning in done.warnings)


def test_a_file_that_a_process_holds_open_on_nfs_stops_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NFS keeps a removed file that is open under a name of its own, the delivery is finished all the same."""
    real, held = os.unlink, ".nfs000000000000002a00000001"

    def unlink(name: str, *, dir_fd: int | None = None) -> None:
        if name == held:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        if name == _STAYS:
            os.rename(name, held, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            real(name, dir_fd=dir_fd)

    (stage.spool / "rawdata" / "folder" / _STAYS).write_text("open")
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        done = stage.run(Operation.DELIVER).raise_for_error()
    left = stage.spool / ".conveyor" / "rawdata.left.1"
    assert done.state is State.IN_QA
    assert any("a process holds it open" in warning for warning in done.warnings)
    assert sorted(inventory(left)) == [b".", b"folder", b"folder/" + os.fsencode(held)]
    stage.run(Operation.DELIVER).raise_for_error()
    assert not left.exists()


class Unmounted(FileSystem):
    """A server that gives no access to the QA area any more, once a copy is about to be made there."""

    gone = False

    def sets_link_times(self, *_: object) -> bool:
        self.gone = True
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def space(self, directory: DirFd) -> Space:
        self._answer()
        return super().space(directory)

    def listdir(self, directory: DirFd) -> list[str]:
        self._answer()
        return super().listdir(directory)

    def _answer(self) -> None:
        if self.gone:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_server_that_is_gone_is_not_called_a_lack_of_permission(stage: Stage) -> None:
    """Where an end that is held open does not answer any more, a later try is advised, and no state is made up."""
    outcome = convey(stage.request, Operation.DELIVER, Environment(Unmounted()), Outcome("deliver", None))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.retryable, outcome.state) == ("server-gone", True, None)
    assert stage.run(Operation.DELIVER).raise_for_error().state is State.IN_QA


REFUSALS = [errno.ENOTSUP, errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EPERM, errno.EINVAL]


@pytest.mark.parametrize("code", REFUSALS, ids=[errno.errorcode[code] for code in REFUSALS])
@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_an_attribute_that_the_target_refuses_is_seen_before_anything_moves(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, operation: Operation, code: int
) -> None:
    """An extended attribute that the other file system does not take is named with its file, and nothing moves."""
    end = stage.spool
    if operation is Operation.RETRIEVE:
        stage.run(Operation.DELIVER).raise_for_error()
        end = stage.qa
    file = end / "working" / "folder" / "file.txt"
    try:
        os.setxattr(file, "user.origin", b"https://archive")
    except OSError as error:
        pytest.skip(f"no such attributes here: {error}")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "setxattr", refuse)
        said = stage.refused(operation, "uncopyable")
    assert f"user.origin (15 bytes) of {file}" in said
    assert "setfattr -x user.origin" in said
    stage.run(operation).raise_for_error()


def test_what_is_too_long_for_the_target_is_seen_before_anything_moves(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is too long for the other file system is named with its length, and nothing moves."""
    name = "ä" * 100
    (stage.spool / "working" / name).touch()
    real = os.fstatvfs
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstatvfs", lambda place: os.statvfs_result([*list(real(place))[:9], 143]))
        said = stage.refused(Operation.DELIVER, "uncopyable")
    assert f"a name of 200 bytes, as that of {stage.spool / 'working' / name}" in said
    stage.run(Operation.DELIVER).raise_for_error()


def test_too_many_names_of_a_file_are_seen_before_anything_moves(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has more names than the other file system gives to one is named, and nothing moves."""
    first = stage.spool / "working" / "first"
    first.touch()
    for number in range(1100):
        (stage.spool / "working" / f"name {number}").hardlink_to(first)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fpathconf", lambda _place, _name: 1023)
        assert "1101 names of one file" in stage.refused(Operation.DELIVER, "uncopyable")
    stage.run(Operation.DELIVER).raise_for_error()


@pytest.mark.parametrize(("call", "code"), [("symlink", errno.ENAMETOOLONG), ("ftruncate", errno.EFBIG)])
def test_a_long_link_or_file_is_tried_before_anything_moves(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """A link's text, or a file, that the other file system finds too long is named, and nothing moves."""
    path, real = stage.spool / "working" / "long", getattr(os, call)
    if call == "symlink":
        path.symlink_to("x/" * 700)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 20)

    def refuse(*arguments: Any, **options: Any) -> None:
        if any(
            (isinstance(one, int) and one == 1 << 20) or (isinstance(one, str) and len(one) > 1023) for one in arguments
        ):
            raise OSError(code, os.strerror(code))
        real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Limit, "harmless", property(lambda _: 1000))
        patch.setattr(os, call, refuse)
        assert str(path) in stage.refused(Operation.DELIVER, "uncopyable")
    stage.run(Operation.DELIVER).raise_for_error()


def test_a_time_that_the_target_does_not_keep_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file whose time will be another one is named by the dry run, and by the delivery, which goes on."""
    file, real = stage.spool / "working" / "folder" / "file.txt", os.utime
    os.utime(file, (-86_400, -86_400))

    def utime(place: Any, *, ns: tuple[int, int], **options: Any) -> None:
        real(place, ns=(max(ns[0], 0), max(ns[1], 0)), **options)

    monkeypatch.setattr(os, "utime", utime)
    for dry_run in (True, False):
        [warning] = stage.run(Operation.DELIVER, dry_run=dry_run).raise_for_error().warnings
        assert str(file) in warning
    assert (stage.qa / "working" / "folder" / "file.txt").stat().st_mtime == 0
    stage.run(Operation.RETRIEVE).raise_for_error()


def test_a_layout_that_the_target_does_not_keep_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dry run counts what is striped otherwise on Lustre, and so does the delivery, which goes on."""
    file = stage.spool / "working" / "folder" / "file.txt"
    lustre = FakeLustre(stage.spool)
    lustre.choose(file, with_objects(Striping((striped(3),))))
    lustre.patch(monkeypatch)
    for dry_run in (True, False):
        [warning] = stage.run(Operation.DELIVER, dry_run=dry_run).raise_for_error().warnings
        assert f"does not keep Lustre's layout of 1 entry, such as {file}: that file system has no layouts" in warning
    assert (stage.qa / "working" / "folder" / "file.txt").is_file()


def test_what_a_target_takes_is_asked_without_a_trace(stage: Stage) -> None:
    """Neither a dry run nor a delivery leaves a scratch file in the area, and attributes arrive."""
    try:
        os.setxattr(stage.spool / "rawdata", "user.note", b"x" * 100)
    except OSError as error:
        pytest.skip(f"no such attributes here: {error}")
    stage.run(Operation.DELIVER, dry_run=True).raise_for_error()
    assert os.listdir(stage.area) == []
    stage.run(Operation.DELIVER).raise_for_error()
    assert os.getxattr(stage.qa / "rawdata", "user.note") == b"x" * 100
    assert os.listdir(stage.area) == [stage.qa.name]
