#!/usr/bin/env bash
# pgzip 0.4.0 and mgzip 0.2.5: each calls the other's valid files damaged.
#
# Source: seen with the packages from PyPI. Both keep the length of each member in an extra field of their own (RFC 1952,
#         2.3.1.1), and read any extra field as if it were that.
# Guess:  "a compatible drop-in for gzip" reads each valid gzip file, as Python's gzip does; at worst in one thread.
# Seen:   Python's gzip reads both. pgzip and mgzip raise zlib.error or BadGzipFile on each other's, as on a damaged file: which,
#         and with what words, depends on the content.
# Hurts:  who unpacks tars that others packed in parallel, and takes the error for a damaged archive; bgzip's files have
#         an extra field too.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install pgzip==0.4.0 mgzip==0.2.5
cd "$place"
"$place/venv/bin/python" - <<'PYTHON'
import gzip
import zlib

import mgzip
import pgzip

text = b"2026-01-01 12:00:00 INFO casa stage 1\n" * 100_000
for module in (pgzip, mgzip):
    with module.open(f"{module.__name__}.gz", "wb", thread=2, blocksize=1_000_000) as file:
        file.write(text)

for reader in (gzip, pgzip, mgzip):
    for writer in (pgzip, mgzip):
        try:
            with reader.open(f"{writer.__name__}.gz", "rb") as file:
                found = "whole" if file.read() == text else "different"
        except (OSError, zlib.error) as error:
            found = "refused"
            print(f"{type(error).__name__}: {error}")
        print(f"{reader.__name__} reads what {writer.__name__} wrote: {found}")
        own = reader is gzip or reader is writer
        assert found == ("whole" if own else "refused")
PYTHON
