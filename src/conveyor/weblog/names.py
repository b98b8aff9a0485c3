"""Names in a tar are bytes, and go to the disk as they came, whatever the account's locale is.

In between they are text, decoded as Python encodes it again for the operating system (PEP 383).
"""

from __future__ import annotations

import sys

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def decode_name(name: bytes) -> str:
    """Return the text by which Python makes a file of this name."""
    return name.decode(_ENCODING, _ERRORS)


def encode_name(name: str) -> bytes:
    """Return the bytes of a name on disk."""
    return name.encode(_ENCODING, _ERRORS)


def name_length(name: str) -> int:
    """Return the length of a name on disk, in bytes."""
    return len(name) if name.isascii() else len(encode_name(name))
