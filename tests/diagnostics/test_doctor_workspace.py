"""The doctor's checks of the areas, which write nothing."""

from __future__ import annotations

import errno
import os
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.api.areas import init_areas
from conveyor.api.notifying import notify
from conveyor.diagnostics import area_checks, doctor
from conveyor.diagnostics.findings import Group, Severity, info
from conveyor.errors import ConfigurationError
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.mounts import Mount, mounts
from conveyor.filesystem.posix import DirFd, FileSystem, Space
from conveyor.layout import OUTBOX, WAITING
from support.doctor import examined, findings_of, only_finding
from support.inventory import inventory
from support.receivers import settings_for
from support.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conveyor.diagnostics.findings import Finding
    from support.workspace import Workspace

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")


class Down(FileSystem):
    """A file system with a directory that cannot be opened."""

    def __init__(self, path: Path, code: int) -> None:
        super().__init__()
        self._path = path
        self._code = code

    def open_root(self, path: Path) -> DirFd:
        if path == self._path:
            with error_context("open", path):
                raise OSError(self._code, os.strerror(self._code))
        return super().open_root(path)


class Small(FileSystem):
    """A file system with little room."""

    def __init__(self, left: Space) -> None:
        super().__init__()
        self._left = left

    def space(self, folder: DirFd) -> Space:
        return self._left


def mounted_with(workspace: Workspace, type_: str, *options: str) -> Callable[[], list[Mount]]:
    """A mount table in which the workspace is a mount of its own."""
    mount = Mount(workspace.root.resolve(), type_, "server:/x", frozenset(options))
    return lambda: [*mounts(), mount]


def test_a_whole_workspace_is_told_area_by_area(workspace: Workspace) -> None:
    """Spool, each QA area, and in the place of a weblog cache that is still to be made the directory that it goes in."""
    found = {one.subject: one.severity for one in findings_of(examined(workspace), "there")}
    assert found == {
        "spool": Severity.OK,
        "qa2": Severity.OK,
        "image-qa": Severity.OK,
        "workspaces": Severity.INFO,
    }
    (workspace.root / "weblog-cache").mkdir()
    assert only_finding(examined(workspace), "there", "weblog-cache").severity is Severity.OK


def test_nothing_configured_and_nothing_named_says_what_to_set() -> None:
    """Without a metadata file and a spool root there is nothing to go by, and the hint says what to give."""
    with pytest.raises(ConfigurationError) as caught:
        doctor()
    assert "CONVEYOR_SPOOL_ROOT" in caught.value.hint


def test_a_spool_root_is_enough(workspace: Workspace) -> None:
    """With the spool root set and no file named, the same areas are found."""
    report = examined(workspace, metadata=(), settings={"spool_root": workspace.root / "spool"})
    assert [one.subject for one in findings_of(report, "there")] == ["spool", "image-qa", "qa2", "workspaces"]


def test_notices_that_nobody_sends_are_a_warning(workspace: Workspace) -> None:
    """One that has waited for long is told of, with the command that sends it, unless that ran meanwhile."""
    area = workspace.spool.parent
    config = settings_for(area, {"log": {"command": "true"}})
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    outbox = area / OUTBOX
    [waiting] = (outbox / WAITING).iterdir()

    def seen(age: float) -> Finding:
        os.utime(outbox, (time.time() - age,) * 2)
        return only_finding(examined(workspace, metadata=(), settings={"spool_root": area}), "notices")

    assert seen(9000).severity is Severity.OK
    os.utime(waiting, (time.time() - 7260,) * 2)
    assert seen(60).severity is Severity.OK
    found = seen(9000)
    assert (found.severity, found.commands) == (Severity.WARNING, ("conveyor notify",))
    assert found.what == "notices wait, 1 of them, one for 2 h 1 min, and nobody sends them"
    notify(config)
    assert only_finding(examined(workspace, metadata=(), settings={"spool_root": area}), "notices").what.endswith(": 0")


def test_two_workspaces_are_both_looked_at_under_names_of_their_own(workspace: Workspace, tmp_path: Path) -> None:
    """Requests of two workspaces bring two sets of areas; if two have one name the path tells them apart."""
    shutil.copytree(workspace.root, tmp_path / "other", symlinks=True)
    other = replace(workspace, root=tmp_path / "other")
    other.write_metadata()
    report = examined(workspace, metadata=(workspace.metadata, other.metadata))
    assert {str(workspace.root / "qa2"), str(other.root / "qa2")} <= {
        one.subject for one in findings_of(report, "there")
    }
    assert len(findings_of(report, "directories-cross")) == 4


