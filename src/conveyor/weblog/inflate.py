"""The bytes of a weblog tar, in blocks, inflated if it is gzipped.

Source: RFC 1952 for what a gzip file is; as ``gzip`` does, zeros after a member are passed over, and anything else there is
an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from conveyor.filesystem.treecopy.digest import NAME, Hasher

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP = b"\x1f\x8b"
# Bytes. A piece that is read, digested, copied and inflated stays in the processor's cache until its files are written, and
# what a short gzip member leaves of it is soon copied. For each block igzip copies 32 KiB of what came before.
_PIECE, _BLOCK = 1 << 17, 1 << 18


class InflateError(Exception):
    """The gzip stream of a tar is damaged or, if ``cut_short``, ends too early."""

    def __init__(self, why: str, *, cut_short: bool = False) -> None:
        super().__init__(why)
        self.cut_short = cut_short


class Readable(Protocol):
    """A source of bytes, such as an open file."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most ``size``; empty at the end."""


class InflatedTar:
    """Reader of the content of a tar, block by block."""

    def __init__(self, tar: Readable) -> None:
        self._tar = tar
        self._hasher = Hasher()
        self._blocks = _blocks(self._pieces())

    @property
    def digest(self) -> str:
        """The digest of what was read of the tar itself, as a receipt has it."""
        return digest_text(self._hasher.digest())

    def take(self) -> memoryview:
        """Return the next block; it is empty at the end. Raises :class:`InflateError`, or what reading the tar raises."""
        return memoryview(next(self._blocks, b""))

    def _pieces(self) -> Iterator[bytes]:
        while piece := self._tar.read(_PIECE):
            self._hasher.update(piece)
            yield piece


def digest_text(digest: bytes) -> str:
    """Return a digest of a tar as a receipt has it, with the name of its hash."""
    return f"{NAME}:{digest.hex()}"


def _blocks(parts: Iterator[bytes]) -> Iterator[bytes]:
    first = next(parts, b"")
    if first.startswith(_GZIP):
        yield from _inflated(first, parts)
    elif first:
        yield first
        yield from parts


def _inflated(part: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of all gzip members, one after the other, in blocks of a bounded size."""
    from isal import igzip_lib

    while part:
        if not part.startswith(_GZIP):
            why = f"something stands after the end of its gzip stream that is no gzip: {part[:20]!r}"
            raise InflateError(why, cut_short=_GZIP.startswith(part))
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not member.eof:
            try:
                block = member.decompress(part, _BLOCK)
            except igzip_lib.error as error:  # type: ignore[misc]  # the stub calls the class an instance
                raise InflateError(str(error)) from error
            if block:
                yield block
            part = next(parts, b"") if member.needs_input else b""
            if member.needs_input and not part:
                raise InflateError("the gzip stream ends before its end mark", cut_short=True)
        part = member.unused_data.lstrip(b"\0")
        while len(part) < len(_GZIP) and (more := next(parts, b"")):
            part = (part + more).lstrip(b"\0")
