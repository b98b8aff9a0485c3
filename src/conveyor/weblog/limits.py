"""The limits of a weblog, which is untrusted."""

from __future__ import annotations

from conveyor.values import frozen


@frozen
class Limits:
    """Limits of an unpacked weblog: bytes, members, and its size as a multiple of its tar's."""

    bytes: int
    members: int
    ratio: int
