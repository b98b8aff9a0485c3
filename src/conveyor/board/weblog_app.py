"""The weblogs, as other people's pages and scripts: from the cache alone, each file sandboxed.

An address is ``/TICKET/REQUEST/PATH``. No cookie and no token is read here, or given: the ticket is all that counts.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse

from conveyor.board.file_response import send_file, type_of
from conveyor.board.reader_access import names_host
from conveyor.board.weblog_links import quoted
from conveyor.filesystem.open_beneath import FileBeneath, open_beneath
from conveyor.filesystem.posix import FileSystem
from conveyor.layout import WEBLOG_RECEIPT, weblog_staged
from conveyor.values import frozen
from conveyor.weblog.cache_look import read_receipt

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from conveyor.board.weblog_links import Tickets

_HIDDEN = frozenset({WEBLOG_RECEIPT})
_INDEX = "index.html"
_OURS = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE)  # and no fault of the address
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
# A weblog is replaced in one step, or in two where the file system has no exchange: then it is missing for a moment.
_TRIES, _PAUSE = 5, 0.05  # seconds
_THREADS = 16  # so many files are read at once; a file server that hangs holds no more of the board than these

#: What a browser lets a weblog do: run its scripts, and load what stands beside them, without an origin: so it has no
#: cookies, and reads no page but its own weblog's, which says by ``access-control-allow-origin`` that it may.
SANDBOX = (
    "sandbox allow-scripts allow-popups allow-modals allow-downloads; "
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; form-action 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "private, no-cache",
    "access-control-allow-origin": "*",
}
# Chromium shows no PDF in a sandbox, and its viewer is one.
_NO_SANDBOX = ("application/pdf",)


@frozen
class WeblogApp:
    """An ASGI application that shows the weblogs of a cache below a ``prefix``, which begins and ends with a slash."""

    cache: Path
    tickets: Tickets
    hosts: frozenset[str]
    prefix: str = "/"
    limiter: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_THREADS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of HTTP."""
        if scope["method"] not in ("GET", "HEAD"):
            await PlainTextResponse("Only GET.\n", 405, {**HEADERS, "allow": "GET, HEAD"})(scope, receive, send)
            return
        asked = Headers(scope=scope)
        names = _names(scope, self.prefix)
        is_ours = names_host(asked.get("host", ""), self.hosts)
        if names is None or len(names) < 2 or not is_ours or not self.tickets.is_valid(names[0], names[1]):
            await _refuse(scope, receive, send)
            return
        _, request, *path = names
        if path in ([], [""]):
            await self._to_first_page(request, "" if path else f"{quoted(request)}/", scope, receive, send)
            return
        try:
            file = await self._open(request, "/".join(path))
        except IsADirectoryError:
            await self._to_index(path, scope, receive, send)
            return
        except OSError as error:
            await _refuse(scope, receive, send, status=503 if error.errno in _OURS else 404)
            return
        kind = type_of(path[-1] or _INDEX)
        told = {**HEADERS, "content-type": kind}
        if kind not in _NO_SANDBOX:
            told["content-security-policy"] = SANDBOX
        try:
            with suppress(TimeoutError):
                await send_file(scope["method"], asked, file, told, send, limiter=self.limiter)
        finally:
            file.close()

    async def _open(self, request: str, path: str) -> FileBeneath:
        """Open a file of a request's weblog; one that is being replaced at this moment is looked for again."""
        for left in reversed(range(_TRIES)):
            try:
                return await anyio.to_thread.run_sync(open_cached, self.cache, request, path, limiter=self.limiter)
            except OSError as error:
                if error.errno not in _GONE or left == 0:
                    raise
                changes = await anyio.to_thread.run_sync(is_replaced, self.cache, request, limiter=self.limiter)
                if not changes:
                    raise
            await anyio.sleep(_PAUSE)
        raise AssertionError("the last try returns or raises")

    async def _to_first_page(self, request: str, here: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead to the page that the receipt names; ``here`` leads to the folder that it is in."""
        page = await anyio.to_thread.run_sync(first_page, self.cache, request, limiter=self.limiter)
        if page is None:
            await _refuse(scope, receive, send)
            return
        await RedirectResponse(here + "/".join(map(quoted, page.split("/"))), 307, HEADERS)(scope, receive, send)

    async def _to_index(self, path: list[str], scope: Scope, receive: Receive, send: Send) -> None:
        """Show the first page of a folder: with its slash, so that its links lead where they should. No folder is listed."""
        if path[-1] == "":  # its index.html is a folder
            await _refuse(scope, receive, send)
            return
        await RedirectResponse(f"{quoted(path[-1])}/", 307, HEADERS)(scope, receive, send)


def open_cached(cache: Path, request: str, path: str) -> FileBeneath:
    """Open a file of a cached weblog, or the ``index.html`` of a folder whose path ends with a slash.

    Raises :class:`OSError`: ENOENT too for what is no weblog that Conveyor cached.
    """
    fs = FileSystem()
    wanted = f"{path}{_INDEX}" if path.endswith("/") else path
    with fs.open_root(cache) as opened, fs.open_directory(opened, request) as weblog:
        if fs.lstat(weblog, WEBLOG_RECEIPT) is None:
            raise FileNotFoundError(errno.ENOENT, "no weblog of Conveyor's", str(weblog.path))
        return open_beneath(weblog, wanted, hidden=_HIDDEN)


def first_page(cache: Path, request: str) -> str | None:
    """The path of a weblog's first page, by its receipt; None if there is none."""
    fs = FileSystem()
    with suppress(OSError), fs.open_root(cache) as opened, fs.open_directory(opened, request) as weblog:
        receipt = read_receipt(fs, weblog)
        return receipt.get("page") if receipt is not None else None
    return None


def is_replaced(cache: Path, request: str) -> bool:
    """Tell whether the weblog of a request is being replaced."""
    fs = FileSystem()
    with fs.open_root(cache) as opened:
        return any(fs.lstat(opened, name) is not None for name in weblog_staged(request))


def _names(scope: Scope, prefix: str) -> list[str] | None:
    """The names of an address below a prefix; None if it is not there, or has a name that no file can have.

    They are taken from the path as it was sent, so that an encoded slash or dot is part of a name and divides nothing.
    """
    raw = scope.get("raw_path") or scope["path"].encode()
    if not raw.startswith(prefix.encode()):
        return None
    names = [unquote_to_bytes(part).decode("utf-8", "surrogateescape") for part in raw[len(prefix) :].split(b"/")]
    if any("/" in name or "\0" in name or name in (".", "..") for name in names) or "" in names[:-1]:
        return None
    return None if names[1:2] and names[1].startswith(".") else names


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int = 404) -> None:
    text = "Not here. Open the weblog from the board.\n" if status == 404 else "It cannot be read at this moment.\n"
    policy = {"content-security-policy": "sandbox; default-src 'none'"}
    await PlainTextResponse(text, status, HEADERS | policy)(scope, receive, send)
