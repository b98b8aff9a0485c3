"""The doctor's probes: their findings, and that they leave nothing behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from conveyor.diagnostics import probes
from conveyor.diagnostics.findings import Severity
from conveyor.engine.claim import Holder
from conveyor.engine.host import Host
from conveyor.filesystem.error_context import CrossDeviceError
from conveyor.filesystem.mounts import Mount, mounts
from conveyor.filesystem.posix import DirFd, Entry, FileSystem, Kind
from support.doctor import DeadHost, examined, findings_of, only_finding
from support.faults import Crash, Faults, injected
from support.faults import exchange as faulty_exchange
from support.inventory import inventory
from support.projects import RememberedProjects
from support.unprivileged import as_nobody

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Workspace

SECOND = 10**9


class Altered(FileSystem):
    """A file system that is wrong in one thing."""

    def __init__(self, **wrong: Any) -> None:
        super().__init__()
        for name, what in wrong.items():
            setattr(self, name, what)


class OtherTimes(FileSystem):
    """A file server whose clock is off by some nanoseconds, or that keeps times in steps."""

    def __init__(self, off: int = 0, step: int = 1) -> None:
        super().__init__()
        self._off = off
        self._step = step

    def lstat(self, folder: DirFd, name: str) -> Entry | None:
        entry = super().lstat(folder, name)
        return entry and replace(entry, modified=(entry.modified + self._off) // self._step * self._step)


def refuse(code: int) -> Any:
    """A call that answers with an error."""

    def call(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    return call


def refuse_crossing(*_: Any) -> None:
    raise CrossDeviceError(errno.EXDEV, os.strerror(errno.EXDEV))


def left(workspace: Workspace) -> list[Path]:
    return sorted(workspace.root.rglob(".conveyor-doctor*"))


def names(workspace: Workspace) -> dict[bytes, object]:
    """The workspace but for the times of the areas, which making anything in them changes."""
    return {
        path: replace(item, modified=0) if path.count(b"/") < 1 else item
        for path, item in inventory(workspace.root).items()
    }


def test_a_healthy_workspace_has_nothing_to_worry_about(workspace: Workspace) -> None:
    """On the disk everything is tried, all is well, and nothing is left."""
    (workspace.root / "weblog-cache").mkdir()
    before = names(workspace)
    report = examined(workspace)
    assert [one for one in report.findings if one.severity in (Severity.ERROR, Severity.WARNING)] == []
    probes = {one.check for one in report.findings if one.group == "trials"}
    assert probes == {
        *("claims-exclude", "clock", "ownership", "modes", "exchange", "hard-links", "durability"),
        *("links-followed", "inode-numbers", "attributes"),
        *("directories-cross", "files-cross"),
    }
    assert len(findings_of(report, "directories-cross")) == 2
    assert names(workspace) == before


def test_a_file_system_without_the_exchange_moves_by_renames(workspace: Workspace) -> None:
    """A refused exchange is worth knowing, and no more than that."""
    report = examined(workspace, fs=FileSystem(exchange=refuse(errno.EINVAL)))
    assert only_finding(report, "directories-cross", "spool and qa2").severity is Severity.INFO
    assert "two renames" in only_finding(report, "directories-cross", "spool and qa2").what
    assert only_finding(report, "exchange", "spool").severity is Severity.INFO
    assert report.error is None


def test_two_file_systems_are_found_by_trying(workspace: Workspace, memory_folder: Path) -> None:
    """Between the disk and memory directories and files are copied; that is meant to be so, and told."""
    for name in ("qa2", "image-qa"):
        (memory_folder / name).mkdir()
    report = examined(workspace, settings={"qa_root": memory_folder})
    finding = only_finding(report, "directories-cross", "spool and qa2")
    assert finding.severity is Severity.INFO
    assert "copied" in finding.what
    assert only_finding(report, "files-cross", "spool and qa2").severity is Severity.INFO
    assert list(memory_folder.rglob(".conveyor*")) == []


def test_a_rename_that_one_mount_refuses_is_a_warning(workspace: Workspace) -> None:
    """As Lustre does between project IDs: directories are refused, files are not, and device numbers say nothing."""

    class Projects(FileSystem):
        def rename(self, source: DirFd, name: str, target: DirFd, new_name: str) -> None:
            entry = self.lstat(source, name)
            if (
                entry
                and entry.kind is Kind.DIRECTORY
                and ("spool" in str(source.path)) != ("spool" in str(target.path))
            ):
                raise CrossDeviceError(errno.EXDEV, os.strerror(errno.EXDEV))
            super().rename(source, name, target, new_name)

    report = examined(workspace, fs=Projects(exchange=refuse(errno.EINVAL)))
    finding = only_finding(report, "directories-cross", "spool and qa2")
    assert finding.severity is Severity.WARNING
    assert "project ID" in finding.advice
    assert only_finding(report, "files-cross", "spool and qa2").severity is Severity.OK


def test_two_mounts_of_one_file_system_are_a_warning(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As bind mounts do: one device number, and no renames between the two."""
    qa = Mount(workspace.root.resolve() / "qa2", "ext4", "/dev/x", frozenset({"rw"}))
    apart = workspace.root.resolve() / "qa2"
    faults = Faults()
    with injected(monkeypatch, faults, apart):
        fs = FileSystem(exchange=faulty_exchange(faults, apart=apart))
        report = examined(workspace, fs=fs, mount_table=lambda: [*mounts(), qa])
    finding = only_finding(report, "directories-cross", "spool and qa2")
    assert finding.severity is Severity.WARNING
    assert "two mounts" in finding.what
    assert only_finding(report, "directories-cross", "spool and image-qa").severity is Severity.OK


