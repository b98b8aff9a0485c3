"""Open a path again and again until SIGTERM comes, and print what was seen: opens, misses, seconds of the longest gap.

A gap is the time from the last open that worked to the next one that did. A program of its own that imports next to nothing,
so that it starts at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def watch(path: str) -> dict[str, float]:
    """What was seen of a path."""
    ended: list[bool] = []
    signal.signal(signal.SIGTERM, lambda _number, _frame: ended.append(True))
    opens, misses, longest, is_missing = 0, 0, 0.0, False
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    last = time.monotonic()
    while not ended:
        opens += 1
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            misses += 1
            is_missing = True
            continue
        now = time.monotonic()
        if is_missing:
            longest, is_missing = max(longest, now - last), False
        last = now
    if is_missing:
        longest = max(longest, time.monotonic() - last)
    return {"opens": opens, "misses": misses, "longest": longest}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(watch(sys.argv[1])))
