"""How often a request was delivered, and whether it was written to since: told of a real one, within a bounded time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.api.people import assign, note
from conveyor.board.board_view import View
from conveyor.board.delivery_watch import DeliveryWatch, count_deliveries
from conveyor.board.request_details import edits_of
from conveyor.board.shared_overview import ProcessLooker, SharedOverview, look
from conveyor.errors import ConveyorError, IoFailedError
from support.boards import ask, dispatch, overview_of, waiting
from support.inventory import inventory
from support.workspace import make_workspace

if TYPE_CHECKING:
    from conveyor.board.board_view import BoardView
    from support.workspace import Workspace


def test_a_request_that_was_delivered_twice_and_edited_is_flagged(workspace: Workspace) -> None:
    """A second delivery, and a file that was written after it, are flags; before they are none."""
    config, watch = conveyor.load_config({"spool_root": workspace.root / "spool"}), DeliveryWatch()
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert look(config, watch).lists[View.WAITING][0].flags == ()
    conveyor.retrieve(workspace.metadata).raise_for_error()
    conveyor.deliver(workspace.metadata).raise_for_error()
    later = time.time() + 60
    os.utime(workspace.qa / "working" / "folder" / "file.txt", (later, later))
    assert look(config, watch).lists[View.WAITING][0].flags == ("delivered twice", "edited since delivery")


def _look(workspace: Workspace, qa_root: Path | None = None) -> tuple[str, ...]:
    """The flags of the request, by a look at the real workspace."""
    given = {"spool_root": workspace.root / "spool", **({"qa_root": qa_root} if qa_root else {})}
    (row,) = look(conveyor.load_config(given), DeliveryWatch()).lists[View.WAITING]
    return row.flags


def test_what_has_no_weblog_or_left_something_is_flagged(workspace: Workspace) -> None:
    """A weblog that was not cached, and what a copy could not remove, are flags of a request that waits."""
    (workspace.spool / "products" / "weblog.tgz").unlink()
    conveyor.deliver(workspace.metadata).raise_for_error()
    assert _look(workspace) == ("no weblog",)
    (workspace.spool / ".conveyor" / "rawdata.left.1").mkdir()
    assert _look(workspace) == ("left-over files", "no weblog")


def test_what_people_said_of_a_real_request_is_on_its_page(workspace: Workspace) -> None:
    """Assignment, note, verdict and reason, whatever signs they have, stand in the list and on the page."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    config = conveyor.load_config({"spool_root": workspace.spool.parent})
    assign(workspace.metadata, "da02", config=config).raise_for_error()
    note(workspace.metadata, "first line\nBcc: everybody@example.org <b>&", config=config).raise_for_error()
    conveyor.qa_fail(workspace.metadata, reason="flux scale <off>, spw 7", config=config).raise_for_error()

    async def looker() -> BoardView:
        return look(config)

    app = dispatch(SharedOverview(looker))
    judged = ask(app, "/?view=judged").body.decode()
    page = ask(app, f"/request/{workspace.request}/").body.decode()
    for shown in (judged, page):
        assert "<q>flux scale &lt;off&gt;, spw 7</q>" in shown
        assert "✗</span> failed</span>" in shown
    assert "first line\nBcc: everybody@example.org &lt;b&gt;&amp;" in page
    assert "da02" in page


def test_the_manifest_tells_what_was_edited(tmp_path: Path, memory_folder: Path) -> None:
    """Of what was copied, what is new, changed or gone is told apart, whatever its times; nothing is written."""
    workspace = make_workspace(tmp_path / "here", qa_root=memory_folder)
    config = conveyor.load_config({"spool_root": workspace.spool.parent, "qa_root": memory_folder})
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    assert _look(workspace, memory_folder) == ()
    working = workspace.qa / "working"
    folder, before = working / "folder", (working / "folder" / "file.txt").stat()
    (folder / "file.txt").write_text("changed, and set back")
    (folder / "new.txt").write_text("x")
    (working / "more").mkdir()
    (working / "more" / "below.txt").touch()
    for path in (folder / "file.txt", folder / "new.txt", folder, working / "more", working):
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    gone = next(path for path in workspace.qa.glob("rawdata/**/*") if path.is_file())
    gone.unlink()
    (row,) = look(config).lists[View.WAITING]
    kept = inventory(workspace.spool)
    edits = edits_of(row.entry, most_entries=1000, most_paths=100)
    assert edits is not None
    assert {one.path: str(one.kind) for one in edits.found} == {
        f"{gone.relative_to(workspace.qa)}": "removed",
        "working/folder/file.txt": "changed",
        "working/folder/new.txt": "new",
        "working/more/": "new",
    }
    assert inventory(workspace.spool) == kept
    assert _look(workspace, memory_folder) == ("edited since delivery",)


