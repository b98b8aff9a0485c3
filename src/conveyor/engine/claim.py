"""The claim, which keeps two conveyances of one request apart, on one host or on several.

``flock`` is no proof on Lustre (``localflock`` protects one node only, ``noflock`` nothing), so a claim needs none. It
is a symlink ``.conveyor/claim.1`` whose text names the holder: making a symlink is atomic on every file system, it fails
where the name is taken, and it carries its content from its first instant on.

A holder that died leaves its claim. It is not removed, since between the look and the removal somebody else's could have
taken its place; the next number is made instead. So a contender walks up from ``claim.1`` past the dead ones, makes the
first that is missing, and then looks whether the dead ones still stand as they were: if they do, nobody else can come by,
since no dead one ever goes but by the hand of a holder. Who holds moves down to ``claim.1``, in one step, in the place of a
dead one, and removes the other dead ones.

``tests/engine/test_claim_model.py`` runs this code through every order of the calls of several processes and deaths.
"""

from __future__ import annotations

import contextlib
import errno
import json
from dataclasses import asdict
from itertools import count
from typing import TYPE_CHECKING

from conveyor import layout
from conveyor.clock import for_people, now
from conveyor.engine.event_log import work_since
from conveyor.engine.host import Process
from conveyor.errors import LinksRefusedError, LockedError
from conveyor.filesystem.mounts import TAKES_LINKS_IF
from conveyor.filesystem.posix import Kind
from conveyor.layout import HISTORY, META_DIR
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.engine.endpoints import Endpoint
    from conveyor.engine.host import Host
    from conveyor.filesystem.posix import DirFd, Entry

    #: The name of each claim, from 1 on.
    ClaimNames = Callable[[int], str]

_FIRST = 1
_HELD: set[str] = set()  # the claims of this process


