"""The request that a conveyance is about, and the environment that it runs in."""

from __future__ import annotations

import functools
import math
from dataclasses import field
from typing import TYPE_CHECKING

from conveyor.engine.copy_progress import ProgressCallback, no_progress
from conveyor.engine.host import Host
from conveyor.engine.outcome import EventCallback, no_events
from conveyor.filesystem.mounts import mounts
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.capabilities.capability import Capability
    from conveyor.request.places import Places
    from conveyor.weblog.limits import Limits


@frozen
class Request:
    """A request: its places, its capability, what its metadata says, and how its weblog is unpacked and its data copied.

    ``wait``: seconds in which what refuses the conveyance may end by itself. ``strict``: what would be warned of before
    anything changes is refused. ``qa_link``: seconds that a link to spool stands in the place of the QA folder once the
    request is home; None for none. ``when_idle``: nothing moves while a process of this host has anything in it open, and
    what refuses it is waited for without limit if there is no ``wait``. ``cache_lifetime``: seconds for which other hosts
    may follow what they know of names; None for what the mounts say.
    """

    places: Places
    capability: Capability
    project_code: str | None
    limits: Limits
    copying: CopyOptions = field(default_factory=CopyOptions)
    wait: float = 0.0
    strict: bool = False
    qa_link: float | None = None
    when_idle: bool = False
    cache_lifetime: float | None = None

    @property
    def patience(self) -> float:
        """Seconds in which what refuses the conveyance may end by itself."""
        return math.inf if self.when_idle and not self.wait else self.wait


@frozen
class Environment:
    """The environment of a conveyance: the file system, this host, and the callbacks for events, progress and stopping."""

    fs: FileSystem = field(default_factory=FileSystem)
    host: Host = field(default_factory=Host)
    on_event: EventCallback = no_events
    on_progress: ProgressCallback = no_progress
    stop: Callable[[], bool] = lambda: False


def looking_only() -> FileSystem:
    """Return a file system for looks at many requests: what is mounted is read once for all of them."""
    return FileSystem(mount_table=functools.cache(mounts))
