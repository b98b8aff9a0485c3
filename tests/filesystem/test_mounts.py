"""Which mount points lie on or below a folder, from the kernel's table."""

from __future__ import annotations

import pytest

from conveyor.filesystem.mounts import mount_points, on_or_below

TABLE = b"""\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 22 98:0 /mnt1 /ws/spool/r/rawdata rw,noatime master:1 - ext3 /dev/root rw,errors=continue
37 22 0:40 / /ws/spool/r/working/a\\040b\\011c\\012d\\134e rw shared:2 master:1 propagate_from:3 - tmpfs tmpfs rw
38 22 0:41 / /ws/spool/r/work rw - tmpfs tmpfs rw
39 38 0:42 / /ws/spool/r/work rw - tmpfs tmpfs rw
40 22 0:43 / /ws/spool/r/products/not-utf-8-\xff rw - fuse x rw
41 22 0:44 / /ws/spool/r/products//deleted rw - tmpfs tmpfs rw
a line that is none
"""


@pytest.mark.parametrize(
    ("folder", "points"),
    [
        (b"/ws/spool/r/rawdata", [b"/ws/spool/r/rawdata"]),
        (b"/ws/spool/r/working", [b"/ws/spool/r/working/a b\tc\nd\\e"]),
        (b"/ws/spool/r/working/a b\tc\nd\\e", [b"/ws/spool/r/working/a b\tc\nd\\e"]),
        (b"/ws/spool/r/work", [b"/ws/spool/r/work"]),
        (b"/ws/spool/r/wor", []),
        (b"/ws/spool/r/products", [b"/ws/spool/r/products//deleted", b"/ws/spool/r/products/not-utf-8-\xff"]),
        (b"/ws/qa2", []),
    ],
)
def test_mount_points_are_found_by_whole_names(folder: bytes, points: list[bytes]) -> None:
    """A mount on the folder or below it is found, its escapes decoded; one beside it with a longer name is not."""
    assert on_or_below(TABLE, folder) == points


def test_everything_is_below_the_root() -> None:
    """The root is no special case, and what is no line of the table is passed over."""
    assert len(list(mount_points(TABLE))) == 7
    assert len(on_or_below(TABLE, b"/")) == 6


def test_an_empty_table_has_no_mounts() -> None:
    """Where the kernel tells nothing, nothing is found."""
    assert on_or_below(b"", b"/") == []