@frozen
class Holder:
    """The holder of a request, and the time since. ``token`` tells two claims of one process apart."""

    process: Process
    since: str
    token: str = ""

    @property
    def text(self) -> str:
        return json.dumps({"since": self.since, "token": self.token, **asdict(self.process)}, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Holder:
        """The holder that a claim names; a claim that cannot be read is held by somebody we do not know."""
        try:
            fields = json.loads(text)
            since, token = str(fields.pop("since")), str(fields.pop("token", ""))
            return cls(Process(**fields), since, token)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(Process("an unknown host", "", "", "", 0, ""), "an unknown time")

    def __str__(self) -> str:
        return f"pid {self.process.pid} on {self.process.host}, since {for_people(self.since)}"


class Claim:
    """A request, held from ``with`` to its end. Raises :class:`~conveyor.errors.LockedError` where another holds it.

    ``disregard`` is the text of a claim whose holder is taken for dead whatever this host can see: for an operator who
    knows. ``names`` are those of the claims: on the request, or on what people said of it. Unless it was ``used``, a claim
    leaves no trace: a refusal that comes late changes nothing either.
    """

    def __init__(
        self, end: Endpoint, host: Host, *, disregard: str | None = None, names: ClaimNames = layout.claim
    ) -> None:
        self._end = end
        self._fs = end.fs
        self._names = names
        self._is_dead = _judge(host, disregard)
        self.token = host.token()
        self._text = Holder(host.this_process(), now(), self.token).text
        self._number = _FIRST
        self._made_inner = False
        self._before: list[tuple[DirFd, Entry | None]] = []  # the folders that a claim is made in, as they were
        self.used = False

    def __enter__(self) -> Claim:
        self._remember(self._end.root)
        self._made_inner = self._end.make_meta()
        if self._end.meta_handle is None:
            raise overtaken_error(self._end)
        if not self._made_inner:
            self._remember(self._end.meta)
        _HELD.add(self._text)
        try:
            self._take()
        except BaseException:
            with contextlib.suppress(OSError):
                self._give_back()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._give_back()
        except OSError:
            # What went wrong first is what is told. Whoever sees the claim that is left will know that its holder died.
            if kind is None:
                raise

    @property
    def stands(self) -> bool:
        """Tell whether the claim is still there: an operator on another host may have given it up for dead."""
        return self._text_of(_FIRST) == self._text

    def _take(self) -> None:
        dead: list[str] = []
        for text in _texts(self._end, self._names):
            if not self._is_dead(text):
                raise held_error(self._end, text)
            dead.append(text)
        number = self._number = _FIRST + len(dead)
        self._make(number)
        if not self._stand(dead):
            raise overtaken_error(self._end)
        if dead:
            self._fs.rename(self._end.meta, self._names(number), self._end.meta, self._names(_FIRST))
            self._number = _FIRST
            for place in range(_FIRST + 1, number):
                self._remove(place)

    def _stand(self, dead: list[str]) -> bool:
        """Tell whether the dead claims still stand: another contender may have moved down into the place of one."""
        return all(self._text_of(place) == text for place, text in enumerate(dead, _FIRST))

    def _make(self, number: int) -> None:
        try:
            self._fs.symlink(self._end.meta, self._names(number), self._text)
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                hint = f"nothing was moved: {TAKES_LINKS_IF}"
                raise LinksRefusedError(f"no link can be made in {self._end.path}", hint=hint) from None
            # Over NFS an answer can be lost and the retried call find its own work: only the text tells.
            if self._text_of(number) != self._text:
                raise overtaken_error(self._end) if error.errno in (errno.EEXIST, errno.ENOENT) else error from None

    def _give_back(self) -> None:
        _HELD.discard(self._text)
        for number in {self._number, _FIRST}:  # a move down that was reported as failed may have taken place
            if self._text_of(number) == self._text:  # else it was taken away, and is not ours to give back
                self._remove(number)
        if not self.used:
            self._leave_no_trace()

    def _remove(self, number: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # over NFS a removal can be answered twice
            self._fs.unlink(self._end.meta, self._names(number))

    def _text_of(self, number: int) -> str | None:
        return _text(self._end, self._names(number))

    def _remember(self, folder: DirFd) -> None:
        self._before.append((folder, self._fs.lstat(folder, ".")))

    def _leave_no_trace(self) -> None:
        """Remove ``.conveyor`` where this claim made it, unless somebody claims there already; set back folders' times."""
        with contextlib.suppress(OSError):  # that somebody claims the folder meanwhile is no error
            if self._made_inner and not self._fs.listdir(self._end.meta):
                self._end.meta.close()
                self._end.meta_handle = None
                self._fs.rmdir(self._end.root, META_DIR)
            for folder, entry in self._before:
                if entry is not None:
                    self._fs.set_directory_time(folder, entry.modified)


def current_claim(end: Endpoint, host: Host, names: ClaimNames = layout.claim) -> str | None:
    """The text of the claim on a request; None if it is free or its holders are surely dead."""
    is_dead = _judge(host, None)
    return next((text for text in _texts(end, names) if not is_dead(text)), None)


def claimants(end: Endpoint) -> list[Holder]:
    """Everybody whom a claim on a request names, dead or alive."""
    return [Holder.parse(text) for text in _texts(end)]


@frozen
class Generation:
    """The claims of a request, and the size of its history in bytes, at a moment: each conveyance changes one of them."""

    claims: tuple[str, ...]
    size: int

    def is_still(self, end: Endpoint) -> bool:
        """Tell whether no conveyance did anything since. What people say meanwhile, and refusals, are nothing."""
        later = generation(end)
        if later.claims != self.claims or later.size < self.size:
            return False
        return later.size == self.size or not work_since(end, self.size)


def generation(end: Endpoint) -> Generation:
    """Return a value that each conveyance changes: two looks between which it stayed the same saw no other one's work."""
    end.open_meta()
    history = end.fs.lstat(end.meta_handle, HISTORY) if end.meta_handle else None
    return Generation(tuple(_texts(end)), history.size if history else 0)


@contextlib.contextmanager
def optimistic_read(end: Endpoint, host: Host) -> Iterator[str | None]:
    """A look without a claim; the text of the claim of the request's holder, if any.

    Raises :class:`~conveyor.errors.LockedError` at its end if somebody holds it, or a conveyance came in between: then
    what was seen, or refused, is not of one moment, and worth nothing.
    """
    before, holder = generation(end), current_claim(end, host)
    try:
        yield holder
    finally:
        if holder is not None:
            raise held_error(end, holder)
        if not before.is_still(end):
            raise overtaken_error(end)


def _judge(host: Host, disregard: str | None) -> Callable[[str], bool]:
    def is_dead(text: str) -> bool:
        process = Holder.parse(text).process
        # A claim of this process that nobody in it holds could not be given back: its disk was full, or read-only.
        is_left = text not in _HELD and process == host.this_process()
        return text == disregard or is_left or host.is_dead(process)

    return is_dead


def _texts(end: Endpoint, names: ClaimNames = layout.claim) -> Iterator[str]:
    """The claims' texts from the first on, to the first that is missing."""
    for number in count(_FIRST):
        text = _text(end, names(number))
        if text is None:
            return
        yield text


def _text(end: Endpoint, name: str) -> str | None:
    """The text of one claim; None if there is none, nothing where what stands there is no claim of ours."""
    kind = end.meta_kind(name)
    if kind is None or end.meta_handle is None:
        return None
    try:
        return end.fs.readlink(end.meta_handle, name) if kind is Kind.LINK else ""
    except FileNotFoundError:  # given back at this moment
        return None


def held_error(end: Endpoint, text: str) -> LockedError:
    """The refusal that names the holder, by the text of its claim."""
    return LockedError(f"another conveyance holds {end.path}: {Holder.parse(text)}")


def overtaken_error(end: Endpoint) -> LockedError:
    """The refusal of a run that another one came before by a moment."""
    return LockedError(f"another conveyance took {end.path} at the same moment")
