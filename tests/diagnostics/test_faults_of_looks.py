"""An error of any call of a look at a whole workspace hides nothing but what the call was about."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.diagnostics.findings import Group
from conveyor.engine.outcome import exit_code
from support.doctor import examined
from support.faults import Faults, injected
from support.workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from conveyor.diagnostics.findings import Finding
    from support.sweep import Sweep
    from support.workspace import Workspace

SAMPLE = 40
#: What is told of the areas and of the requests in them; of the host a thing may be unknown without harm.
OF_THE_WORKSPACE = (Group.WORKSPACE, Group.REQUESTS, Group.ORPHANS)


@pytest.fixture
def busy(quick_folder: Path) -> Workspace:
    """A workspace with requests at home, out, and of a workflow that nobody claims, at home and out."""
    root = quick_folder / "workspaces"
    workspace = make_workspace(root, request="home")
    conveyor.deliver(make_workspace(root, request="out").metadata).raise_for_error()
    for name in ("not-shown", "unclaimed"):
        make_workspace(root, request=name).write_metadata(workflowName="another")
    conveyor.deliver(root / "spool" / "unclaimed" / "metadata.json", capability="imaging").raise_for_error()
    return workspace


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_status_shows_the_rest(busy: Workspace, monkeypatch: pytest.MonkeyPatch, sweep: Sweep, code: int) -> None:
    """Whatever call fails, every other request is shown as it is, and the exit status is another than 0."""
    config = conveyor.load_config({"spool_root": busy.root / "spool"})

    def look(faults: Faults) -> tuple[int, dict[Hashable, object]]:
        with injected(monkeypatch, faults):
            found = conveyor.status(config=config)
        return exit_code(found), {
            one.request or one.metadata: (one.state, one.directories, one.weblog) for one in found
        }

    look(Faults(looks=True))  # what is imported and cached on the first look
    counted = Faults(looks=True)
    _, whole = look(counted)
    assert list(whole) == ["home", "out", "unclaimed"]
    for at in sweep.choose(range(len(counted.calls)), SAMPLE):
        with sweep.at(f"{errno.errorcode[code]} of call {at}: {counted.calls[at]}"):
            faults = Faults(at=at, code=code, looks=True)
            status, found = look(faults)
            sweep.was_hit(at, hit=len(faults.calls) > at)
            changed = [name for name in whole if found.get(name) != whole[name]]
            spool_is_named = str(busy.root / "spool") in found
            assert len(changed) <= 1 or spool_is_named, f"{changed} are hidden: {found}"
            assert all(name in found for name in changed) or spool_is_named, f"not even named: {found}"
            assert status or (found == whole), "ends with 0"
    sweep.finish(100)


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_the_doctor_shows_the_rest(busy: Workspace, monkeypatch: pytest.MonkeyPatch, sweep: Sweep, code: int) -> None:
    """Whatever call fails, every other request is told of, and what is not told any more is an error."""
    settings = {"spool_root": busy.root / "spool"}

    def look(faults: Faults) -> tuple[bool, set[tuple[str, ...]]]:
        with injected(monkeypatch, faults):
            report = examined(busy, metadata=(), settings=settings, probe=False)
        findings = [one for one in report.findings if one.group in OF_THE_WORKSPACE]
        return report.error is None, {(one.check, one.subject, one.severity, _steady(one)) for one in findings}

    look(Faults(looks=True))
    counted = Faults(looks=True)
    is_well, whole = look(counted)
    assert is_well
    for at in sweep.choose(range(len(counted.calls)), SAMPLE):
        with sweep.at(f"{errno.errorcode[code]} of call {at}: {counted.calls[at]}"):
            faults = Faults(at=at, code=code, looks=True)
            is_well, found = look(faults)
            sweep.was_hit(at, hit=len(faults.calls) > at)
            missing = whole - found
            requests = {subject for check, subject, *_ in missing if check == "request"}
            assert len(requests) <= 1 or any("cannot be" in what for *_, what in found), f"{requests} are hidden"
            assert not is_well or not missing, f"all is well, without {missing}"
    sweep.finish(150)


def _steady(finding: Finding) -> str:
    return "" if finding.check == "space" else finding.what  # others write there meanwhile
