"""What has to hold when a conveyance was stopped, and what when it has ended: the checks of every sweep."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.engine.plan import Operation
from conveyor.engine.survey import State
from support.inventory import comparable, inventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from support.workspace import Workspace

    Data = dict[bytes, tuple[object, ...]]

_FILES = Path(__file__).parents[2] / "docs" / "reference" / "files.md"


def data_in(folder: Path, names: Iterable[str]) -> Data:
    """What must never be lost: the directories of these names that stand in a folder, with all that is in them."""
    items: Data = {}
    for name in names:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            items |= comparable(inventory(folder, inside=name))
            # xfs sets the time of a directory that is exchanged; a run that dies before it is set back leaves that.
            kind, mode, owner, size, _, *rest = items[os.fsencode(name)]
            items[os.fsencode(name)] = (kind, mode, owner, size, *rest)
    return items


def opposite(operation: Operation) -> Operation:
    return Operation.RETRIEVE if operation is Operation.DELIVER else Operation.DELIVER


def check_the_instant(workspace: Workspace, names: Sequence[str], before: Data, state: str | None) -> None:
    """What holds at every instant: all data is whole at one end, no link leads nowhere, nothing looks finished."""
    endpoints = [data_in(workspace.spool, names), data_in(workspace.qa, names)]
    for name in names:
        wanted = _below(before, name)
        assert wanted in [_below(end, name) for end in endpoints], f"{name} is whole at neither end"
        for path in (workspace.spool / name, workspace.qa / name):
            assert path.exists() or not path.is_symlink(), f"{path} leads nowhere"
    if (workspace.qa / "READY").exists():
        assert json.loads((workspace.qa / "READY").read_text())["request"] == workspace.request
        assert endpoints[1] == before, "READY although not all data is in the QA folder"
        assert state in (State.IN_QA, State.IN_TRANSIT)
    elif state == State.IN_SPOOL:
        assert endpoints[0] == before, "said to be in spool, and not all data is"
    else:
        assert state == State.IN_TRANSIT
    assert _weblog_is_whole(workspace), "half a weblog is in the cache"


def _below(items: Data, name: str) -> Data:
    return {path: item for path, item in items.items() if path.split(b"/")[0] == name.encode()}


def _weblog_is_whole(workspace: Workspace) -> bool:
    """Whether the cached weblog is there with all that belongs to it, or is not there at all."""
    if not workspace.weblog.exists():
        return True
    pages = {page.name for page in workspace.weblog.rglob("*.html")}
    return pages == {"index.html", "t1-1.html", "t2-1.html"} and (workspace.weblog / ".conveyor.json").is_file()


def check_the_end(
    workspace: Workspace,
    names: Sequence[str],
    before: Data,
    operation: Operation,
    state: str | None,
    warnings: Sequence[str],
) -> None:
    """What a finished run leaves: all data at one end as it was before, and no litter anywhere."""
    delivered = operation is Operation.DELIVER
    assert state == (State.IN_QA if delivered else State.IN_SPOOL)
    assert not warnings, "somebody holds it, or something is left over"
    assert data_in(workspace.qa if delivered else workspace.spool, names) == before
    assert all((workspace.spool / name).is_symlink() == delivered for name in names)
    assert sorted(path.name for path in workspace.qa.parent.iterdir()) == [workspace.request] * delivered
    assert (workspace.spool / ".conveyor" / "qa-fail.json").exists() <= (not delivered)
    if delivered:
        staying = {path.name for path in workspace.spool.iterdir()} - {".conveyor", *names}
        assert {path.name for path in workspace.qa.iterdir()} == {".conveyor", "READY", *names, *staying}
        tar = (workspace.qa / "products" / "weblog.tgz").read_bytes()
        assert (workspace.weblog / "weblog.tgz").read_bytes() == tar
    if operation is Operation.QA_FAIL:
        assert (workspace.spool / ".conveyor" / "qa-fail.json").exists()
        assert not workspace.weblog.exists()
    cache = workspace.weblog.parent
    assert not cache.exists() or {path.name for path in cache.iterdir()} <= {workspace.request}
    assert not litter(workspace, names)


def litter(workspace: Workspace, names: Sequence[str]) -> list[str]:
    """What stands in ``.conveyor`` at either end and is not documented to stay there."""
    patterns = [pattern.replace("<directory>", re.escape(name)) for pattern in _staying() for name in names]
    found = [path for end in (workspace.spool, workspace.qa) for path in sorted(end.glob(".conveyor/*"))]
    return [str(path) for path in found if not any(re.fullmatch(pattern, path.name) for pattern in patterns)]


@cache
def _staying() -> tuple[str, ...]:
    """Patterns of the names that the documentation says stay in ``.conveyor``."""
    text = _FILES.read_text().split("## For the time of a conveyance")[0]
    names = re.findall(r"^`\.conveyor/([^`]+)`$", text, re.MULTILINE)
    assert {"history.jsonl", "peer"} <= set(names), "the page of files has another form"
    return tuple(re.escape(name).replace("<n>", r"\d+") for name in names)