def test_a_manifest_that_cannot_be_believed_leaves_the_times(tmp_path: Path, memory_folder: Path) -> None:
    """A damaged manifest, or one with the journal of a crash, is not asked, and not put right."""
    workspace = make_workspace(tmp_path / "here", qa_root=memory_folder)
    config = conveyor.load_config({"spool_root": workspace.spool.parent, "qa_root": memory_folder})
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    (row,) = look(config).lists[View.WAITING]
    (workspace.qa / "working" / "gone.txt").touch()
    later = time.time() + 60
    os.utime(workspace.qa / "working", (later, later))
    manifests = sorted((workspace.spool / ".conveyor").glob("*.manifest"))
    assert manifests
    for change in (lambda path: path.write_bytes(b"no database"), lambda path: path.write_bytes(b""), Path.unlink):
        for path in manifests:
            change(path)
        edits = edits_of(row.entry, most_entries=1000, most_paths=100)
        assert edits is not None
        assert [(one.path, str(one.kind)) for one in edits.found] == [("working/", "written to")]


def test_a_look_outlives_its_process_and_a_lost_area(workspace: Workspace) -> None:
    """The process that looks is killed, and another one looks; an area that is gone meanwhile is told, and comes back."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    looker = ProcessLooker(conveyor.load_config({"spool_root": workspace.spool.parent}))

    async def looks() -> None:
        assert len((await looker()).lists[View.WAITING]) == 1
        os.kill(looker._process.pid, signal.SIGKILL)  # type: ignore[union-attr,arg-type] # noqa: SLF001 - as the kernel may
        with suppress(IoFailedError):  # unless it is known to be dead already
            await looker()
        away = workspace.qa.parent.rename(workspace.root / "unmounted")
        assert [row.entry.name for row in (await looker()).lists[View.OPERATOR]] == [workspace.request]
        away.rename(workspace.qa.parent)
        spool = workspace.spool.parent.rename(workspace.root / "away")
        with pytest.raises(ConveyorError, match="spool"):
            await looker()
        spool.rename(workspace.spool.parent)
        assert len((await looker()).lists[View.WAITING]) == 1

    try:
        asyncio.run(looks())
    finally:
        looker.close()


def test_a_look_spends_a_bounded_time_and_begins_with_what_waited_longest() -> None:
    """Of many requests a few are looked through at a time, none twice before all were, and none again too soon."""
    now = [0.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    watch, entries = DeliveryWatch(6.0, clock), overview_of([waiting(f"r{number}") for number in range(6)])
    checked = []
    for _ in range(4):
        watch.add_to(entries)
        checked.append(sum(known.checked > 0 for known in watch._known.values()))  # noqa: SLF001 - what is not shown
    assert checked[0] < 6
    assert checked[-1] == 6
    assert sorted(checked) == checked


def test_the_first_release_wrote_steps_only() -> None:
    """The last step of a delivery counts where no run is written, and the end of the run where one is."""
    common = {"time": "2026-11-23T23:45Z", "host": "", "pid": 1, "version": "", "capability": "", "command": "deliver"}
    lines = [
        {**common, "step": "write-ready", "subject": "", "outcome": "done"},
        {**common, "step": "write-ready", "subject": "", "outcome": "done", "run": "1"},
        {**common, "event": "end", "outcome": "done", "run": "1"},
        {**common, "event": "end", "outcome": "stopped", "run": "2"},
        {**common, "command": "retrieve", "event": "end", "outcome": "done", "run": "3"},
    ]
    assert count_deliveries("\n".join(map(json.dumps, lines)).encode()) == 2
