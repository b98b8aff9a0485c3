"""What a file is that is no gzipped or plain tar, by its first bytes, so that nobody looks for a damaged disk.

Sources: each format's own specification, as collected in the database of file(1).
"""

from __future__ import annotations

_COMPRESSIONS = {
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x9d": "compress (.Z)",
    b"\x04\x22\x4d\x18": "lz4",
    b"LZIP": "lzip",
    b"\x89LZO": "lzop",
    b"\x5d\0\0": "lzma",
    b"\x1f\x1e": "pack (.z)",
    b"\x78\x01": "zlib",
    b"\x78\x5e": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
}
_ARCHIVES = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"070701": "cpio",
    b"070702": "cpio",
    b"070707": "cpio",
    b"\xc7\x71": "cpio",
    b"\x71\xc7": "cpio",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"xar!": "xar",
    b"!<arch>": "ar",
}
_GZIP = b"\x1f\x8b"
_SHOWN = 16  # bytes


def recognise(start: bytes) -> str:
    """Say what content is that begins with these bytes, and that is no tar."""
    if start.startswith(_GZIP):
        return "it is gzipped twice"
    for mark, name in _COMPRESSIONS.items():
        if start.startswith(mark):
            return f"it is compressed by {name}; a weblog tar has to be compressed by gzip, or not at all"
    for mark, name in _ARCHIVES.items():
        if start.startswith(mark):
            return f"it is no tar archive, but one of {name}"
    if start.lstrip()[:5].lower() in (b"<html", b"<!doc"):
        return "it is no tar archive, but a page of html"
    return f"it is no tar archive; it begins with {start[:_SHOWN]!r}"
