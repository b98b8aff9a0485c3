"""The outbox: a directory in the spool area in which notices wait, a file each, until ``conveyor notify`` sends them.

Whoever sends a notice takes it out by a rename into a directory of its own, so that no two runs ever have the same one.
A run that died is recognised as the holder of a claim is; what it had goes back. It may have sent a notice and died before
it wrote that down: then that one is sent again, with the same key.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from conveyor.clock import now
from conveyor.documents.codec import dump, dump_line, load
from conveyor.documents.outbox_documents import Notice, SentLine, Told, WaitingNotice
from conveyor.engine.claim import Holder
from conveyor.filesystem.posix import Kind
from conveyor.layout import OUTBOX, SENDER, SENDING, SENT_LOG, TOLD, WAITING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from conveyor.engine.host import Host
    from conveyor.filesystem.posix import DirFd, FileSystem

#: The events after which the states of a request are told of anew.
BEGINNINGS = frozenset({"ready", "home"})
_LIMIT = 1 << 20  # bytes of a file in the outbox
_LOG_TAIL = 1 << 20  # bytes at the end of the log of what was sent, which has some 250 for each notice
#: Seconds after which a run that gave no sign of life, and of which this host can say nothing, is taken for dead.
_SILENCE = 15 * 60
_BEAT = 60  # seconds between two signs of life


def leave(fs: FileSystem, area: Path, notice: Notice, receivers: Iterable[str], state: str) -> bool:
    """Leave a notice in the outbox of a spool area for each receiver, once a state of its request.

    The states begin anew when a request is ready, or comes home. Returns False if this one was told of before. Raises
    :class:`OSError`.
    """
    with fs.open_root(area) as root, fs.make_below(root, [OUTBOX, TOLD]) as told:
        states = _told(fs, told, notice["request"])
        if state in states:
            return False
        with fs.make_below(root, [OUTBOX, WAITING]) as waiting:
            for receiver in receivers:
                _put(fs, waiting, _waiting(receiver, notice))
        kept = [] if notice["event"] in BEGINNINGS else states
        document = Told(schema="conveyor-told/1", states=[*kept, state])
        fs.write(told, notice["request"], dump(document), durable=False)
    return True


def begin_anew(fs: FileSystem, area: Path, request: str) -> None:
    """Forget which states of a request were told of: it is ready, or came home, and nobody wants to know that."""
    with (
        contextlib.suppress(FileNotFoundError),
        fs.open_root(area) as root,
        fs.open_below(root, [OUTBOX, TOLD]) as told,
    ):
        fs.unlink(told, request)


def _told(fs: FileSystem, told: DirFd, request: str) -> list[str]:
    try:
        return load(Told, fs.read(told, request, limit=_LIMIT))["states"]
    except (FileNotFoundError, ValueError):  # a power cut may leave half of it: then it is told of again
        return []


def _waiting(receiver: str, notice: Notice) -> WaitingNotice:
    return WaitingNotice(
        schema="conveyor-outbox/1",
        receiver=receiver,
        written=time.time(),
        attempts=0,
        not_before=0.0,
        problem=None,
        notice=notice,
    )


def _name(entry: WaitingNotice) -> str:
    return f"{entry['notice']['key']}.{entry['receiver']}"


def _put(fs: FileSystem, directory: DirFd, entry: WaitingNotice) -> None:
    fs.write(directory, _name(entry), dump(entry))


@dataclass
class Outbox:
    """The outbox as one run that sends has it, from ``with`` to its end."""

    fs: FileSystem
    area: Path
    host: Host
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False)
    _beaten: float = field(default=0.0, init=False)

    def __enter__(self) -> Outbox:
        """Open the outbox, making it if it is missing. Raises :class:`OSError`."""
        fs, token = self.fs, self.host.token()
        self._mine, self._sender = f"{SENDING}{token}", f"{SENDER}{token}"
        self._holder = Holder(self.host.this_process(), now(), token).text
        with self._stack as stack:
            root = stack.enter_context(fs.open_root(self.area))
            self._top = stack.enter_context(fs.make_below(root, [OUTBOX]))
            self._waiting = stack.enter_context(fs.make_below(root, [OUTBOX, WAITING]))
            self.beat()  # before the directory, which nobody may take for that of a dead run
            self._taken = stack.enter_context(fs.make_below(root, [OUTBOX, self._mine]))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._give_back(self._mine)
        self._stack.close()

    def beat(self) -> None:
        """Give a sign of life, now and then; a run that gives none for long is taken for dead on other hosts."""
        if time.monotonic() - self._beaten > _BEAT or not self._beaten:
            self.fs.write_line(self._top, self._sender, self._holder)
            self._beaten = time.monotonic()

    def recover(self) -> None:
        """Put back what runs had that died."""
        for name in self.fs.listdir(self._top):
            token = name.removeprefix(SENDER)
            if name not in (token, self._sender) and self._is_dead(name):
                self._give_back(f"{SENDING}{token}")

    def waiting(self) -> list[str]:
        """The names of the notices that wait, in no order that means anything."""
        return [name for name in self.fs.listdir(self._waiting) if not name.startswith(".")]

    def peek(self, name: str) -> WaitingNotice | None:
        """Read a notice that waits; None if another run took it, or if it cannot be read, which sets it aside."""
        return self._read(self._waiting, name)

    def take(self, name: str) -> WaitingNotice | None:
        """Take a notice out, for this run alone; None if another run was faster."""
        self.beat()
        try:
            self.fs.rename(self._waiting, name, self._taken, name)
        except FileNotFoundError:
            return None
        return self._read(self._taken, name)

    def put_back(self, entry: WaitingNotice) -> None:
        """Let a notice that was taken wait again."""
        _put(self.fs, self._waiting, entry)
        self.remove(entry)

    def remove(self, entry: WaitingNotice) -> None:
        """Remove a notice that was taken."""
        with contextlib.suppress(FileNotFoundError):  # this run was taken for dead
            self.fs.unlink(self._taken, _name(entry))

    def finish(self, entry: WaitingNotice, outcome: Literal["sent", "given up"], problem: str | None) -> None:
        """Write down what became of a notice that was taken, and remove it."""
        notice = entry["notice"]
        line = SentLine(
            time=now(),
            key=notice["key"],
            event=notice["event"],
            request=notice["request"],
            receiver=entry["receiver"],
            outcome=outcome,
            attempts=entry["attempts"] + 1,
            problem=problem,
        )
        self.fs.append(self._top, SENT_LOG, dump_line(line), durable=True)
        self.remove(entry)

    def log(self) -> Iterator[SentLine]:
        """Yield the last lines of what was sent, the newest first."""
        with contextlib.suppress(FileNotFoundError), self.fs.open_file(self._top, SENT_LOG) as file:
            file.seek(max(0, file.seek(0, 2) - _LOG_TAIL))
            for line in reversed(file.read(_LOG_TAIL).split(b"\n")):
                with contextlib.suppress(ValueError):  # the first may be cut, the last too by a crash
                    yield load(SentLine, line)

    def forget(self, requests: frozenset[str]) -> None:
        """Forget what was told of other requests than these: they are gone from the spool area."""
        with self.fs.make_below(self._top, [TOLD]) as told:
            for name in self.fs.listdir(told):
                if name not in requests:
                    with contextlib.suppress(FileNotFoundError):
                        self.fs.unlink(told, name)

    def _read(self, directory: DirFd, name: str) -> WaitingNotice | None:
        try:
            return load(WaitingNotice, self.fs.read(directory, name, limit=_LIMIT))
        except FileNotFoundError:
            return None
        except ValueError:
            pass
        except OSError:  # of a file: its server fails
            if self.fs.kind(directory, name) is Kind.FILE:
                raise
        with contextlib.suppress(FileNotFoundError):
            self.fs.rename(directory, name, self._waiting, f".{name}.damaged")
        return None

    def _is_dead(self, sender: str) -> bool:
        """Tell whether a run is dead: this host knows, or it gave no sign of life for long by the file system's clock."""
        try:
            holder = Holder.parse(self.fs.read_line(self._top, sender, limit=_LIMIT)).process
            theirs, mine = self.fs.lstat(self._top, sender), self.fs.lstat(self._top, self._sender)
        except FileNotFoundError:  # it has just ended
            return False
        if theirs is None or mine is None or self.host.is_alive(holder):
            return False
        return self.host.is_dead(holder) or mine.modified - theirs.modified > _SILENCE * 1e9

    def _give_back(self, sending: str) -> None:
        """Put back all that a run has, and remove what says that there is such a run. Several may do it at once."""
        with contextlib.suppress(FileNotFoundError):
            with self.fs.open_directory(self._top, sending) as taken:
                for name in self.fs.listdir(taken):
                    with contextlib.suppress(FileNotFoundError):
                        self.fs.rename(taken, name, self._waiting, name)
            self.fs.rmdir(self._top, sending)
        with contextlib.suppress(FileNotFoundError):
            self.fs.unlink(self._top, f"{SENDER}{sending.removeprefix(SENDING)}")
