"""How far the copies of several processes are, told to the one that forked them."""

from __future__ import annotations

import json
import mmap
from dataclasses import asdict
from typing import TYPE_CHECKING

from conveyor.documents import Progress, validate

if TYPE_CHECKING:
    from conveyor.engine.copy_progress import ProgressCallback

_SLOT = 2048  # bytes; what is told has some 400, with the longest names 1000


class Board:
    """Pages that are shared with forked processes, a slot a request. Nobody waits for anybody, so a death stops nobody.

    Who reads while somebody writes may find half of each: what cannot be read is passed over, the next look will.
    """

    def __init__(self, requests: int) -> None:
        self._slots = requests
        self._page = mmap.mmap(-1, _SLOT * max(requests, 1))
        self._shown: dict[int, str] = {}

    def on_progress(self, slot: int) -> ProgressCallback:
        """Who writes in a slot what is told of one request."""

        def watch(request: str, progress: Progress | None) -> None:
            content = b""
            if progress is not None:
                content = json.dumps([request, asdict(progress)], ensure_ascii=False).encode(errors="replace")
            if len(content) <= _SLOT:
                self._page[_SLOT * slot : _SLOT * (slot + 1)] = content.ljust(_SLOT, b"\0")

        return watch

    def pass_on(self, on_progress: ProgressCallback) -> None:
        """Tell a watcher of this process what stands in the slots, and what is over since the last time."""
        for slot in range(self._slots):
            start = _SLOT * slot
            if self._page[start] == 0:
                self._end(slot, on_progress)
                continue
            try:
                request, fields = json.loads(self._page[start : start + _SLOT].rstrip(b"\0"))
                progress = validate(Progress, fields)
            except ValueError:
                continue
            self._shown[slot] = request
            on_progress(request, progress)

    def close(self, on_progress: ProgressCallback) -> None:
        """Tell the watcher that everything is over, of a process that died too."""
        for slot in list(self._shown):
            self._end(slot, on_progress)
        self._page.close()

    def _end(self, slot: int, on_progress: ProgressCallback) -> None:
        if slot in self._shown:
            on_progress(self._shown.pop(slot), None)
