"""The situations that pages of the documentation are about, made for real in a workspace that their commands then run in."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import conveyor
from conveyor.engine.claim import Holder
from conveyor.engine.host import Host
from conveyor.layout import META_DIR, claim
from support.workspace import HTML, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.workspace import Workspace


def make_scene(page: str, top: Path) -> Path:
    """Make a workspace in ``/data`` of ``top``, in the situation that a page is about; the place of its commands.

    There ``metadata.json`` leads to that of the request, and the settings are the user's, as a page on settings says.
    """
    workspace = make_workspace(top.resolve() / "data" / "workspaces")
    (top / "data" / "production").symlink_to("workspaces")
    (workspace.root / "metadata.json").symlink_to(workspace.metadata.relative_to(workspace.root))
    _settings().parent.mkdir(parents=True)
    _settings().write_text(f'spool_root = "{workspace.spool.parent}"\n[receivers.log]\ncommand = "true"\n')
    if page in _SCENES:
        _SCENES[page](workspace)
    return workspace.root


def _settings() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"], "conveyor", "conveyor.toml")


def kill(workspace: Workspace, convey: Callable[..., object], step: str) -> None:
    """Let a process convey the request of a workspace, and kill it right after a step."""

    def end(level: str, event: str, **details: object) -> None:
        if details.get("step") == step:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        convey(workspace.metadata, on_event=end)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _killed_delivery(workspace: Workspace) -> None:
    kill(workspace, conveyor.deliver, "deliver")


def _in_qa(workspace: Workspace) -> None:
    conveyor.deliver(workspace.metadata).raise_for_error()


def _held_elsewhere(workspace: Workspace) -> None:
    """A process of a host that is not there any more holds the request."""
    elsewhere = replace(Host().this_process(), host="nmpost042", machine="another", pid=22259)
    (workspace.spool / META_DIR).mkdir()
    holder = Holder(elsewhere, "2026-11-24T02:41:00.000+00:00", "0123456789abcdef")
    (workspace.spool / META_DIR / claim(1)).symlink_to(holder.text)


def _unmounted(workspace: Workspace) -> None:
    """The QA area of a request that is out is an empty directory."""
    _in_qa(workspace)
    make_workspace(workspace.root, request="another")
    (workspace.root / "qa2").rename(workspace.root / "not mounted")
    (workspace.root / "qa2").mkdir()


def _renamed(workspace: Workspace) -> None:
    _in_qa(workspace)
    workspace.qa.rename(workspace.qa.with_name(f"{workspace.request}-done"))


def _in_the_way(workspace: Workspace) -> None:
    (workspace.qa / "products").mkdir(parents=True)
    (workspace.qa / "products" / "notes.txt").write_text("whose is this?")


def _damaged_weblog(workspace: Workspace) -> None:
    shutil.copytree(workspace.spool / "working", workspace.spool / "working" / HTML)
    (workspace.spool / "working" / HTML / "index.html").write_text("the observation")
    (workspace.spool / "products" / "weblog.tgz").write_bytes(b"no tar")


def _lost_metadata(workspace: Workspace) -> None:
    _in_qa(workspace)
    workspace.metadata.unlink()


def _misspelt(workspace: Workspace) -> None:
    workspace.write_metadata(workflowName="std_calibrtion")


def _mail_server_is_down(workspace: Workspace) -> None:
    with _settings().open("a") as file:
        file.write('[receivers.analysts]\nmail = "qa@example.org"\n')
    settings = _settings().read_text()
    _settings().write_text(f'smtp_server = "localhost:1"\n{settings}')
    _in_qa(workspace)


def _left_a_note(workspace: Workspace) -> None:
    _in_qa(workspace)
    (workspace.qa / "note.txt").write_text("call me")


_TROUBLE = "docs/how-to/trouble"
_SCENES: dict[str, Callable[[Workspace], None]] = {
    "docs/how-to/recover.md": _killed_delivery,
    "docs/how-to/verify.md": _in_qa,
    "docs/how-to/work-in-qa.md": _in_qa,
    f"{_TROUBLE}/area-not-mounted.md": _unmounted,
    f"{_TROUBLE}/both-ends.md": _in_the_way,
    f"{_TROUBLE}/files-left-in-qa.md": _left_a_note,
    f"{_TROUBLE}/half-delivered.md": _killed_delivery,
    f"{_TROUBLE}/locked.md": _held_elsewhere,
    f"{_TROUBLE}/metadata-lost.md": _lost_metadata,
    f"{_TROUBLE}/no-mail-came.md": _mail_server_is_down,
    f"{_TROUBLE}/not-in-the-list.md": _misspelt,
    f"{_TROUBLE}/qa-folder-renamed.md": _renamed,
    f"{_TROUBLE}/weblog-damaged.md": _damaged_weblog,
    f"{_TROUBLE}/wrong-request.md": _in_qa,
}
