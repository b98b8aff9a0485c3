"""What a conveyance is about, and what it runs in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conveyor.engine.host import Host
from conveyor.engine.outcome import Observer, nobody
from conveyor.engine.progress import Watcher, unwatched
from conveyor.filesystem.copying.values import Options
from conveyor.filesystem.posix import PosixFileSystem

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.capabilities.strategy import Capability
    from conveyor.filesystem.port import FileSystem
    from conveyor.request.places import Places
    from conveyor.weblog.reader import Limits


@dataclass(frozen=True)
class Request:
    """What is to be conveyed: the request's places, its capability, what its metadata says, and how."""

    places: Places
    capability: Capability
    project_code: str | None
    limits: Limits
    copying: Options = field(default_factory=Options)


@dataclass(frozen=True)
class World:
    """What a conveyance runs in: the file system, this host, who is told of it, and who may ask it to stop."""

    fs: FileSystem = field(default_factory=PosixFileSystem)
    host: Host = field(default_factory=Host)
    observer: Observer = nobody
    watcher: Watcher = unwatched
    stop: Callable[[], bool] = lambda: False
