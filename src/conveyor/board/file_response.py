"""Answers with a file: its type by its name alone, ranges, nothing sent twice, and no more of it in memory than a piece."""

from __future__ import annotations

import re
from email.utils import formatdate
from mimetypes import MimeTypes
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from conveyor.board.connections import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio import CapacityLimiter
    from starlette.datastructures import Headers
    from starlette.types import Send

    from conveyor.filesystem.open_beneath import FileBeneath

_PIECE = 256 * 1024  # bytes
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_BINARY = "application/octet-stream"
# The library's own table alone: what a host adds to it must not decide what a browser runs.
_TYPES = MimeTypes(filenames=())
_TEXT = (".log", ".txt", ".py", ".tbl", ".dat", ".ini", ".md", ".last", ".listobs", ".csv")
_MORE = {".woff2": "font/woff2", ".js": "text/javascript", ".mjs": "text/javascript"}


def type_of(name: str) -> str:
    """The media type of a file of this name."""
    suffix = f".{name.rpartition('.')[2].lower()}" if "." in name else ""
    if suffix in _TEXT:
        return "text/plain; charset=utf-8"
    kind, encoding = _TYPES.guess_type(f"x{suffix}", strict=True)
    kind = _MORE.get(suffix, kind)
    if kind is None or encoding is not None or suffix in (".tgz", ".gz"):
        return "application/gzip" if suffix in (".tgz", ".gz") else _BINARY
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind.endswith(("javascript", "json")) else kind


def asked_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The part of a file that is asked for, from and to (excluded); None for the whole, as for several parts at once.

    Raises :class:`ValueError` if no byte of the file is in it (RFC 9110, 14).
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return None
    if begin >= end:
        raise ValueError("no byte is in this range")
    return begin, end


async def send_file(
    method: str,
    asked: Headers,
    file: FileBeneath,
    headers: Mapping[str, str],
    send: Send,
    *,
    limiter: CapacityLimiter,
    patience: float = PATIENCE,
) -> None:
    """Answer with a file, or with the part of it that is ``asked`` for, or with nothing if the reader has it already.

    A thread reads each piece, and waits for nobody: between two pieces a slow reader holds none. Raises
    :class:`TimeoutError` if the reader takes nothing for ``patience`` seconds, and :class:`OSError`, which ends the
    connection, since the length was promised.
    """
    tag = f'"{file.tag}"'
    told = {**headers, "etag": tag, "accept-ranges": "bytes", "last-modified": formatdate(file.modified, usegmt=True)}
    if _has(asked.get("if-none-match"), tag):
        await _start(send, 304, told)
        await send({"type": "http.response.body"})
        return
    status, begin, end = 200, 0, file.size
    try:
        header = asked.get("range") if method == "GET" and asked.get("if-range", tag) == tag else None
        if part := asked_range(header, file.size):
            status, (begin, end) = 206, part
            told["content-range"] = f"bytes {begin}-{end - 1}/{file.size}"
    except ValueError:
        status, begin, end = 416, 0, 0
        told["content-range"] = f"bytes */{file.size}"
    told["content-length"] = str(end - begin)
    await _start(send, status, told)
    if method != "HEAD":
        while begin < end:
            piece = await anyio.to_thread.run_sync(file.read_at, begin, min(_PIECE, end - begin), limiter=limiter)
            if not piece:
                raise OSError("the file became shorter while it was read")
            begin += len(piece)
            with anyio.fail_after(patience):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def _has(header: str | None, tag: str) -> bool:
    return header is not None and (header.strip() == "*" or tag in re.findall(r'"[^"]*"', header))


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
