"""The server of the board: two ports of one process, one for the board and one for the weblogs."""

from __future__ import annotations

import secrets
import signal
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn

from conveyor.board.board_app import BoardApp, WeblogPlace
from conveyor.board.connections import PatientConnection, listen, most_connections
from conveyor.board.reader_access import LEAST_TOKEN, Access
from conveyor.board.shared_overview import ProcessLooker, SharedOverview
from conveyor.board.weblog_app import WeblogApp
from conveyor.board.weblog_links import Tickets
from conveyor.errors import ConfigurationError, ConveyorError, NotPermittedError
from conveyor.filesystem.posix import read_named
from conveyor.request.places import find_roots
from conveyor.values import frozen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from conveyor.settings.sources import Config

_MOST_TOKEN = 4096  # bytes of its file


@frozen
class ServerOptions:
    """The options of a server. ``weblog_port`` is None if weblogs are served below the board itself.

    ``url`` and ``weblog_url`` are the addresses that a proxy gives the two, ``hosts`` more names that browsers may use.
    """

    address: str = "127.0.0.1"
    port: int = 8086
    weblog_port: int | None = 8087
    url: str | None = None
    weblog_url: str | None = None
    hosts: tuple[str, ...] = ()
    token_file: Path | None = None
    user_header: str | None = None
    proxies: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Tell whether no other host reaches it."""
        return self.address == "localhost" or ip_address(self.address).is_loopback


def make_access(options: ServerOptions) -> Access:
    """Make the rules of who may read, from the options of the command.

    Raises :class:`~conveyor.errors.ConfigurationError` where they would let in everybody from elsewhere, or nobody.
    """
    token = read_token(options.token_file) if options.token_file else None
    if (options.user_header is None) != (not options.proxies):
        raise ConfigurationError(
            "--user-header and --proxy go together", hint="name the header, and the address of the proxy that sets it"
        )
    access = Access(_hosts(options), token, options.user_header, tuple(map(_network, options.proxies)))
    if access.is_open and not options.is_loopback:
        raise ConfigurationError(
            f"{options.address} can be reached from other hosts, and nothing says who may read",
            hint="give --token-file, or --user-header and --proxy, or leave --address at the loopback",
        )
    return access


def _network(proxy: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(proxy)
    except ValueError as error:
        raise ConfigurationError(f"--proxy {proxy}: {error}", hint="an address, or a network: 10.0.0.0/28") from None


def _hosts(options: ServerOptions) -> frozenset[str]:
    """The names that a browser may have for the server."""
    names = {"localhost", "127.0.0.1", "[::1]"} if options.is_loopback else set()
    if not options.is_loopback and not ip_address(options.address).is_unspecified:
        names.add(f"[{options.address}]" if ":" in options.address else options.address)
    named = [urlsplit(url).hostname for url in (options.url, options.weblog_url) if url]
    return frozenset(name.lower() for name in (*names, *options.hosts, *named) if name)


def read_token(path: Path) -> bytes:
    """Read a token from a file. Raises :class:`ConveyorError` if others may read it, or it can be guessed."""
    try:
        if path.stat().st_mode & 0o077:
            raise NotPermittedError(f"{path} can be read by others than its owner", hint=f"chmod 600 {path}")
        token = read_named(path, limit=_MOST_TOKEN).strip()
    except OSError as error:
        raise ConveyorError.from_os_error(error) from error
    if len(token) < LEAST_TOKEN:
        raise ConfigurationError(
            f"the token in {path} has {len(token)} characters, and needs {LEAST_TOKEN}",
            hint=f"openssl rand -hex 32 > {path}",
        )
    return token


@frozen
class Dispatch:
    """The one application of both ports: whatever comes in at the weblogs' port, or below their prefix, is theirs."""

    board: BoardApp
    weblogs: WeblogApp
    weblog_port: int | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of HTTP."""
        if scope["type"] != "http":
            return
        server = scope.get("server")
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        is_weblog = server[1] == self.weblog_port if server and self.weblog_port else raw.startswith(b"/weblog/")
        app: ASGIApp = self.weblogs if is_weblog else self.board
        await app(scope, receive, send)


def make_application(config: Config, options: ServerOptions, overview: SharedOverview) -> Dispatch:
    """Make the application of a board. Raises :class:`~conveyor.errors.ConveyorError` if an option is wrong."""
    access = make_access(options)
    key = access.token or secrets.token_bytes(32)
    own_port = options.weblog_port is not None
    prefix = "/" if own_port else "/weblog/"
    weblogs = WeblogApp(find_roots(config.values).weblog_cache, Tickets(key), access.hosts, prefix)
    place = WeblogPlace(_with_slash(options.weblog_url), options.weblog_port)
    is_secure = bool(options.url and options.url.startswith("https:"))
    return Dispatch(BoardApp(overview, access, weblogs, place, is_secure), weblogs, options.weblog_port)


def _with_slash(url: str | None) -> str | None:
    return url if url is None or url.endswith("/") else f"{url}/"


def serve(config: Config, options: ServerOptions, on_ready: Callable[[str], None]) -> None:
    """Serve the board until a signal ends it; ``on_ready`` is told its address as soon as it answers.

    Raises :class:`~conveyor.errors.ConveyorError` if an option is wrong, and :class:`OSError` if a port is taken.
    """
    with ExitStack() as stack:
        looker = ProcessLooker(config)
        stack.callback(looker.close)
        application = make_application(config, options, SharedOverview(looker))
        ports = [options.port, *([options.weblog_port] if options.weblog_port else [])]
        sockets = [stack.enter_context(_listen(options.address, port)) for port in ports]
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                timeout_keep_alive=30,
                timeout_graceful_shutdown=3,
                http=PatientConnection,
                limit_concurrency=most_connections(),
            )
        )
        on_ready(options.url or f"http://{_in_address(options.address)}:{sockets[0].getsockname()[1]}/")
        with _signals_ignored():
            server.run(sockets=sockets)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Let the signal that ended the server end nothing else: uvicorn raises it again, for the handlers of before."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(address: str, port: int) -> socket.socket:
    try:
        return listen(address, port)
    except OSError as error:
        raise ConfigurationError(
            f"{address} port {port} cannot be had: {error.strerror}", hint="is a board running already? try --port"
        ) from error


def _in_address(address: str) -> str:
    return f"[{address}]" if ":" in address else address