@pytest.mark.parametrize(
    ("policy", "severity", "says"),
    [
        ("copy", Severity.WARNING, "copied"),
        ("retag", Severity.INFO, "renamed and gets the project ID"),
        ("refuse", Severity.ERROR, "no directory is delivered"),
    ],
)
def test_a_project_id_that_keeps_directories_out_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, policy: str, severity: Severity, says: str
) -> None:
    """The finding names both IDs, what comes of it by the setting, and the setting that makes it cheaper."""
    projects, faults = RememberedProjects(), Faults()
    projects.tag(workspace.root / "qa2", 300)
    with injected(monkeypatch, faults, keep_out=projects.keep_out):
        fs = FileSystem(exchange=faulty_exchange(faults, keep_out=projects.keep_out), projects=projects)
        report = examined(workspace, fs=fs, settings={"project_ids": policy})
    finding = only_finding(report, "directories-cross", "spool and qa2")
    assert finding.severity is severity
    assert finding.what.startswith("qa2 has project 300, spool has none")
    assert says in finding.what
    assert ("project_ids = retag" in finding.advice) == (policy != "retag")


@pytest.mark.parametrize("policy", ["copy", "retag"])
def test_a_quota_that_directories_take_along_is_told(workspace: Workspace, policy: str) -> None:
    """Out of an area with an ID into one without a directory is renamed; whose quota it counts against is said."""
    projects = RememberedProjects()
    projects.tag(workspace.root / "spool", 5)
    report = examined(workspace, fs=FileSystem(projects=projects), settings={"project_ids": policy})
    finding = only_finding(report, "directories-cross", "spool and qa2")
    assert finding.severity is Severity.INFO
    assert finding.what.startswith("qa2 has no project, spool has project 5")
    assert ("go on counting" in finding.what) == (policy == "copy")


