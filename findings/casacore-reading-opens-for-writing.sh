#!/usr/bin/env bash
# python-casacore 3.8.1: a table that is opened to be read is open for writing, and may change the data set.
#
# Source: seen with the package from PyPI; casacore's own account of its locks is in casa/IO/LockFile.h.
# Guess:  table(path, readonly=True) opens files for reading only, and changes nothing below the data set.
# Seen:   table.lock is opened read-write, and made anew where it is missing. A read lock on its byte 1 stands as long as the
#         table is open, in each lock mode; the mode 'default' locks byte 0 as well. Only the data files tell readers from
#         writers: they are opened in the way that was asked for.
# Hurts:  who looks for writers with lsof, fuser or /proc (each reader looks like one), who compares a data set with its copy
#         after somebody looked at it, and who puts an archive of data sets on a file system that is not read-only.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer on Linux.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install python-casacore==3.8.1
cd "$place"
"$place/venv/bin/python" - <<'PYTHON'
import os

from casacore.tables import default_ms, table

path = os.path.realpath("observation.ms")
default_ms(path).close()


def opened() -> dict[str, str]:
    """The files of the table that this process has open, and how."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        name = os.path.realpath(f"/proc/self/fd/{number}")
        if os.path.dirname(name) == path:
            with open(f"/proc/self/fdinfo/{number}") as info:
                flags = next(int(line.split()[1], 8) for line in info if line.startswith("flags:"))
            found[os.path.basename(name)] = {os.O_RDONLY: "read", os.O_RDWR: "read and write"}[flags & os.O_ACCMODE]
    return found


def locked() -> list[tuple[str, str, str]]:
    """This process's POSIX locks: kind, first and last byte."""
    with open("/proc/locks") as locks:
        fields = [line.split() for line in locks if f" {os.getpid()} " in line]
    return [(one[3], one[6], one[7]) for one in fields if one[1] == "POSIX"]


os.remove(f"{path}/table.lock")
for mode, bytes_locked in {"default": ("0", "1"), "user": ("1", "1"), "usernoread": ("1", "1")}.items():
    main = table(path, readonly=True, ack=False, lockoptions=mode)
    seen, locks = opened(), locked()
    print(f"{mode}: {seen}, locks {locks}")
    assert seen.pop("table.lock") == "read and write"
    assert set(seen.values()) == {"read"}
    assert locks == [("READ", *bytes_locked)]
    main.close()
    assert locked() == []
main = table(path, readonly=False, ack=False)
print(f"to write: {opened()}")
assert set(opened().values()) == {"read and write"}
PYTHON
