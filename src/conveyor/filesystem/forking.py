"""Forked processes that do some of the work, never outlive the process which forked them, and talk to it by a channel."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any

from conveyor.errors import IoFailedError
from conveyor.filesystem import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HINT = "nothing is lost: find out who killed it (the kernel, for want of memory?), then run the same command"
_LENGTH = struct.Struct("Q")
_READ = 1 << 18  # bytes at once


class Channel:
    """One end of two pipes through which pickled messages go, each behind its length.

    ``ended`` says that the other end is closed; ``unsent`` is what a pipe that is not to block has not taken yet.
    """

    def __init__(self, inlet: int, outlet: int) -> None:
        self.inlet = inlet
        self.outlet = outlet
        self.ended = False
        self.unsent = bytearray()
        self._unread = bytearray()
        self._messages: deque[Any] = deque()

    def set_blocking(self, *, blocking: bool) -> None:
        """Let ``send`` and ``read`` wait for the other end, or not."""
        os.set_blocking(self.inlet, blocking)
        os.set_blocking(self.outlet, blocking)

    def close(self) -> None:
        os.close(self.inlet)
        os.close(self.outlet)

    def send(self, message: object) -> None:
        """Send a message, or as much of it as the pipe takes: ``flush`` sends the rest."""
        content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self.unsent += _LENGTH.pack(len(content)) + content
        self.flush()

    def flush(self) -> None:
        """Send what is left; nothing is if the other end is closed, which is noticed by reading."""
        try:
            while self.unsent:
                del self.unsent[: os.write(self.outlet, bytes(self.unsent[:_READ]))]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent.clear()

    def read(self) -> list[Any]:
        """Read once; the messages that are whole by now."""
        with contextlib.suppress(BlockingIOError):
            content = os.read(self.inlet, _READ)
            self.ended = not content
            self._unread += content
        messages, position = [], 0
        while len(self._unread) >= (start := position + _LENGTH.size):
            end = start + _LENGTH.unpack_from(self._unread, position)[0]
            if len(self._unread) < end:
                break
            messages.append(pickle.loads(bytes(self._unread[start:end])))
            position = end
        del self._unread[:position]
        return messages

    def receive(self) -> Any:
        """Wait for the next message. Raises :class:`EOFError` if the other end is closed."""
        while not self._messages:
            if self.ended:
                raise EOFError
            self._messages.extend(self.read())
        return self._messages.popleft()


def start(work: Callable[[Channel], None], others: Iterable[Channel] = ()) -> tuple[int, Channel]:
    """Fork a process that does this work with its end of a channel; its pid, and the other end.

    It ends if it waits for a message and the other end is closed. The ends of ``others`` are closed in it: as long as it
    held them, their processes would not notice that this one closed them. Raises :class:`OSError`.
    """
    inlet, to_child = os.pipe()
    from_child, outlet = os.pipe()
    ours, theirs = Channel(from_child, to_child), Channel(inlet, outlet)

    def serve() -> None:
        for channel in (*others, ours):
            channel.close()
        with contextlib.suppress(EOFError):
            work(theirs)

    try:
        return _fork(serve), ours
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()


def _fork(work: Callable[[], None]) -> int:
    """Start a process that does this work, and nothing after it; its pid. It has no say in what the user reads.

    It does not hear the signals that ask to stop: the process that forked it does, and ends it. Raises :class:`OSError`.
    """
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python warns of locks that another thread may hold. The child calls nothing that another thread would.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        syscalls.die_with_parent()
        if os.getppid() == parent:
            work()
            code = 0
    finally:
        os._exit(code)


def wait(pid: int) -> int | None:
    """Wait until a process is gone; its exit code, or minus the number of the signal that killed it.

    None if nobody knows: a program that ignores SIGCHLD has no children to ask for, once they ended (wait(2)).
    """
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


def died_error(pid: int, doing: str) -> IoFailedError:
    """The error of a process that ended before its work did; it is waited for. ``doing``: its work, as "that copied"."""
    return IoFailedError(f"a process {doing} {_ending(wait(pid))}", hint=_HINT)


def _ending(code: int | None) -> str:
    if code is None:
        return "ended"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def end(pid: int) -> None:
    """Kill a process, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):  # it ended, and is not kept
        os.kill(pid, signal.SIGKILL)
    wait(pid)