@pytest.mark.parametrize(
    ("off", "severity", "says"),
    [
        (0, Severity.OK, "agree"),
        (2 * SECOND, Severity.OK, "agree"),
        (60 * SECOND, Severity.WARNING, "60.0 s ahead of"),
        (-60 * SECOND, Severity.WARNING, "60.0 s behind"),
    ],
)
def test_a_clock_that_is_off_is_a_warning(workspace: Workspace, off: int, severity: Severity, says: str) -> None:
    """The file server's clock is compared with this host's, by the time of a file just made."""

    class Server(OtherTimes):
        def utime(self, folder: DirFd, name: str, moment: int) -> None:
            super().utime(folder, name, moment - self._off)

    finding = only_finding(examined(workspace, fs=Server(off)), "clock", "spool")
    assert finding.severity is severity
    assert says in finding.what


@pytest.mark.parametrize(
    ("step", "says"), [(1, "1 ns"), (100, "100 ns"), (SECOND, "1 s"), (2 * SECOND, "2 s"), (13, "not kept")]
)
def test_the_steps_in_which_times_are_kept_are_found(workspace: Workspace, step: int, says: str) -> None:
    """A file's time is set and read back; any step coarser than a nanosecond is worth knowing."""
    finding = only_finding(examined(workspace, fs=OtherTimes(step=step)), "clock", "spool")
    assert says in finding.what
    assert finding.severity is (Severity.OK if step == 1 else Severity.INFO)


def test_on_lustre_the_servers_clock_is_not_told(workspace: Workspace) -> None:
    """Lustre takes times from its clients, so agreement would prove nothing."""
    lustre = Mount(workspace.root.resolve(), "lustre", "x", frozenset({"rw", "flock"}))
    finding = only_finding(examined(workspace, mount_table=lambda: [lustre]), "clock", "spool")
    assert "do not show" in finding.what


def test_links_that_do_not_exclude_are_an_error(workspace: Workspace) -> None:
    """A file system that gives a taken name out again would let two conveyances run at once."""

    class Careless(FileSystem):
        def symlink(self, folder: DirFd, name: str, text: str) -> None:
            if self.lstat(folder, name):
                self.unlink(folder, name)
            super().symlink(folder, name, text)

    assert {one.severity for one in findings_of(examined(workspace), "claims-exclude")} == {Severity.OK}
    assert {one.severity for one in findings_of(examined(workspace, fs=Careless()), "claims-exclude")} == {
        Severity.ERROR
    }


def test_an_exchange_that_does_nothing_is_an_error(workspace: Workspace) -> None:
    """A call that reports success is not believed."""
    report = examined(workspace, fs=FileSystem(exchange=lambda *_: None))
    assert only_finding(report, "exchange", "spool").severity is Severity.ERROR


def test_a_directory_that_comes_back_as_another_is_an_error(workspace: Workspace) -> None:
    """A move that is none is told, though every call succeeded."""

    class Copies(FileSystem):
        looks = 0

        def lstat(self, folder: DirFd, name: str) -> Entry | None:
            entry = super().lstat(folder, name)
            self.looks += 1
            return entry and replace(entry, inode=self.looks)

    assert (
        only_finding(examined(workspace, fs=Copies()), "directories-cross", "spool and qa2").severity is Severity.ERROR
    )


def test_a_weblog_cache_without_hard_links_is_an_error(workspace: Workspace) -> None:
    """Weblogs of CASA's have a hard link, so they could not be unpacked there."""
    (workspace.root / "weblog-cache").mkdir()
    assert only_finding(examined(workspace), "hard-links", "weblog-cache").severity is Severity.OK
    finding = only_finding(examined(workspace, fs=Altered(link=refuse(errno.EPERM))), "hard-links", "weblog-cache")
    assert finding.severity is Severity.ERROR


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be squashed")
def test_an_account_that_the_server_squashes_is_a_warning(workspace: Workspace) -> None:
    """On a server that squashes root, files that root makes belong to somebody else."""

    class Squashed(FileSystem):
        def lstat(self, folder: DirFd, name: str) -> Entry | None:
            entry = super().lstat(folder, name)
            return entry and replace(entry, owner=65534)

    assert only_finding(examined(workspace), "ownership", "spool").severity is Severity.OK
    assert only_finding(examined(workspace, fs=Squashed()), "ownership", "spool").severity is Severity.WARNING


