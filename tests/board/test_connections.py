"""Connections of readers who send or take nothing: they end, and hold up nobody meanwhile."""

from __future__ import annotations

import resource
import socket
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from conveyor.board.connections import PatientConnection, listen, most_connections
from conveyor.board.reader_access import Access
from support.boards import HOSTS, board_app, waiting
from support.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from starlette.types import ASGIApp, Receive, Scope, Send

_TOKEN = b"0123456789abcdefghijklmn"
_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
_HALVES = (
    b"",
    _HEAD,
    _HEAD.replace(b"GET /", b"POST /sign-in") + b"Content-Length: 100\r\n\r\ntoken=",
)


@contextmanager
def _served(app: ASGIApp, patience: float) -> Iterator[tuple[int, set[object]]]:
    """An application at a port, with its connections."""
    with listen("127.0.0.1", 0, patience) as port, serving(app, port) as connections:
        yield port.getsockname()[1], connections


def test_many_who_send_no_whole_request_hold_up_nobody() -> None:
    """Beside hundreds of connections with nothing, half a head or half a form, a list still comes."""
    app = board_app(waiting("tmpabc"), access=Access(HOSTS, _TOKEN))
    asked = {"authorization": f"Bearer {_TOKEN.decode()}"}
    with _served(app, 60) as (port, _), ExitStack() as stack:
        for number in range(300):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            one.sendall(_HALVES[number % 3])
        with urllib.request.urlopen(
            urllib.request.Request(f"http://localhost:{port}/", headers=asked), timeout=60
        ) as answer:
            assert b"tmpabc" in answer.read()


def test_who_sends_no_whole_request_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection with nothing, half a head or half a form ends by itself, and nothing of it is left."""
    monkeypatch.setattr(PatientConnection, "patience", 0.1)
    app = board_app(waiting("tmpabc"), access=Access(HOSTS, _TOKEN))
    with _served(app, 60) as (port, connections):
        for half in _HALVES:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
                with suppress(OSError):  # it has ended already
                    one.sendall(half)
                assert _end_of(one) == b""
        _wait_until_empty(connections)


def test_who_takes_nothing_is_let_go_by_the_kernel() -> None:
    """What was sent and never taken is dropped with its connection, which would stay open for ever."""

    begun = threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        headers = [(b"content-length", b"1000000000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})

    with (
        _served(endless, 0.2) as (port, connections),
        socket.create_connection(("127.0.0.1", port), timeout=60) as stuck,
    ):
        stuck.sendall(_HEAD + b"\r\n")
        assert begun.wait(60)
        _wait_until_empty(connections)


def test_a_connection_sends_at_once() -> None:
    """The head of an answer and its body are two pieces: the second waits for nobody to say that the first has come."""
    with listen("127.0.0.1", 0) as port, socket.create_connection(port.getsockname()):
        accepted, _ = port.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_connection_that_is_kept_serves_again() -> None:
    """Two requests one after the other, and two at once, are all answered."""
    with (
        _served(board_app(waiting("tmpabc")), 60) as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=60) as one,
    ):
        one.sendall(_HEAD.replace(b"/ H", b"/board.svg H") + b"\r\n")
        first = one.recv(100_000)
        assert first.startswith(b"HTTP/1.1 200")
        rest = _HEAD.replace(b"/ H", b"/x H")
        one.sendall(rest + b"\r\n" + rest + b"Connection: close\r\n\r\n")
        assert _end_of(one).count(b"HTTP/1.1 404") == 2


def test_there_are_no_more_connections_than_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has one for itself and one for a file; the process is let have all that it can."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))
    for hard, expected in ((1024, 462), (1 << 20, 2000), (resource.RLIM_INFINITY, 2000), (16, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, hard=hard: (16, hard))
        assert most_connections() == expected
        assert given.pop() == (hard, hard)


def _wait_until_empty(connections: set[object]) -> None:
    """Wait until there are no connections any more; fail after a minute."""
    end = time.monotonic() + 60
    while connections and time.monotonic() < end:
        time.sleep(0.02)
    assert connections == set()


def _end_of(one: socket.socket) -> bytes:
    """Everything that comes until the other end closes; a reset is an end too."""
    found = b""
    try:
        while piece := one.recv(100_000):
            found += piece
    except ConnectionResetError:
        pass
    return found
