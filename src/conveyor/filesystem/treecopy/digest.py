"""The hash of what is copied. Another one is a change of this file alone: a manifest names the one that it was made with."""

from __future__ import annotations

from xxhash import xxh3_64_digest, xxh3_128, xxh3_128_digest

NAME = "xxh3-128"
SIZE = 16  # bytes
#: The digest of what has no content.
ABSENT = bytes(SIZE)
#: In the place of the digest of content that shares its extents with the source, and was not read.
CLONED = b"cloned, not read"
#: Hashes content that comes in pieces, by ``update`` and ``digest``.
Hasher = xxh3_128
digest_of = xxh3_128_digest

#: For the manifest's own records, which are short.
CHECKSUM_SIZE = 8  # bytes
checksum_of = xxh3_64_digest
