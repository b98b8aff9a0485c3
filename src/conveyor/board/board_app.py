"""The board as an ASGI application: reads, and shows; who may read is asked first, and nothing can be changed."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote_to_bytes

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from conveyor.board import board_pages
from conveyor.board.board_view import Choice
from conveyor.board.reader_access import COOKIE, host_name
from conveyor.board.request_details import request_details
from conveyor.board.weblog_links import WeblogLinks
from conveyor.errors import ConveyorError
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from conveyor.board.board_view import BoardView, Row
    from conveyor.board.reader_access import Access
    from conveyor.board.shared_overview import SharedOverview
    from conveyor.board.weblog_app import WeblogApp

_THREADS = 8  # so many requests' own pages are read at once
_MOST_FORM = 4096  # bytes
_WAIT_AFTER_WRONG = 1.0  # seconds
_MOST_KEPT = 64  # pages
# What begins so is run by one spreadsheet or another; some take the wide forms for the same.
_FORMULAS = tuple("=+-@\t\r\n＝＋－＠")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "private, no-cache",
}
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'{images}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@frozen
class WeblogPlace:
    """Where a reader's browser finds the weblogs: at ``url``, or on another ``port`` of the host that the board has for it.

    Neither: below the board itself.
    """

    url: str | None = None
    port: int | None = None

    def base(self, request: Request) -> str:
        """The address of the weblogs for the reader who asks."""
        if self.url is not None:
            return self.url
        host = request.headers["host"]
        place = f"{host}/weblog" if self.port is None else f"{host_name(host)}:{self.port}"
        return f"{request.url.scheme}://{place}/"


@dataclass
class BoardApp:
    """The application. ``pause`` waits after a wrong token."""

    overview: SharedOverview
    access: Access
    weblogs: WeblogApp
    weblog_place: WeblogPlace
    is_secure: bool = False
    pause: Callable[[float], Awaitable[None]] = anyio.sleep
    limiter: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_THREADS))
    _kept: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    _kept_of: BoardView | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of HTTP."""
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not self.access.has_host(request.headers.get("host")):
            return self._page(
                board_pages.message_page(
                    "Another name", "This board has not that host name. Whoever runs it can give it more, by --host."
                ),
                421,
            )
        names = _names(request.scope)
        root = "../" * (len(names) - 1)
        if len(names) == 1 and names[0] in board_pages.ASSETS and request.method in ("GET", "HEAD"):
            return self._unless_known(request, board_pages.asset(names[0]), board_pages.ASSETS[names[0]])
        if names == ["sign-in"] and request.method == "POST" and self.access.token is not None:
            return await self._sign_in(request)
        if not self.access.lets_in(request):
            return self._keep_out(request, root)
        if request.method not in ("GET", "HEAD"):
            return self._page(
                board_pages.message_page("Only to look at", "Nothing can be changed here.", root=root), 405
            )
        try:
            view = await self.overview.view()
        except ConveyorError as error:
            text = f"The workspace cannot be looked at: {error.message}"
            return self._page(board_pages.message_page("No overview", text, root=root), 503)
        return await self._show(request, view, names, root)

    async def _show(self, request: Request, view: BoardView, names: list[str], root: str) -> Response:
        links = WeblogLinks(self.weblog_place.base(request), self.weblogs.tickets)
        if names == [""]:
            return self._unless_known(request, self._list(request, view, links), images=links.base)
        if names == ["requests.csv"]:
            rows = view.all(Choice.parse(request.url.query))
            return self._unless_known(request, requests_csv(rows), "text/csv; charset=utf-8")
        row = view.by_name.get(names[1]) if len(names) == 3 and names[0] == "request" else None
        if row is not None and names[2] == "weblog" and (address := links.page(row.entry)):
            return RedirectResponse(address, 302, self._headers())
        if row is None or names[2]:
            return self._page(board_pages.message_page("Not here", _missing(names), root=root), 404)
        details = await anyio.to_thread.run_sync(request_details, row.entry, links, limiter=self.limiter)
        page = board_pages.request_page(view, row, details, self._around(links, root))
        return self._unless_known(request, page, images=links.base)

    def _list(self, request: Request, view: BoardView, links: WeblogLinks) -> bytes:
        """A page of a list, made once for all who ask for it while the view is the same."""
        if self._kept_of is not view or len(self._kept) >= _MOST_KEPT:
            self._kept, self._kept_of = {}, view
        choice = Choice.parse(request.url.query)
        key = (choice.query, links.base, self.overview.trouble or "")
        if key not in self._kept:
            self._kept[key] = board_pages.list_page(view, choice, self._around(links, ""))
        return self._kept[key]

    def _around(self, links: WeblogLinks, root: str) -> board_pages.Surroundings:
        return board_pages.Surroundings(
            links, lambda choice: f"{root or './'}{choice.query}", trouble=self.overview.trouble
        )

    def _keep_out(self, request: Request, root: str) -> Response:
        if self.access.token is None:
            page = board_pages.message_page("Not let in", "The proxy in front of this board says who may read it.")
            return self._page(page, 403)
        to = "" if request.method == "POST" else _target(request)
        return self._page(board_pages.sign_in_page(root=root, to=to, was_wrong=False), 401)

    async def _sign_in(self, request: Request) -> Response:
        form = await _form(request)
        to = form.get("to", "")
        if not self.access.is_token(form.get("token", "")):
            await self.pause(_WAIT_AFTER_WRONG)
            return self._page(board_pages.sign_in_page(root="", to=to, was_wrong=True), 401)
        # Below this page by its first characters, whatever follows them: no other host can be meant.
        response = RedirectResponse(f"./{to}", 303, self._headers())
        response.set_cookie(COOKIE, self.access.session, httponly=True, samesite="strict", secure=self.is_secure)
        return response

    def _unless_known(
        self, request: Request, body: bytes, kind: str = "text/html; charset=utf-8", *, images: str = ""
    ) -> Response:
        """Answer with a body, or with nothing if the browser has the same one."""
        tag = f'"{hashlib.blake2s(body, digest_size=12).hexdigest()}"'
        headers = self._headers(images) | {"etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, 200, {**headers, "content-type": kind})

    def _page(self, body: bytes, status: int) -> Response:
        return Response(body, status, {**self._headers(), "content-type": "text/html; charset=utf-8"})

    @staticmethod
    def _headers(images: str = "") -> dict[str, str]:
        return _HEADERS | {"content-security-policy": _POLICY.format(images=f" {images}" if images else "")}


def requests_csv(rows: tuple[Row, ...]) -> bytes:
    """Return requests as CSV (RFC 4180). A spreadsheet takes no value for a formula: it has an apostrophe before it then.

    All are in quotes: a spreadsheet that takes semicolons to part them divides none.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(
        ["name", "project", "data sets", "area", "state", "since", "bytes", "assigned to", "flags", "verdict", "reason"]
    )
    for row in rows:
        entry = row.entry
        assigned = entry.assigned.to if entry.assigned else ""
        verdict = (entry.verdict.verdict, entry.verdict.reason) if entry.verdict else ("", "")
        told = [entry.name, entry.project, " ".join(entry.data_sets), row.area, entry.state, row.since, entry.size]
        writer.writerow(_cell(one) for one in [*told, assigned, "; ".join(row.flags), *verdict])
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _names(scope: Scope) -> list[str]:
    """The parts of an address's path, with the bytes that names have on disk."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return [unquote_to_bytes(part).decode("utf-8", "surrogateescape") for part in raw.removeprefix(b"/").split(b"/")]


def _missing(names: list[str]) -> str:
    if len(names) == 3 and names[0] == "request" and not names[2]:
        return f"There is no request “{names[1]}” in this workspace, or not any more."
    return "There is no such page."


def _target(request: Request) -> str:
    """The address that was asked for, from the board's root on, as text that leads nowhere else."""
    raw: bytes = request.scope.get("raw_path") or b"/"
    query = request.url.query
    return raw.decode("ascii", "replace").lstrip("/\\") + (f"?{query}" if query else "")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; empty for a large one, and for one that was not sent to its end."""
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_FORM:
                return {}
    except ClientDisconnect:
        return {}
    fields = parse_qs(body.decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items()}