def test_a_missing_area_that_is_needed_is_an_error(workspace: Workspace) -> None:
    """The QA area of a request that is looked at is an error; another one a warning; both say what is there."""
    shutil.rmtree(workspace.root / "qa2")
    shutil.rmtree(workspace.root / "image-qa")
    report = examined(workspace)
    assert only_finding(report, "there", "qa2").severity is Severity.ERROR
    assert f"{workspace.root} is" in only_finding(report, "there", "qa2").what
    assert only_finding(report, "there", "image-qa").severity is Severity.WARNING


def test_a_spool_root_that_is_missing_is_an_error(workspace: Workspace) -> None:
    """A spool root that is not there stops nothing: all the rest is looked at."""
    report = examined(workspace, metadata=(), settings={"spool_root": workspace.root / "gone"})
    assert only_finding(report, "there", "gone").severity is Severity.ERROR
    assert only_finding(report, "there", "qa2").severity is Severity.OK


def test_an_area_that_is_a_file_is_an_error(workspace: Workspace) -> None:
    """A file in the place of an area is told as one."""
    shutil.rmtree(workspace.root / "qa2")
    (workspace.root / "qa2").touch()
    assert "is not a directory" in only_finding(examined(workspace), "there", "qa2").what


@pytest.mark.parametrize("code", [errno.ESTALE, errno.ENOTCONN, errno.EIO, errno.ENFILE])
def test_a_server_that_is_down_is_an_error(workspace: Workspace, code: int) -> None:
    """An area that cannot be opened for another reason is told with it."""
    finding = only_finding(examined(workspace, fs=Down(workspace.root / "qa2", code)), "there", "qa2")
    assert finding.severity is Severity.ERROR
    assert os.strerror(code) in finding.what


@pytest.mark.parametrize("there", [True, False])
def test_an_area_below_a_mount_point_with_nothing_mounted_is_an_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """If fstab has a file system at or above an area and it is not mounted, that is said, and how to mount it."""
    point = workspace.root.resolve() / "qa2"
    monkeypatch.setattr(area_checks, "not_mounted", lambda path, _: point if path.is_relative_to(point) else None)
    if not there:
        point.rmdir()
    report = examined(workspace)
    assert only_finding(report, "there", "qa2").severity is Severity.ERROR
    assert only_finding(report, "there", "qa2").commands == (f"mount {point}",)
    assert only_finding(report, "there", "image-qa").severity is Severity.OK


@ROOT_ONLY
def test_what_an_unprivileged_account_may_not_do_is_told(public_workspace: Workspace) -> None:
    """An area that may not be written, one that may be listed and not searched, and one that may not be opened."""
    root = public_workspace.root
    act = as_nobody(root)
    (root / "weblog-cache").mkdir()
    for name, mode in (("qa2", 0o755), ("image-qa", 0o744), ("weblog-cache", 0o711)):
        os.chown(root / name, 0, 0)
        (root / name).chmod(mode)

    def look() -> list[list[str]]:
        report = examined(public_workspace)
        return [[one.check, one.subject, str(one.severity)] for one in report.findings if one.group == "workspace"]

    found = act(look)
    assert ["there", "qa2", "ok"] in found
    assert ["permissions", "qa2", "error"] in found
    assert ["there", "image-qa", "warning"] in found
    assert ["there", "weblog-cache", "error"] in found
    assert ["permissions", "spool", "ok"] in found


@ROOT_ONLY
def test_a_spool_area_that_may_not_be_written_is_no_error(public_workspace: Workspace) -> None:
    """Conveyor writes in the requests, not in the spool area itself: all that is lost is the probes."""
    act = as_nobody(public_workspace.root)
    os.chown(public_workspace.root / "spool", 0, 0)

    def look() -> dict[str, str]:
        report = examined(public_workspace)
        return {
            "permissions": only_finding(report, "permissions", "spool").severity,
            "tried": only_finding(report, "tried", "spool").severity,
            "error": str(report.error),
        }

    assert act(look) == {"permissions": "info", "tried": "info", "error": "None"}