def test_modes_that_are_not_kept_are_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has one mode for all files is told before anything is copied there."""
    assert only_finding(examined(workspace), "modes", "spool").severity is Severity.OK
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    finding = only_finding(examined(workspace), "modes", "spool")
    assert (finding.severity, "640" in finding.what) == (Severity.INFO, True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("operation", ["symlink", "mkdir", "create_file", "fsync", "exchange"])
def test_a_probe_that_fails_is_an_error_and_stops_no_other(workspace: Workspace, operation: str, code: int) -> None:
    """Whichever call fails, it is told with its reason, requests are still looked at, and nothing is left."""
    before = names(workspace)
    report = examined(workspace, fs=Altered(**{operation: refuse(code)}))
    assert report.error is not None
    assert any(os.strerror(code) in one.what for one in report.findings if one.severity is Severity.ERROR)
    assert only_finding(report, "request").severity is Severity.OK
    assert names(workspace) == before


def test_dying_at_any_call_leaves_what_the_next_run_removes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is killed at each of its calls in turn; the next one removes all that is left, and touches nothing else."""
    precious = workspace.root / "qa2" / ".conveyor-doctor.0123456789abcdef.d"
    precious.mkdir()  # looks like ours, and has no link that says so
    (workspace.root / "spool" / ".conveyor-doctor.0123456789abcdef").symlink_to("somebody's own")
    (workspace.root / "spool" / ".conveyor-doctor.fedcba9876543210").write_text("a file")
    before = names(workspace)
    faults = Faults()
    with injected(monkeypatch, faults):
        examined(workspace, fs=FileSystem(exchange=faulty_exchange(faults)))
    assert len(faults.calls) > 100
    marked = 0
    for at in range(0, len(faults.calls), 3):
        faults = Faults(at=at)
        with injected(monkeypatch, faults), pytest.raises(Crash):
            examined(workspace, fs=FileSystem(exchange=faulty_exchange(faults)), host=DeadHost())
        marked += names(workspace) != before
        examined(workspace)
        assert names(workspace) == before, f"after a crash at {faults.calls[at]}"
    assert marked > 30


