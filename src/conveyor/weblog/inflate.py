"""The bytes of a weblog tar, in blocks, inflated if it is gzipped.

Source: RFC 1952 for what a gzip file is; as ``gzip`` does, zeros after a member are passed over, and anything else there is
an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from conveyor.filesystem.readahead import ForkedReader, InlineReader
from conveyor.filesystem.treecopy.digest import NAME, Hasher

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from conveyor.filesystem.readahead import BlockReader

_GZIP = b"\x1f\x8b"
# Bytes. A piece that is read, digested, copied and inflated stays in the processor's cache meanwhile, and what a short gzip
# member leaves of it is soon copied.
_BLOCK = 1 << 16
_TOGETHER = 8  # blocks that pass as one, or the two processes would wait for each other more often
_SHORT = 1 << 20  # bytes of a tar that are not worth a process


class InflateError(Exception):
    """The gzip stream of a tar is damaged or, if ``cut_short``, ends too early."""

    def __init__(self, why: str, *, cut_short: bool = False) -> None:
        super().__init__(why)
        self.cut_short = cut_short


class Readable(Protocol):
    """A source of bytes, such as an open file."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most ``size``; empty at the end."""


def inflated(tar: Readable, size: int) -> BlockReader[str]:
    """Read the content of a tar of ``size`` bytes; the result is the digest of the tar itself.

    A tar of more than 1 MiB is read by a process of its own. Taking a block raises :class:`InflateError`, or
    what reading the tar raised.
    """
    blocks = _content(tar)
    if size <= _SHORT:
        return InlineReader(blocks)
    return ForkedReader(blocks, _BLOCK, "that inflated a weblog", together=_TOGETHER)


def digest_text(digest: bytes) -> str:
    """Return a digest of a tar as a receipt has it, with the name of its hash."""
    return f"{NAME}:{digest.hex()}"


def _content(tar: Readable) -> Generator[bytes, None, str]:
    digest = Hasher()

    def parts() -> Iterator[bytes]:
        while part := tar.read(_BLOCK):
            digest.update(part)
            yield part

    yield from _blocks(parts())
    return digest_text(digest.digest())


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
