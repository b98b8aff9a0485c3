"""How often a request was delivered, and whether it was written to since: told of a real one, within a bounded time."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import conveyor
from conveyor.board.board_view import View
from conveyor.board.delivery_watch import DeliveryWatch, count_deliveries
from conveyor.board.shared_overview import look
from support.boards import overview_of, waiting

if TYPE_CHECKING:
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
    common = {"time": "", "host": "", "pid": 1, "version": "", "capability": "", "command": "deliver"}
    lines = [
        {**common, "step": "write-ready", "subject": "", "outcome": "done"},
        {**common, "step": "write-ready", "subject": "", "outcome": "done", "run": "1"},
        {**common, "event": "end", "outcome": "done", "run": "1"},
        {**common, "event": "end", "outcome": "stopped", "run": "2"},
        {**common, "command": "retrieve", "event": "end", "outcome": "done", "run": "3"},
    ]
    assert count_deliveries("\n".join(map(json.dumps, lines)).encode()) == 2
