"""Links to weblogs: where they are served from, and the ticket that a link has to have."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from conveyor.values import frozen

if TYPE_CHECKING:
    from conveyor.api.overview_entry import OverviewEntry


@frozen
class Tickets:
    """Makes and checks tickets: whoever has the ticket of a weblog may read it, and nothing else.

    Pages of a weblog have no origin of their own (sandbox), so that no cookie of theirs could ever say who reads them, and
    any web site may ask for them. A ticket stands in the path and is an HMAC of the request's name, so it cannot be guessed.
    """

    key: bytes

    def ticket(self, request: str) -> str:
        """The ticket of a request's weblog: 132 bits, as text for an address."""
        digest = hmac.digest(self.key, b"weblog\0" + request.encode("utf-8", "surrogateescape"), "sha256")
        return urlsafe_b64encode(digest).decode()[:22]

    def is_valid(self, ticket: str, request: str) -> bool:
        """Tell whether it is the request's, in a time that says nothing of how much of it was right."""
        return hmac.compare_digest(ticket.encode(), self.ticket(request).encode())


@frozen
class WeblogLinks:
    """The addresses of weblogs below ``base``, which ends with a slash; static pages have no tickets."""

    base: str
    tickets: Tickets | None = None

    def page(self, entry: OverviewEntry) -> str | None:
        """The address of a weblog's first page; None if there is none."""
        found = first_page_of(entry)
        return self.file(found[0].name, found[1]) if found is not None else None

    def file(self, request: str, path: str) -> str:
        """The address of a file of a request's weblog."""
        ticket = [self.tickets.ticket(request)] if self.tickets else []
        return self.base + "/".join(quoted(part) for part in [*ticket, request, *path.split("/")])


def first_page_of(entry: OverviewEntry) -> tuple[Path, str] | None:
    """The directory of a request's weblog, and the path of its first page from there; None if there is none."""
    if entry.weblog is None or entry.weblog_page is None:
        return None
    weblog, page = Path(entry.weblog), Path(entry.weblog_page)
    return (weblog, page.relative_to(weblog).as_posix()) if page.is_relative_to(weblog) else None


def quoted(name: str) -> str:
    """A name as one part of an address's path, with the bytes that it has on disk."""
    return quote(name, safe="", errors="surrogateescape")
