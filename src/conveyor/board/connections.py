"""Connections of readers: how many there are, and how long the server waits for one that sends or takes nothing."""

from __future__ import annotations

import resource
import socket
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

#: Seconds that a whole request may take to come, and a reader to take what was sent.
PATIENCE = 60
_MOST = 2000
_OWN = 100  # descriptors that are no connection's
_EACH = 2  # descriptors: itself, and the file that it is sent


class PatientConnection(H11Protocol):
    """A connection that ends if no whole request has come after a while: byte by byte it would be held for ever."""

    patience = float(PATIENCE)
    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._end = self.loop.call_later(self.patience, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


def listen(address: str, port: int, patience: float = PATIENCE) -> socket.socket:
    """Listen at a port. The kernel ends connections whose reader takes nothing for a time, in seconds, whatever it answers.

    What is sent in pieces waits for nothing: asyncio sees to that for sockets that name their protocol, and these name none.
    Without it each file would take 40 ms longer. Raises :class:`OSError` if the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.create_server((address, port), family=family, backlog=1024)
    for option, value in ((socket.TCP_USER_TIMEOUT, int(patience * 1000)), (socket.TCP_NODELAY, 1)):
        made.setsockopt(socket.IPPROTO_TCP, option, value)  # connections have it too, see tcp(7)
    return made


def most_connections() -> int:
    """How many connections there may be at once, as this process may have descriptors; it is let have all that it can."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    free = _MOST if hard == resource.RLIM_INFINITY else (hard - _OWN) // _EACH
    return max(1, min(_MOST, free))