@ROOT_ONLY
def test_a_sticky_area_of_another_account_is_a_warning(public_workspace: Workspace) -> None:
    """In a sticky directory an account can remove its own things only; in one of its own that does not matter."""
    act = as_nobody(public_workspace.root)
    for name in ("qa2", "image-qa"):
        (public_workspace.root / name).chmod(0o1777)
    os.chown(public_workspace.root / "qa2", 0, 0)

    def look() -> list[str]:
        report = examined(public_workspace)
        return [one.subject for one in findings_of(report, "permissions") if one.severity is Severity.WARNING]

    assert act(look) == ["qa2"]


@pytest.mark.parametrize(
    ("left", "severity"),
    [
        (Space(10**12, 10**13, 10**8), Severity.OK),
        (Space(10**12, 10**13, None), Severity.OK),
        (Space(9 * 10**9, 10**13, 10**8), Severity.WARNING),
        (Space(10**12, 10**13, 99_999), Severity.WARNING),
        (Space(10**12, 10**13, 0), Severity.ERROR),
        (Space(0, 10**13, None), Severity.ERROR),
        (Space(0, 0, None), Severity.OK),
    ],
)
def test_room_is_reported_by_file_system(workspace: Workspace, left: Space, severity: Severity) -> None:
    """Little room is a warning, next to none an error, in bytes or in inodes; one finding for all areas on one of them."""
    assert only_finding(examined(workspace, fs=Small(left)), "space").severity is severity


def test_how_much_room_is_wanted_is_a_setting(workspace: Workspace) -> None:
    """The two settings move the line."""
    small = Small(Space(9 * 10**9, 10**13, 50))
    settings = {"min_free_bytes": 10**9, "min_free_inodes": 10}
    assert (
        only_finding(examined(workspace, fs=small, settings=settings), "space").severity is Severity.ERROR
    )  # 50 is next to none
    small = Small(Space(9 * 10**9, 10**13, 500))
    assert only_finding(examined(workspace, fs=small, settings=settings), "space").severity is Severity.OK


def test_two_file_systems_are_told_apart(workspace: Workspace, memory_folder: Path) -> None:
    """Areas on another file system have a finding of their own."""
    for name in ("qa2", "image-qa"):
        (memory_folder / name).mkdir()
    found = [one.subject for one in findings_of(examined(workspace, settings={"qa_root": memory_folder}), "space")]
    assert found == ["file system of spool, workspaces", "file system of image-qa, qa2"]


@pytest.mark.parametrize(
    ("type_", "options", "says"),
    [
        ("lustre", ["rw", "localflock"], []),
        ("nfs4", ["rw", "soft"], [("warning", "soft")]),
        ("nfs", ["rw", "nolock"], []),
        ("nfs4", ["rw", "hard"], []),
        ("ext4", ["rw", "ro"], [("error", "read-only")]),
        ("ext4", ["rw", "noatime"], []),
    ],
)
def test_the_options_of_a_mount_that_matter_are_told(
    workspace: Workspace, type_: str, options: list[str], says: list[tuple[str, str]]
) -> None:
    """Read-only and soft; others, those of locks too, are passed over, and each mount is told once."""
    report = examined(workspace, mount_table=mounted_with(workspace, type_, *options), probe=False)
    found = findings_of(report, "mount-options")
    assert [(str(one.severity), word in one.what) for one, (_, word) in zip(found, says, strict=True)] == [
        (severity, True) for severity, _ in says
    ]


@pytest.mark.parametrize(
    ("type_", "options", "says"),
    [
        ("xfs", [], "ok miss nothing"),
        ("lustre", ["flock"], "info waits for the folder's lock"),
        ("nfs4", ["acdirmax=30"], "info stays after a copy, for 30 s"),
        ("fuse.sshfs", [], "info after a rename they miss it as long"),
        ("nfs", ["noac"], "info missing for the moment"),
        ("fuse.bindfs", [], "info missing for the moment"),
    ],
)
def test_what_readers_may_see_is_told_by_file_system(
    workspace: Workspace, type_: str, options: list[str], says: str
) -> None:
    """In one line an area, with what to do for readers that do not try again."""
    report = examined(workspace, mount_table=mounted_with(workspace, type_, *options), probe=False)
    for area in ("spool", "qa2", "image-qa"):
        finding = only_finding(report, "readers", area)
        severity, _, words = says.partition(" ")
        assert (str(finding.severity), words in finding.what) == (severity, True), finding.what
        assert ("--when-idle" in finding.advice) == (severity == "info")


def test_a_time_shorter_than_the_caches_is_told(workspace: Workspace) -> None:
    """Readers on other hosts may miss a path that their cache still leads to the old way."""
    table = mounted_with(workspace, "nfs4")
    report = examined(workspace, mount_table=table, probe=False, settings={"cache_lifetime": 5})
    short = [one for one in findings_of(report, "readers", "qa2") if one.severity is Severity.WARNING]
    assert "60 s" in short[0].what


