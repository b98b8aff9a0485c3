"""How a directory will move from the spool area to a QA area, found by moving one there and back.

Not foretold from device numbers: Lustre refuses to move a directory into a tree with another project ID, an encrypted tree
and two mounts of one file system refuse too, and all of them have one device number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import error, info, ok, warning
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.mounts import mount_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.scratch import Bench

_COPIES = "each directory is copied, compared and then removed: that takes time, and room for the copy"


def directories_cross(spool: Bench, qa: Bench) -> Iterator[Finding]:
    """Move a directory with a file in it out and home, in the way that a conveyance would."""
    fs, name, subject = spool.fs, f"directory for {qa.area.path.name}", f"{spool.area.label} and {qa.area.label}"
    fs.mkdir(spool.folder, name)
    with fs.open_directory(spool.folder, name) as folder:
        fs.create_file(folder, "file").close()
    before = fs.lstat(spool.folder, name)
    try:
        way = _there_and_back(spool, qa, name)
    except CrossDeviceError:
        yield _copied(spool, qa, subject)
        return
    after = fs.lstat(spool.folder, name)
    if before is None or after is None or before.inode != after.inode:
        advice = "convey nothing between the two, and ask who runs the file system"
        yield error(
            "directories-cross", subject, "a directory that was moved and moved back is another one now", advice
        )
    elif way == "exchange":
        yield ok("directories-cross", subject, "directories move by exchange: no path is ever missing")
    else:
        what = "directories move by two renames: their paths are missing for a moment, and readers have to try again"
        yield info("directories-cross", subject, what)


def _there_and_back(spool: Bench, qa: Bench, name: str) -> str:
    fs = spool.fs
    fs.symlink(qa.folder, name, "bridge")
    try:
        for _ in range(2):
            fs.exchange(spool.folder, name, qa.folder, name)
    except ExchangeRefusedError:
        fs.unlink(qa.folder, name)
        fs.rename(spool.folder, name, qa.folder, name)
        fs.rename(qa.folder, name, spool.folder, name)
        return "renames"
    return "exchange"


def _copied(spool: Bench, qa: Bench, subject: str) -> Finding:
    mounted = spool.scene.mounted
    if mount_of(spool.area.path, mounted) == mount_of(qa.area.path, mounted):
        what = f"directories cannot be renamed from one to the other, although both are on one mount: {_COPIES}"
        advice = "on Lustre: give both the same project ID (compare them with 'lfs project -d DIRECTORY')"
        return warning("directories-cross", subject, what, advice)
    if spool.area.entry and qa.area.entry and spool.area.entry.device == qa.area.entry.device:
        what = f"both are on one file system, but by two mounts, between which nothing can be renamed: {_COPIES}"
        return warning("directories-cross", subject, what, "name both by paths below one mount")
    return info("directories-cross", subject, f"on two file systems: {_COPIES}")


def files_cross(spool: Bench, qa: Bench) -> Iterator[Finding]:
    """Rename a file and a link to the other area: where that works and directories do not, the reason is their tree."""
    fs, subject = spool.fs, f"{spool.area.label} and {qa.area.label}"
    file, link = f"file for {qa.area.path.name}", f"link for {qa.area.path.name}"
    fs.create_file(spool.folder, file).close()
    fs.symlink(spool.folder, link, "nowhere")
    try:
        for name in (file, link):
            fs.rename(spool.folder, name, qa.folder, name)
    except CrossDeviceError:
        yield info("files-cross", subject, "files and links cannot be renamed from one to the other")
    else:
        yield ok("files-cross", subject, "files and links can be renamed from one to the other")
