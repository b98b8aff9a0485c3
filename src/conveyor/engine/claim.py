"""The claim: what keeps two conveyances of one request apart, on one host or on several.

``flock`` is no proof on Lustre (``localflock`` protects one node only, ``noflock`` nothing), so a claim needs none. It
is a symlink ``.conveyor/claim.<n>`` whose text names the holder: making a symlink is atomic on every file system, it
fails where the name is taken, and it carries its content from its first instant on.

The highest ``n`` counts. A request is claimed by making ``claim.<n + 1>``, which succeeds for one contender only, where
the latest is free or its holder is surely dead; and given back by renaming the claim to ``free.<n>``, which needs no space
on a full disk. Since the highest number goes only after a higher one is there, somebody who decided by an old look either
finds the name taken or finds, looking again, that another one of the same number or a higher one stands.
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from conveyor.engine.ends import INNER
from conveyor.engine.host import Process
from conveyor.engine.receipt import now
from conveyor.errors import LockedError
from conveyor.filesystem.port import Kind

if TYPE_CHECKING:
    from conveyor.engine.ends import End
    from conveyor.engine.host import Host
    from conveyor.filesystem.port import Entry, FileSystem, Folder

_CLAIM = re.compile(r"(claim|free)\.(\d{1,18})")


@dataclass(frozen=True)
class Holder:
    """Who holds a request, and since when."""

    process: Process
    since: str

    @property
    def text(self) -> str:
        return json.dumps({"since": self.since, **asdict(self.process)}, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Holder:
        """The holder that a claim names; a claim that cannot be read is held by somebody we do not know."""
        try:
            fields = json.loads(text)
            return cls(since=str(fields.pop("since")), process=Process(**fields))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(Process("an unknown host", "", "", "", 0, ""), "an unknown time")


class Claim:
    """A request, held from ``with`` to its end. Raises :class:`~conveyor.errors.LockedError` where another holds it.

    A request's first claim is taken back without a trace where it was not ``used``: a refusal that comes late changes
    nothing either.
    """

    def __init__(self, end: End, host: Host) -> None:
        self._end = end
        self._host = host
        self._number = 0
        self._made_inner = False
        self._before: Entry | None = None  # the end's folder, as it was
        self.used = False

    def __enter__(self) -> Claim:
        self._before = self._fs.look(self._end.here, ".")
        self._made_inner = self._end.make_inner()
        if self._end.inner is None:
            raise overtaken(self._end)
        latest, other = _latest(self._end, self._host)
        if other is not None:
            raise held(self._end, other)
        self._number = latest + 1
        holder = Holder(self._host.this_process(), now())
        try:
            self._fs.make_link(self._folder, self._name, holder.text)
        except OSError as error:
            # Over NFS an answer can be lost and the retried call find its own work: only the text tells.
            if not self._is_mine(holder.text):
                raise overtaken(self._end) if error.errno in (errno.EEXIST, errno.ENOENT) else error from None
        others = [name for name in self._fs.names(self._folder) if name != self._name]
        if _highest(others) >= self._number:
            with contextlib.suppress(FileNotFoundError):  # the one that came before has tidied it away
                self._fs.remove(self._folder, self._name)
            raise overtaken(self._end)
        return self

    def __exit__(self, *_: object) -> None:
        if not self.used and self._made_inner and self._fs.names(self._folder) == [self._name]:
            self._withdraw()
        else:  # numbers only ever grow: a number taken back would be counted from by those who saw it
            self._fs.rename(self._folder, self._name, self._folder, f"free.{self._number}")
            self._remove_older()

    def _withdraw(self) -> None:
        """Take a request's first claim back, its folder, and the time of the folder above."""
        self._fs.remove(self._folder, self._name)
        self._end.own.close()
        self._end.inner = None
        with contextlib.suppress(OSError):  # somebody else claims it already
            self._fs.remove_folder(self._end.here, INNER)
            if self._before is not None:
                self._fs.set_modified(self._end.here, ".", self._before.modified)

    @property
    def _fs(self) -> FileSystem:
        return self._end.fs

    @property
    def _folder(self) -> Folder:
        return self._end.own

    @property
    def _name(self) -> str:
        return f"claim.{self._number}"

    def _is_mine(self, text: str) -> bool:
        return self._end.inner_kind(self._name) is Kind.LINK and self._fs.read_link(self._folder, self._name) == text

    def _remove_older(self) -> None:
        for name in self._fs.names(self._folder):
            if (found := _CLAIM.fullmatch(name)) and int(found[2]) < self._number:
                with contextlib.suppress(FileNotFoundError):
                    self._fs.remove(self._folder, name)


def current_holder(end: End, host: Host) -> Holder | None:
    """Who holds a request now; None where it is free or its holder is surely dead."""
    return _latest(end, host)[1]


def _latest(end: End, host: Host) -> tuple[int, Holder | None]:
    """The latest number and who holds it, by one look: two would be of two moments."""
    names = end.fs.names(end.inner) if end.inner else []
    latest = _highest(names)
    name = f"claim.{latest}"
    if latest == 0 or end.inner is None or f"free.{latest}" in names:
        return latest, None
    text = ""
    with contextlib.suppress(FileNotFoundError):  # given back at this moment: whoever asks comes again
        text = end.fs.read_link(end.inner, name) if end.inner_kind(name) is Kind.LINK else ""
    holder = Holder.parse(text)
    return latest, None if host.is_dead(holder.process) else holder


def turn(end: End) -> int:
    """The number of the latest claim: two looks between which it did not change saw no other conveyance's work."""
    end.open_inner()
    return _highest(end.fs.names(end.inner)) if end.inner else 0


def _highest(names: list[str]) -> int:
    return max((int(found[2]) for name in names if (found := _CLAIM.fullmatch(name))), default=0)


def held(end: End, holder: Holder) -> LockedError:
    """The refusal that names the holder."""
    process = holder.process
    return LockedError(
        f"another conveyance holds {end.path}: pid {process.pid} on {process.host}, since {holder.since}"
    )


def overtaken(end: End) -> LockedError:
    """The refusal of a run that another one came before by a moment."""
    return LockedError(f"another conveyance took {end.path} at the same moment")