def test_the_next_run_cleans_up_after_one_that_was_killed(workspace: Workspace, tmp_path: Path) -> None:
    """The real program, killed in the middle of its probes: what it left goes with the next run."""
    script = tmp_path / "stops.py"
    script.write_text(
        "import os, signal, sys\n"
        "from conveyor.filesystem.posix import FileSystem\n"
        "FileSystem.fsync = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from conveyor.cli.main import run\n"
        f"sys.argv = ['conveyor', 'doctor', {str(workspace.metadata)!r}]\n"
        "run()\n"
    )
    died = subprocess.run([sys.executable, script], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL
    assert len(left(workspace)) > 4
    report = examined(workspace)
    assert left(workspace) == []
    assert "removed what a visit that died had left" in only_finding(report, "tried", "spool").what


@pytest.mark.parametrize(("age", "goes"), [(0, False), (7200, True)])
def test_a_run_of_another_host_is_left_alone_until_it_is_old(workspace: Workspace, age: int, goes: bool) -> None:
    """Of another host it cannot be known whether it died; after an hour it is taken for that."""
    token = "0123456789abcdef"
    link = workspace.root / "qa2" / f".conveyor-doctor.{token}"
    link.symlink_to(Holder(replace(Host().this_process(), host="another"), "then", token).text)
    link.with_name(link.name + ".d").mkdir()
    moment = time.time_ns() - age * SECOND
    os.utime(link, ns=(moment, moment), follow_symlinks=False)
    examined(workspace)
    assert len(left(workspace)) == (0 if goes else 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
def test_an_unprivileged_account_tries_where_it_may(public_workspace: Workspace) -> None:
    """In an area that the account may not write in nothing is tried, and the rest is."""
    act = as_nobody(public_workspace.root)
    os.chown(public_workspace.root / "qa2", 0, 0)

    def look() -> list[str]:
        report = examined(public_workspace)
        return [one.subject for one in findings_of(report, "directories-cross") + findings_of(report, "tried")]

    assert act(look) == ["spool and image-qa", "qa2"]
    assert left(public_workspace) == []


@pytest.mark.parametrize("code", [errno.ELOOP, errno.EPERM])
def test_links_that_are_not_followed_are_an_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """As on a mount with nosymfollow, and on sshfs as it is mounted by default: links are made, and lead nowhere."""
    assert {one.severity for one in findings_of(examined(workspace), "links-followed")} == {Severity.OK}
    monkeypatch.setattr(probes, "read_named", refuse(code))
    finding = only_finding(examined(workspace), "links-followed", "spool")
    assert finding.severity is Severity.ERROR
    assert os.strerror(code) in finding.what
    assert "nosymfollow" in finding.advice


def test_a_directory_with_another_number_at_the_other_end_is_an_error(workspace: Workspace) -> None:
    """As on mergerfs with use_ino, whose numbers follow from the path: back home it is the old one again."""

    class ByPath(FileSystem):
        def lstat(self, folder: DirFd, name: str) -> Entry | None:
            entry = super().lstat(folder, name)
            return entry and replace(entry, inode=hash(folder.path / name))

    finding = only_finding(examined(workspace, fs=ByPath()), "directories-cross", "spool and qa2")
    assert finding.severity is Severity.ERROR
    assert "use_ino" in finding.advice


def test_inode_numbers_that_are_made_up_are_a_warning(workspace: Workspace) -> None:
    """As on FUSE file systems that give each name a number of its own, and none in a listing."""

    class MadeUp(FileSystem):
        def listed_inodes(self, folder: DirFd) -> dict[str, int]:
            return dict.fromkeys(super().listed_inodes(folder), 0xFFFFFFFF)

    finding = only_finding(examined(workspace, fs=MadeUp()), "inode-numbers", "qa2")
    assert finding.severity is Severity.WARNING


def test_attributes_that_are_not_taken_are_told_with_the_option_that_helps(workspace: Workspace) -> None:
    """As on Lustre as it is mounted by default."""
    lustre = Mount(workspace.root.resolve(), "lustre", "x", frozenset({"rw"}))
    fs = Altered(set_attribute=refuse(errno.ENOTSUP))
    finding = only_finding(examined(workspace, fs=fs, mount_table=lambda: [lustre]), "attributes", "qa2")
    assert (finding.severity, "user_xattr" in finding.advice) == (Severity.INFO, True)


@pytest.mark.parametrize(
    ("type_", "says"),
    [("btrfs", "subvolume"), ("ext4", "fscrypt"), ("xfs", "chattr -p"), ("overlay", "lower layer"), ("lustre", "lfs")],
)
def test_what_refuses_a_rename_depends_on_the_file_system(workspace: Workspace, type_: str, says: str) -> None:
    """One mount, and directories that cannot be renamed: the advice is of that file system."""
    mount = Mount(workspace.root.resolve(), type_, "x", frozenset({"rw"}))
    refused = Altered(exchange=refuse_crossing, rename=refuse_crossing)
    finding = only_finding(
        examined(workspace, fs=refused, mount_table=lambda: [mount]), "directories-cross", "spool and qa2"
    )
    assert (finding.severity, says in finding.advice) == (Severity.WARNING, True)


def test_an_exchange_that_is_refused_for_its_link_only_leaves_the_renames(workspace: Workspace) -> None:
    """As on ext4 with a project ID on one area only: the directory may go, the link may not come."""
    report = examined(workspace, fs=FileSystem(exchange=refuse(errno.EXDEV)))
    finding = only_finding(report, "directories-cross", "spool and qa2")
    assert (finding.severity, "two renames" in finding.what) == (Severity.INFO, True)