def test_a_read_only_mount_is_told_once(workspace: Workspace) -> None:
    """Nobody may write there, so that is not told as a lack of permissions too."""
    fs = FileSystem()
    fs.can_write = lambda *_: False  # type: ignore[method-assign]  # as on a read-only mount
    report = examined(workspace, fs=fs, mount_table=mounted_with(workspace, "ext4", "ro"))
    assert only_finding(report, "mount-options").severity is Severity.ERROR
    assert findings_of(report, "permissions") == []


def test_a_cache_that_can_be_made_nowhere_is_an_error(workspace: Workspace) -> None:
    """Conveyor makes the cache, and not the directory that it goes in."""
    report = examined(workspace, settings={"weblog_cache": workspace.root / "gone" / "cache"})
    finding = only_finding(report, "there", "gone")
    assert finding.severity is Severity.ERROR
    assert "the folder of the weblog cache" in finding.what


def test_a_cache_that_is_a_link_to_nowhere_is_an_error(workspace: Workspace) -> None:
    """It is not taken for one that is still to be made."""
    (workspace.root / "weblog-cache").symlink_to("nowhere")
    assert only_finding(examined(workspace), "there", "weblog-cache").severity is Severity.ERROR


def test_an_area_in_a_loop_of_links_is_an_error(workspace: Workspace) -> None:
    """A path that leads nowhere stops nothing."""
    shutil.rmtree(workspace.root / "image-qa")
    (workspace.root / "image-qa").symlink_to("image-qa")
    assert only_finding(examined(workspace), "there", "image-qa").severity is Severity.WARNING


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (OSError(errno.EIO, "Input/output error", "/x"), "Input/output error: /x"),
        (ConfigurationError("the reason"), "the reason"),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
    ],
)
def test_a_check_that_fails_is_a_finding(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, failure: Exception, says: str
) -> None:
    """Any failure of a check, even a bug of ours, leaves the others made and reported."""

    def some_check(_: object) -> Iterator[Finding]:
        yield info("x", "before")
        raise failure

    checks = {Group.HOST: {"some-check": some_check}, Group.WORKSPACE: {"there": area_checks.reachable}}
    monkeypatch.setattr("conveyor.diagnostics.CHECKS", checks)
    report = examined(workspace)
    assert [one.what for one in findings_of(report, "some-check")] == ["before", f"the check failed: {says}"]
    assert report.error is not None
    assert only_finding(report, "there", "spool").severity is Severity.OK


def test_looking_only_changes_nothing(workspace: Workspace) -> None:
    """Without probes not even a directory's time changes, and the report says that nothing was tried."""
    before = inventory(workspace.root)
    report = examined(workspace, probe=False)
    assert inventory(workspace.root) == before
    assert only_finding(report, "tried").severity is Severity.INFO
    assert findings_of(report, "directories-cross") == []


@pytest.mark.parametrize(("required", "severity"), [(False, Severity.INFO), (True, Severity.ERROR)])
def test_an_area_without_a_marker_is_told(workspace: Workspace, required: bool, severity: Severity) -> None:
    """It is recommended, and where it is required an error; the advised command makes it well."""
    settings = {"require_area_marker": required}
    found = findings_of(examined(workspace, settings=settings, probe=False), "area-markers")
    assert [(one.subject, one.severity) for one in found] == [(name, severity) for name in ("spool", "image-qa", "qa2")]
    init_areas([workspace.root / name for name in ("spool", "image-qa", "qa2")])
    found = findings_of(examined(workspace, settings=settings, probe=False), "area-markers")
    assert {one.severity for one in found} == {Severity.OK}


def test_an_area_with_a_quota_of_its_own_is_asked_itself(workspace: Workspace) -> None:
    """Where a project has a quota, statvfs answers with that: an area on the same file system has another room."""

    class Quota(FileSystem):
        def space(self, folder: DirFd) -> Space:
            return Space(10**4, 6 * 10**5, 10**6) if folder.path.name == "qa2" else Space(10**12, 10**13, 10**8)

    found = findings_of(examined(workspace, fs=Quota(), probe=False), "space")
    assert [(one.subject, one.severity) for one in found] == [
        ("file system of spool, image-qa, workspaces", Severity.OK),
        ("file system of qa2", Severity.ERROR),
    ]
