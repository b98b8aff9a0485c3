"""A request's own log: one JSON line an event, in ``.conveyor`` in spool, only ever added to, read by no conveyance."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from conveyor.engine.endpoints import Endpoints
from conveyor.engine.outcome import LEVELS
from conveyor.engine.receipt import now
from conveyor.errors import ConveyorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conveyor.filesystem.posix import FileSystem
    from conveyor.request.places import Places


class Journal:
    """An observer that adds each event of at least a level to a file of this name; ``always`` is in each line.

    The file is opened anew for each line, by the request's folder, so that a link in the place of anything leads nowhere.
    A line that cannot be written is dropped: a log must not stop a conveyance.
    """

    def __init__(self, fs: FileSystem, places: Places, name: str, least: int, always: Mapping[str, object]) -> None:
        self._fs = fs
        self._places = places
        self._name = name
        self._least = least
        self._always = always

    def __call__(self, level: str, event: str, **details: object) -> None:
        if LEVELS[level] < self._least:
            return
        line = {"timestamp": now(), "level": level, "event": event, **self._always, **details}
        content = json.dumps(line, default=str).encode() + b"\n"
        with contextlib.suppress(OSError, ConveyorError):
            try:
                self._add(content)
            except FileNotFoundError:  # a conveyance that was refused took its folder back at this moment
                self._add(content)

    def _add(self, content: bytes) -> None:
        with Endpoints(self._fs, self._places) as endpoints:
            endpoints.spool.make_meta()
            self._fs.append(endpoints.spool.meta, self._name, content)
