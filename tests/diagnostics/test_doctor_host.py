"""The doctor's checks of this host and this account."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conveyor.diagnostics import host_checks as checks
from conveyor.diagnostics.findings import Severity
from conveyor.engine.host import Host
from support.doctor import examined, findings_of, only_finding

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Workspace


class OtherHost(Host):
    """This host, with another account or umask."""

    def __init__(self, account: int = 1234567, umask: int | None = 0o022) -> None:
        super().__init__()
        self._account = account
        self._umask = umask

    def account(self) -> int:
        return self._account

    def umask(self) -> int | None:
        return self._umask


def test_a_host_that_can_tell_the_dead_is_well(workspace: Workspace, tmp_path: Path) -> None:
    """With a machine id and /proc all is well."""
    (tmp_path / "machine-id").write_text("this machine\n")
    finding = only_finding(examined(workspace, host=Host(machine_id=tmp_path / "machine-id")), "identity")
    assert finding.severity is Severity.OK


def test_without_a_machine_id_a_restart_cannot_be_told(workspace: Workspace, tmp_path: Path) -> None:
    """A host without a machine id gets a warning, and the command that makes one."""
    finding = only_finding(examined(workspace, host=Host(machine_id=tmp_path / "missing")), "identity")
    assert finding.severity is Severity.WARNING
    assert finding.commands == ("systemd-machine-id-setup",)


def test_without_proc_no_holder_is_known_to_be_dead(workspace: Workspace, tmp_path: Path) -> None:
    """The warning names what cannot be read."""
    finding = only_finding(examined(workspace, host=Host(tmp_path / "no proc"), probe=False), "identity")
    assert finding.severity is Severity.WARNING
    assert "boot id" in finding.what
    assert "start time" in finding.what


def test_the_c_library_is_asked_for_the_exchange(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it has none, a warning says what follows."""
    assert only_finding(examined(workspace), "exchange-call").severity is Severity.OK
    monkeypatch.setattr(checks, "has_exchange", lambda: False)
    assert only_finding(examined(workspace), "exchange-call").severity is Severity.WARNING


@pytest.mark.parametrize(
    ("umask", "severity"),
    [
        (0o022, Severity.OK),
        (0o002, Severity.OK),
        (0o027, Severity.INFO),
        (0o077, Severity.WARNING),
        (None, Severity.INFO),
    ],
)
def test_a_umask_that_hides_weblogs_is_told(workspace: Workspace, umask: int | None, severity: Severity) -> None:
    """One that hides them from the group is a warning, one that hides them from others worth knowing."""
    finding = only_finding(examined(workspace, host=OtherHost(umask=umask), probe=False), "umask")
    assert finding.severity is severity


def test_the_umask_is_the_processs_own(workspace: Workspace) -> None:
    """The umask is read, not set for a moment and set back."""
    before = os.umask(0o077)
    try:
        assert only_finding(examined(workspace), "umask").what.startswith("0077")
    finally:
        os.umask(before)


def test_root_is_told_that_it_sees_no_permissions(workspace: Workspace) -> None:
    """Root gets a hint; another account, with a name or without, does not."""
    assert [
        one.severity for one in findings_of(examined(workspace, host=OtherHost(0), probe=False), "account", "account")
    ] == [Severity.INFO]
    report = examined(workspace, host=OtherHost(), probe=False)
    assert findings_of(report, "account", "account") == []
    assert "uid 1234567" in only_finding(report, "account", "program").what


def test_settings_that_capo_holds_or_lacks_are_told(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A property that is there is named with its file; one that is missing is a warning, one that is overruled is told."""
    (tmp_path / "test.properties").write_text(f"the.spool = {workspace.root / 'spool'}\n")
    config = tmp_path / "conveyor.toml"
    config.write_text('[capo]\nspool_root = "the.spool"\nqa_root = "no.such.property"\nlinks = "the.links"\n')
    monkeypatch.setenv("CAPO_PATH", str(tmp_path))
    monkeypatch.setenv("CAPO_PROFILE", "test")
    monkeypatch.setenv("CONVEYOR_CONFIG", str(config))
    report = examined(workspace, settings={"links": "absolute"})
    assert only_finding(report, "settings", "setting spool_root").severity is Severity.OK
    assert only_finding(report, "settings", "setting qa_root").severity is Severity.WARNING
    assert "flag goes before it" in only_finding(report, "settings", "setting links").what
    assert str(config) in only_finding(report, "settings", "settings").what


def test_capabilities_that_cannot_be_used_are_told(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken package is a warning, two capabilities of one name an error; without either all is well."""
    assert only_finding(examined(workspace), "capabilities").severity is Severity.OK
    table = '[capabilities.calibration]\nworkflows = []\nqa_area = "qa2"\ndirectories = ["products"]\n'
    (tmp_path / "conveyor.toml").write_text(table)
    monkeypatch.setenv("CONVEYOR_CONFIG", str(tmp_path / "conveyor.toml"))
    finding = only_finding(examined(workspace), "capabilities")
    assert (finding.severity, finding.commands) == (Severity.ERROR, ("conveyor capabilities",))
    monkeypatch.delenv("CONVEYOR_CONFIG")
    package = tmp_path / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[conveyor.capabilities]\nbroken = no.such.module:capability\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = only_finding(examined(workspace), "capabilities", "capability broken")
    assert finding.severity is Severity.WARNING
