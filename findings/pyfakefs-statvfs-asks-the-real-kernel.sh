#!/usr/bin/env bash
# pyfakefs 5.10.0: statvfs of a fake file's descriptor is answered by the real kernel, about whatever has that number there.
#
# Source: seen with the package from PyPI.
# Guess:  os.statvfs(descriptor) of a file in the fake file system is about the fake file system, as os.fstat is.
# Seen:   it goes through. If no real file has the number, it is EBADF; if one has, the answer is about that one's file system,
#         of another size than the fake one says by shutil.disk_usage. So a test passes or fails by what else is open.
# Hurts:  tests of code that asks for room before it copies: a check that refuses for want of space is never tried.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" -q install pyfakefs==5.10.0
"$place/venv/bin/python" -W error - <<'PYTHON'
import errno
import os
import shutil

from pyfakefs.fake_filesystem_unittest import Patcher

SIZE = 1_000_000  # bytes of the fake file system

real = os.dup(2)  # a number that is open for the kernel
with Patcher() as patcher:
    fs = patcher.fs
    fs.set_disk_usage(SIZE)
    fs.create_dir("/data")
    assert shutil.disk_usage("/data").total == SIZE
    numbers = []
    while not numbers or numbers[-1] < real:
        numbers.append(os.open("/data", os.O_RDONLY))
    by_number = os.statvfs(real)
    print(f"fake: {SIZE} bytes; by a number that is open for the kernel too: {by_number.f_blocks * by_number.f_frsize}")
    assert by_number.f_blocks * by_number.f_frsize != SIZE
    os.fstat(numbers[-1])
    beyond = [os.open("/data", os.O_RDONLY) for _ in range(200)][-1]
    os.fstat(beyond)  # which is the fake one's
    try:
        os.statvfs(beyond)
    except OSError as error:
        print(f"by a number that is open in the fake file system only: {errno.errorcode[error.errno]}")
        assert error.errno == errno.EBADF
    else:
        raise AssertionError("it is answered now")
PYTHON
