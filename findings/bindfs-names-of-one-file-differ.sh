#!/usr/bin/env bash
# bindfs 1.14.7 (Debian): the names of one file show different change times for a second after one of them was changed.
#
# Source: seen with Debian 12's package. bindfs(1) says nothing of how long attributes are kept, nor that it is done by path.
# Guess:  two hard links are one inode, so that stat of either tells the same size and the same times at any moment.
# Seen:   they have one inode number, and after a write through one name, stat of the other still answers with the size and
#         the change time of before, until the kernel forgets them: about a second. Then both are the same.
# Hurts:  who compares a file's names to see whether somebody writes to it (copies, backups, rsync -H): it looks changed.
#
# Ends with 0 if that is still so. Needs root, /dev/fuse, and apt-get with Debian 12's packages (they are not installed).
set -euo pipefail
place=$(mktemp -d)
trap 'umount "$place/seen" 2>/dev/null || true; rm -rf "$place"' EXIT
chmod 755 "$place"
mkdir "$place/packages" "$place/root" "$place/data" "$place/seen"
cd "$place/packages"
apt-get -qq download bindfs=1.14.7-1 libfuse2=2.9.9-6+b1 2>/dev/null
for package in *.deb; do dpkg -x "$package" "$place/root"; done
export LD_LIBRARY_PATH=$place/root/lib/x86_64-linux-gnu:$place/root/usr/lib/x86_64-linux-gnu
"$place/root/usr/bin/bindfs" "$place/data" "$place/seen"
python3 - "$place/seen" <<'PYTHON'
import os
import sys
import time

one, other = (os.path.join(sys.argv[1], name) for name in ("one", "other"))
with open(one, "w") as file:
    file.write("before")
os.link(one, other)
time.sleep(2)  # nothing is remembered of either


def told(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_ctime_ns


assert told(one) == told(other)
with open(one, "a") as file:
    file.write(" and after")
first, second = told(one), told(other)
print(f"one inode ({first[0] == second[0]}), right after a write: {first[1]} and {second[1]} bytes")
assert first[0] == second[0]
assert (first[1], second[1]) == (16, 6)
assert first[2] != second[2]
time.sleep(2)
print(f"two seconds later: {told(one)[1]} and {told(other)[1]} bytes")
assert told(one) == told(other)
PYTHON
