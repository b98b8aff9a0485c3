"""Who may read the board: everybody on the loopback, who has the token, or whom a proxy lets in. And by which host name."""

from __future__ import annotations

import hmac
import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from conveyor.values import frozen

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
COOKIE = "conveyor-board"
#: Characters that a token has at least; made at random, so many cannot be guessed.
LEAST_TOKEN = 20


@frozen
class Access:
    """The rules of who is let in. Neither a token nor proxies: everybody who reaches the port, which is then the loopback's.

    ``user_header`` counts from the addresses in ``proxies`` alone. ``hosts`` are the names that a browser may call this
    server by, in small letters: a page of another name, that leads here by its own DNS, is refused.
    """

    hosts: frozenset[str]
    token: bytes | None = None
    user_header: str | None = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def is_open(self) -> bool:
        """Tell whether nobody has to say who he is."""
        return self.token is None and self.user_header is None

    @property
    def session(self) -> str:
        """What the cookie of somebody who gave the token says: it is not the token, and ends when that is changed."""
        assert self.token is not None
        return hmac.new(self.token, b"conveyor board session", "sha256").hexdigest()

    def has_host(self, header: str | None) -> bool:
        """Tell whether a ``Host`` header names this server; its port does not count, since a tunnel may change it."""
        return header is not None and names_host(header, self.hosts)

    def lets_in(self, request: HTTPConnection) -> bool:
        """Tell whether a reader may see the board."""
        return self.is_open or self._is_named_by_proxy(request) or self._has_token(request)

    def _is_named_by_proxy(self, request: HTTPConnection) -> bool:
        if self.user_header is None or request.client is None:
            return False
        names = request.headers.getlist(self.user_header)
        return len(names) == 1 and bool(names[0].strip()) and self._is_proxy(request.client.host)

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.proxies)

    def _has_token(self, request: HTTPConnection) -> bool:
        if self.token is None:
            return False
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        cookie = request.cookies.get(COOKIE, "")
        return hmac.compare_digest(cookie.encode("utf-8", "replace"), self.session.encode())

    def is_token(self, given: str) -> bool:
        """Tell whether a text is the token, in a time that says nothing of how much of it was right."""
        return self.token is not None and hmac.compare_digest(given.encode("utf-8", "replace"), self.token)


def names_host(header: str, hosts: frozenset[str]) -> bool:
    """Tell whether a ``Host`` header has one of these names, which are in small letters; a dot at its end is none of it."""
    return host_name(header).lower().rstrip(".") in hosts


def host_name(header: str) -> str:
    """The name in a ``Host`` header, without the port; an IPv6 address in its brackets; "" for no such header."""
    found = _HOST.fullmatch(header)
    return found[1] if found else ""
