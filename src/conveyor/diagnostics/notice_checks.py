"""Checks of the outbox of notices: whether anybody sends what waits there."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from conveyor.api.sizes import duration_text
from conveyor.diagnostics.findings import ok, warning
from conveyor.diagnostics.workspace import SPOOL
from conveyor.layout import OUTBOX, WAITING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Workspace
    from conveyor.filesystem.posix import DirFd, FileSystem

#: Seconds after which somebody should have come by: cron runs 'conveyor notify' each minute.
_LONG = 3600.0


def notices(workspace: Workspace) -> Iterator[Finding]:
    """Check that somebody sends the notices that wait; one that a receiver refuses is tried again, and is no matter here."""
    for area in workspace.areas:
        if area.kind != SPOOL or area.handle is None:
            continue
        with contextlib.suppress(FileNotFoundError):  # nobody was ever told of anything
            yield from _sent(workspace, area.handle)


def _sent(workspace: Workspace, area: DirFd) -> Iterator[Finding]:
    fs = workspace.environment.fs
    with fs.open_below(area, [OUTBOX]) as outbox:
        with fs.open_directory(outbox, WAITING) as waiting:
            ages = [_age(fs, waiting, name) for name in fs.listdir(waiting) if not name.startswith(".")]
        silence = _age(fs, outbox, ".")  # each run makes a file in it, and removes it
        if min(silence, max(ages, default=0.0)) <= _LONG:
            yield ok(OUTBOX, f"notices that wait: {len(ages)}")
            return
        what = f"notices wait, {len(ages)} of them, one for {duration_text(max(ages))}, and nobody sends them"
        advice = (
            "'conveyor notify' has not run for as long: have cron run it each minute, or 'conveyor notify --follow'"
        )
        command = " ".join(["conveyor", "notify", *workspace.options.flags])
        yield warning(OUTBOX, what, f"{advice}. This sends them now:", command)


def _age(fs: FileSystem, directory: DirFd, name: str) -> float:
    """Return the seconds since a name was last written; 0 if it has gone."""
    entry = fs.lstat(directory, name)
    return time.time() - entry.modified / 1e9 if entry is not None else 0.0
