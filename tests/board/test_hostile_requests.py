"""What a program may send that no browser does, to both ports of a real server, byte for byte."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

import conveyor
from conveyor.board.connections import listen
from conveyor.board.reader_access import Access
from support.boards import HOSTS, TICKETS, board_app, waiting
from support.serving import serving
from support.workspace import HTML, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_HOST = b"Host: localhost\r\n"
_GET = b"GET / HTTP/1.1\r\n" + _HOST
_FILE = f"/{TICKETS.ticket('tmpiox5trbp')}/tmpiox5trbp/{HTML}/stage1/plot.png".encode()
#: Requests, and the statuses that may answer them; none: the connection may end without a word.
_HOSTILE: Sequence[tuple[bytes, set[int]]] = (
    (b"GET http://evil.example/ HTTP/1.1\r\n" + _HOST, {404}),
    (b"GET //evil.example/%2e%2e HTTP/1.1\r\n" + _HOST, {404}),
    (b"GET * HTTP/1.1\r\n" + _HOST, {404}),
    (b"GET /../../etc/passwd HTTP/1.1\r\n" + _HOST, {404}),
    (b"GET /request/%2e%2e/ HTTP/1.1\r\n" + _HOST, {404}),
    (b"GET /request/..%2f..%2fetc%2fpasswd/ HTTP/1.1\r\n" + _HOST, {404}),
    (b"GET /%ff%00%0d%0aX:1 HTTP/1.1\r\n" + _HOST, {404}),
    (b"GET /?text=%0d%0aSet-Cookie:x=1&view=%00 HTTP/1.1\r\n" + _HOST, {200, 404}),
    (b"GET /?" + b"a=1&" * 5000 + b" HTTP/1.1\r\n" + _HOST, {200, 404}),
    (b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\n" + _HOST, {404}),
    (b"GET /\xff HTTP/1.1\r\n" + _HOST, {400}),
    (_GET + b"X-Much: " + b"a" * 200_000 + b"\r\n", {400}),
    (_GET + b"".join(b"X-%d: 1\r\n" % number for number in range(3000)), {200, 404}),
    (_GET + b"Host: evil.example\r\n", {400}),
    (b"GET / HTTP/1.1\r\n", {400}),
    (b"GET / HTTP/1.0\r\n", {421, 404}),
    (b"GET / HTTP/1.1\r\nHost: localhost@evil.example\r\n", {421, 404}),
    (b"GET / HTTP/1.1\r\nHost: localhost:8086:80\r\n", {421, 404}),
    (b"GET / HTTP/1.1\r\nHost: evil.example#localhost\r\n", {421, 404}),
    (
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\nForwarded: host=localhost\r\n",
        {421, 404},
    ),
    (_GET + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", {200, 400, 404}),
    (_GET + b"Content-Length: -1\r\n", {400}),
    (b"TRACE / HTTP/1.1\r\n" + _HOST, {405}),
    (b"CONNECT evil.example:443 HTTP/1.1\r\n" + _HOST, {405}),
    (b"POST /sign-in HTTP/1.1\r\n" + _HOST + b"Content-Length: 9\r\n\r\n%ff%00=%0", {405}),
    (_GET + b"Upgrade: websocket\r\nConnection: upgrade\r\n", {200, 404}),
    (_GET + b"If-None-Match: " + b'"x",' * 5000 + b"\r\n", {200, 404}),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),  # TLS, where there is none
    (b"GET " + _FILE + b" HTTP/1.1\r\n" + _HOST + b"Range: bytes=0-0,2-3,4-5\r\n", {200, 404}),
    (b"GET " + _FILE + b" HTTP/1.1\r\n" + _HOST + b"Range: bytes=" + b"0-," * 10_000 + b"\r\n", {200, 404}),
    (b"GET " + _FILE + b" HTTP/1.1\r\n" + _HOST + b"Range: bytes=99999999999999999999-\r\n", {200, 404}),
    (b"GET " + _FILE + b" HTTP/1.1\r\n" + _HOST + b"Range: bytes=0-1\r\nRange: bytes=2-3\r\n", {206, 404}),
    (b"GET " + _FILE + b"/x HTTP/1.1\r\n" + _HOST, {404}),
)


@contextmanager
def _both_ports(cache: Path, access: Access | None = None, address: str = "127.0.0.1") -> Iterator[tuple[int, int]]:
    """The ports of a board and of its weblogs."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(listen(address, 0)) for _ in range(2)]
        board, weblogs = (one.getsockname()[1] for one in sockets)
        app = board_app(waiting("tmpabc"), access=access, cache=cache, port=weblogs)
        stack.enter_context(serving(app, *sockets))
        yield board, weblogs


def _answer(port: int, request: bytes, address: str = "127.0.0.1") -> bytes:
    """Everything that comes back to a request, whose head ends here unless it has an end."""
    end = b"" if b"\r\n\r\n" in request or b"HTTP" not in request else b"Connection: close\r\n\r\n"
    found = b""
    with socket.create_connection((address, port), timeout=60) as one:
        try:
            one.sendall(request + end)
            while piece := one.recv(1 << 20):
                found += piece
        except (ConnectionResetError, BrokenPipeError):  # it was closed before all was sent
            pass
    return found


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_no_request_breaks_the_server_or_leads_anywhere(workspace: Workspace) -> None:
    """Each is answered by what it deserves, on both ports, with nothing of what it tried to reach; none by an error."""
    conveyor.deliver(workspace.metadata).raise_for_error()
    with _both_ports(workspace.weblog.parent) as ports:
        for request, statuses in _HOSTILE:
            for port in ports:
                answer = _answer(port, request)
                assert _status(answer) in statuses, (request[:100], answer[:300])
                head = answer.partition(b"\r\n\r\n")[0].lower()
                assert b"root:" not in answer
                assert b"evil.example" not in head
                assert b"\nset-cookie" not in head
        assert _status(_answer(ports[0], _GET)) == 200
        assert _status(_answer(ports[1], b"GET " + _FILE + b" HTTP/1.1\r\n" + _HOST)) == 200


def test_two_names_of_a_reader_are_none(tmp_path: Path) -> None:
    """A proxy sets its header once: if there are two, one of them is the reader's own."""
    access = Access(HOSTS, user_header="x-remote-user", proxies=(ip_network("127.0.0.1"),))
    with _both_ports(tmp_path, access) as (port, _):
        assert _status(_answer(port, _GET + b"X-Remote-User: da02\r\n")) == 200
        assert _status(_answer(port, _GET + b"X-Remote-User: da02\r\nX-Remote-User: root\r\n")) == 403
        assert _status(_answer(port, _GET + b"X-Remote_User: da02\r\n")) == 403


def test_the_loopback_of_ipv6_is_served(tmp_path: Path) -> None:
    """The board listens there too, and its weblogs are linked by the address that the browser has."""
    try:
        listen("::1", 0).close()
    except OSError:
        pytest.skip("this host has no IPv6")
    with _both_ports(tmp_path, Access(frozenset({"[::1]"})), "::1") as (port, _):
        answer = _answer(port, f"GET / HTTP/1.1\r\nHost: [::1]:{port}\r\n".encode(), "::1")
    assert _status(answer) == 200
    assert b'href="http://[::1]:' in answer
