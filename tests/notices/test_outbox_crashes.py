"""Runs that die, and calls that fail, at each call to the file system of who leaves a notice and of who sends it."""

from __future__ import annotations

import errno
import os
from itertools import count
from typing import TYPE_CHECKING

import pytest

from conveyor.engine.host import Host
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import OUTBOX, SENT_LOG, TOLD, WAITING
from conveyor.notices import posting
from conveyor.notices.notice import Subject, make_notice
from conveyor.notices.outbox import Outbox, leave
from conveyor.notices.posting import Posting
from support.doctor import DeadHost
from support.faults import Crash, Faults, injected
from support.receivers import settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.documents.outbox_documents import Notice


def _leave(area: Path, name: str) -> bool:
    return leave(FileSystem(), area, make_notice("ready", Subject(name)), ["log"], "ready")


def _post(area: Path, host: Host) -> None:
    settings = settings_for(area, {"log": {"command": "true", "max_per_minute": 1000}}).values
    with Outbox(FileSystem(), area, host) as outbox:
        list(Posting(outbox, settings).run())


def _names(folder: Path) -> list[str]:
    """The names in a folder of the outbox, without those of files that a dead run had only begun to write."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


@pytest.mark.parametrize("code", [None, errno.EIO], ids=["death", "EIO"])
def test_a_run_that_ends_at_any_call_loses_no_notice(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    """After a death, or an error, at any call, the next run sends what was not sent; what is sent twice has one key."""
    for at in count():
        area, sent = quick_folder / str(at), list[str]()
        area.mkdir()
        for name in ("a", "b"):
            _leave(area, name)

        def send(notice: Notice, *_: object, sent: list[str] = sent) -> None:
            sent.append(notice["key"])

        monkeypatch.setattr(posting, "send", send)
        faults, has_ended = Faults(at=at, code=code), False
        try:
            with injected(monkeypatch, faults):
                _post(area, DeadHost())
        except (Crash, OSError):
            has_ended = True
        _post(area, Host())
        assert len(set(sent)) == 2, faults.calls
        assert len(sent) <= 3, faults.calls
        assert _names(area / OUTBOX / WAITING) == [], faults.calls
        assert _names(area / OUTBOX) == [SENT_LOG, TOLD, WAITING], faults.calls
        if not has_ended and at >= len(faults.calls):
            assert at > 20
            return


@pytest.mark.parametrize("code", [None, errno.ENOSPC], ids=["death", "ENOSPC"])
def test_a_notice_that_cannot_be_left_can_be_left_again(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    """A death or an error at any call leaves an outbox that works: the next try leaves the same notice, if need be."""
    for at in count():
        area = quick_folder / str(at)
        area.mkdir()
        faults = Faults(at=at, code=code)
        try:
            with injected(monkeypatch, faults):
                _leave(area, "a")
        except (Crash, OSError):
            _leave(area, "a")
            assert _names(area / OUTBOX / WAITING), faults.calls
        else:
            assert at >= len(faults.calls) or code is not None
        if at >= len(faults.calls):
            assert at > 8
            return
