"""A workspace on which no link can be followed: it is found out before the first directory moves."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.diagnostics.findings import Severity
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.posix import FileSystem
from support.doctor import examined, only_finding
from support.inventory import inventory
from support.mounting import mounts

if TYPE_CHECKING:
    from conveyor.filesystem.posix import DirFd, Entry
    from support.workspace import Workspace


@pytest.mark.parametrize("code", [errno.ELOOP, errno.EPERM, errno.EACCES, errno.ENOENT])
def test_links_that_cannot_be_followed_refuse_a_delivery(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """However the file system says so: 73, nothing moved, and nothing of Conveyor's is left."""

    def follow(self: FileSystem, directory: DirFd, name: str) -> Entry:
        with error_context("follow", directory.path / name):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(FileSystem, "follow", follow)
    names = ("rawdata", "products", "working")
    before = {name: inventory(workspace.spool, inside=name) for name in names}
    outcome = conveyor.deliver(workspace.metadata)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("links-refused", 73)
    assert os.strerror(code) in outcome.error.message
    assert outcome.state == "in-spool"
    assert {name: inventory(workspace.spool, inside=name) for name in names} == before
    assert not workspace.qa.exists()


def test_an_error_of_the_server_is_not_taken_for_a_refusal(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a later try may mend is told as what it is; the same command finishes the delivery."""

    def follow(self: FileSystem, directory: DirFd, name: str) -> Entry:
        with error_context("follow", directory.path / name):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(FileSystem, "follow", follow)
        outcome = conveyor.deliver(workspace.metadata)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.retryable) == ("io-failed", True)
    assert conveyor.deliver(workspace.metadata).state == "in-qa"


def test_a_mount_without_links_refuses_a_delivery(workspace: Workspace) -> None:
    """The real thing: tmpfs mounted with nosymfollow as the QA area."""
    with mounts() as made:
        made.mount("nosymfollow", workspace.qa.parent)
        outcome = conveyor.deliver(workspace.metadata)
        assert outcome.error is not None
        assert outcome.error.code == "links-refused"
        assert outcome.state == "in-spool"
        assert os.listdir(workspace.qa.parent) == []


def test_where_no_link_can_be_made_nothing_is_delivered(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """SMB as it is mounted by default: 73, and the option that helps; the doctor says the same."""

    def symlink(self: FileSystem, directory: DirFd, name: str, text: str) -> None:
        with error_context("symlink", directory.path / name):
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(FileSystem, "symlink", symlink)
    before = inventory(workspace.spool)
    outcome = conveyor.deliver(workspace.metadata)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.state) == ("links-refused", "in-spool")
    assert "mfsymlinks" in outcome.error.hint
    found = only_finding(examined(workspace), "tried", "spool")
    assert found.severity is Severity.ERROR
    assert "mfsymlinks" in found.advice
    assert inventory(workspace.spool) == before
