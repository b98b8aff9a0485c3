"""Where file systems are mounted, by the kernel's own table: what is mounted in a folder goes unnoticed by a rename, and
would be copied and emptied by a copy. A bind mount even has the device number of what is round it.

Source: proc_pid_mountinfo(5) of the Linux man-pages; octal escapes as its ``show_mountinfo`` writes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNT_POINT = 4  # the field's number, from 0
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mount_points(table: bytes) -> Iterator[bytes]:
    """The mount points that a mountinfo table names, as real paths, in its order."""
    for line in table.split(b"\n"):
        fields = line.split(b" ", _MOUNT_POINT + 1)
        if len(fields) > _MOUNT_POINT + 1:
            yield _ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), fields[_MOUNT_POINT])


def on_or_below(table: bytes, folder: bytes) -> list[bytes]:
    """The mount points that are the folder, a real path, or lie below it; each once."""
    inside = folder.rstrip(b"/") + b"/"
    return sorted({point for point in mount_points(table) if point == folder or point.startswith(inside)})
