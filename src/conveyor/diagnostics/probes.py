"""Probes: what only trying tells, each tried in a scratch directory in the area itself.

How a directory will move from the spool area to a QA area is found by moving one there and back. It cannot be foretold from
device numbers: Lustre refuses to move a directory into a tree with another project ID, an encrypted tree and two mounts of
one file system refuse too, and all of them have one device number.
"""

from __future__ import annotations

import contextlib
import errno
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import error, guarded, info, ok, warning
from conveyor.diagnostics.scratch import ScratchDir, scratch_in
from conveyor.diagnostics.workspace import CACHE, QA, SPOOL
from conveyor.engine.retagging import handed_on, tagged_moves
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.mounts import TAKES_LINKS_IF, takes_attributes_if
from conveyor.filesystem.posix import Kind, read_named
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Area, Workspace
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.filesystem.project_ids import Project

#: Nanoseconds by which clocks may differ before a comparison of times of files on two hosts misleads.
_SKEW = 5 * 10**9
#: The steps in which file systems keep times, in nanoseconds, and a moment that tells them apart.
_STEPS = {1: "1 ns", 100: "100 ns", 1000: "1 µs", 10**6: "1 ms", 10**9: "1 s", 2 * 10**9: "2 s"}
_MOMENT = 1_400_000_001_123_456_789
_MODES = (0o640, 0o755)
_COPIES = "each directory is copied, compared and then removed: that takes time, and room for the copy"
_CLONES = "each is cloned, which reads and writes no data, and then removed; that takes a while for each file"
_RETAGS = "each directory is renamed and gets the project ID of the area that holds it, some 10 microseconds a file"
_FAILED = "a trial failed: "
_PROJECTS = "have the two different project IDs? Compare them with 'lsattr -p -d DIRECTORY'; 'chattr -p ID' sets one"
#: What refuses a rename within one mount, by the type of the file system: rename(2), btrfs-subvolume(8), chattr(1),
#: lfs-project(1), the kernel's documentation of fscrypt and of overlayfs.
_REFUSES = {
    "lustre": "give both the same project ID (compare them with 'lfs project -d DIRECTORY')",
    "btrfs": "are they two subvolumes? Nothing is renamed from one to another: make both areas directories of one",
    "ext4": f"{_PROJECTS}. Or is one of them encrypted (fscrypt)? Then both have to be below one encrypted directory",
    "f2fs": f"{_PROJECTS}. Or is one of them encrypted (fscrypt)? Then both have to be below one encrypted directory",
    "xfs": _PROJECTS,
    "overlay": "is one of them in a lower layer? Mount the overlay with 'redirect_dir=on', or put the areas on a file "
    "system of their own. Below the overlay, another project ID refuses too",
}
_REFUSES_ELSE = "ask who runs the file system; on some, two directories have to have the same project ID"


def run_probes(workspace: Workspace) -> Iterator[Finding]:
    """Probe each area that this account may write in, then the moves between each spool area and its QA areas."""
    if not workspace.options.probe:
        yield info("trials", "left out, as was asked; so it is not known how directories will move")
        return
    with ExitStack() as opened:
        scratch: dict[Path, ScratchDir] = {}
        for area in workspace.areas:
            yield from guarded(_set_up(workspace, area, opened, scratch), "tried", area.label, _FAILED)
        for one in scratch.values():
            for name, probe in AREA_PROBES.items():
                yield from guarded(probe(one), name, one.area.label, _FAILED)
        for spool, qa in _pairs(workspace, scratch):
            for name, move_probe in MOVE_PROBES.items():
                yield from guarded(move_probe(spool, qa), name, _both(spool, qa), _FAILED)


def _set_up(workspace: Workspace, area: Area, opened: ExitStack, scratch: dict[Path, ScratchDir]) -> Iterator[Finding]:
    if area.handle is None:
        return
    if not workspace.environment.fs.can_write(area.handle):
        yield info(area.label, "nothing was tried there, since this account may not write in it")
        return
    try:
        made = scratch[area.path] = opened.enter_context(scratch_in(workspace, area, area.handle))
    except OSError as failure:
        if failure.errno != errno.ENOTSUP:
            raise
        yield error(area.label, "no link can be made here: nothing can be conveyed", TAKES_LINKS_IF)
        return
    if made.removed:
        yield info(area.label, f"removed what a visit that died had left: {', '.join(made.removed)}")


def _pairs(workspace: Workspace, scratch: dict[Path, ScratchDir]) -> Iterator[tuple[ScratchDir, ScratchDir]]:
    """Each workspace's spool area with each of its QA areas; the areas are in that order."""
    spool = None
    for area in workspace.areas:
        if area.kind == SPOOL:
            spool = scratch.get(area.path)
        elif area.kind == QA and spool and area.path in scratch:
            yield spool, scratch[area.path]


def _both(spool: ScratchDir, qa: ScratchDir) -> str:
    return f"{spool.area.label} and {qa.area.label}"


# --- In one area.


def claims_exclude(scratch: ScratchDir) -> Iterator[Finding]:
    """Check what keeps two conveyances apart: a link can be made once only, and is replaced by another in one step."""
    fs, handle = scratch.fs, scratch.handle
    for name in ("claim.1", "claim.2"):
        fs.symlink(handle, name, name)
    try:
        fs.symlink(handle, "claim.1", "another")
    except FileExistsError:
        fs.rename(handle, "claim.2", handle, "claim.1")
        if fs.lstat(handle, "claim.2") is None and fs.readlink(handle, "claim.1") == "claim.2":
            yield ok(scratch.area.label, "claims exclude: a link is made once only, and replaced in one step")
            return
    advice = "two conveyances of one request could run at once here: convey nothing, and ask who runs the file system"
    yield error(scratch.area.label, "links do not exclude each other: a taken name was given out again", advice)


def clock(scratch: ScratchDir) -> Iterator[Finding]:
    """Compare the file server's clock with this host's, and find the steps in which times are kept."""
    fs, handle = scratch.fs, scratch.handle
    before = time.time_ns()
    fs.create_file(handle, "clock").close()
    after = time.time_ns()
    made = fs.lstat(handle, "clock")
    fs.utime(handle, "clock", _MOMENT)
    kept = fs.lstat(handle, "clock")
    if made is None or kept is None:
        raise FileNotFoundError(2, "a file just made is not there", str(handle.path / "clock"))
    step = next((step for step in _STEPS if _MOMENT // step * step == kept.modified), None)
    steps = f"times are kept to {_STEPS[step]}" if step else "times are not kept as they are set"
    skew = max(before - made.modified, 0) - max(made.modified - after, 0)  # positive: the server's is behind
    if abs(skew) > _SKEW:
        which = "behind" if skew > 0 else "ahead of"
        what = f"the file server's clock is {abs(skew) / 10**9:.1f} s {which} this host's; {steps}"
        yield warning(scratch.area.label, what, "set both by NTP; this shows this host's side:", "timedatectl")
        return
    clocks = "the file server's clock and this host's agree"
    if scratch.area.mount and scratch.area.mount.type == "lustre":
        clocks = "Lustre takes times from its clients, so its servers' clocks do not show"
    yield (ok if step == 1 else info)(scratch.area.label, f"{clocks}; {steps}")


def ownership(scratch: ScratchDir) -> Iterator[Finding]:
    """Check that what this account makes is its own: a server may give it to another account."""
    scratch.fs.create_file(scratch.handle, "owner").close()
    entry, account = scratch.fs.lstat(scratch.handle, "owner"), scratch.workspace.environment.host.account()
    if entry is None or entry.owner == account:
        yield ok(scratch.area.label, "what this account makes is its own")
    else:
        what = f"what this account (uid {account}) makes belongs to uid {entry.owner}: the server squashes it"
        yield warning(scratch.area.label, what, "convey with an account that the server does not map to another")


def modes(scratch: ScratchDir) -> Iterator[Finding]:
    """Check that a file keeps the mode that it is given: what is copied here has to."""
    scratch.fs.create_file(scratch.handle, "mode").close()
    lost = [mode for mode in _MODES if not scratch.fs.keeps_mode(scratch.handle, "mode", mode)]
    if not lost:
        yield ok(scratch.area.label, "files keep their modes")
        return
    what = f"a file does not keep the mode {', '.join(f'{mode:o}' for mode in lost)}: what has it cannot be copied here"
    yield info(
        scratch.area.label, what, "of SMB, see 'modefromsid' in mount.cifs(8); else ask who runs the file system"
    )


def exchange(scratch: ScratchDir) -> Iterator[Finding]:
    """Check that a directory and a link can trade places: what is replaced is then never missing."""
    fs, handle = scratch.fs, scratch.handle
    fs.mkdir(handle, "directory")
    fs.symlink(handle, "link", "directory")
    try:
        fs.exchange(handle, "directory", handle, "link")
    except ExchangeRefusedError as failure:
        what = f"two names cannot trade places ({failure.strerror}): what is replaced is missing for a moment"
        yield info(scratch.area.label, what)
        return
    entry = fs.lstat(handle, "link")
    if entry is None or entry.kind is not Kind.DIRECTORY:
        advice = "convey nothing here, and ask who runs the file system"
        yield error(scratch.area.label, "an exchange was reported as done, and was not", advice)
    else:
        yield ok(scratch.area.label, "two names can trade places in one step")


def links_followed(scratch: ScratchDir) -> Iterator[Finding]:
    """Open a file through a link with ``..`` and through an absolute one, as readers of a delivered request do."""
    fs, handle = scratch.fs, scratch.handle
    fs.create_file(handle, "target").close()
    fs.mkdir(handle, "below")
    texts = {"a relative link with '..'": "../target", "an absolute link": str(handle.path.absolute() / "target")}
    with fs.open_directory(handle, "below") as below:
        for number, text in enumerate(texts.values()):
            fs.symlink(below, f"link {number}", text)
    refused = {}
    for number, name in enumerate(texts):
        try:
            read_named(handle.path / "below" / f"link {number}", limit=1)
        except OSError as failure:
            refused[name] = failure.strerror
    if not refused:
        yield ok(scratch.area.label, "links are followed")
        return
    why = ", ".join(f"{name} ({reason})" for name, reason in refused.items())
    what = f"no file can be opened through {why}: a delivered request could not be read"
    advice = "convey nothing here. Mount it without 'nosymfollow', or, if it is sshfs, with 'no_contain_symlinks'"
    yield error(scratch.area.label, what, advice)


def inode_numbers(scratch: ScratchDir) -> Iterator[Finding]:
    """Check that a file has one inode number: in a listing, by a stat, and under a second name."""
    fs, handle = scratch.fs, scratch.handle
    fs.create_file(handle, "numbered").close()
    with contextlib.suppress(OSError):  # that there are no hard links matters in the cache only
        fs.link(handle, "numbered", handle, "numbered too")
    listed = fs.listed_inodes(handle)
    looked = {name: entry.inode for name in listed if name.startswith("numbered") and (entry := fs.lstat(handle, name))}
    if len(set(looked.values())) == 1 and all(listed[name] == inode for name, inode in looked.items()):
        yield ok(scratch.area.label, "a file has one inode number")
        return
    what = "inode numbers are made up: a listing, a stat or a second name of a file tells another one"
    advice = (
        "a copy from here may be taken for one that is written to, hard links become files of their own, and a conveyance "
        "that was interrupted may need a person; of a FUSE mount, the option 'noforget' keeps numbers until it ends"
    )
    yield warning(scratch.area.label, what, advice)


def attributes(scratch: ScratchDir) -> Iterator[Finding]:
    """Check that files take attributes of users, which a copy from another file system may bring."""
    scratch.fs.create_file(scratch.handle, "attributes").close()
    try:
        scratch.fs.set_attribute(scratch.handle, "attributes", "user.conveyor", b"tried")
    except OSError as failure:
        if failure.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        what = f"files here take no attributes of users ({failure.strerror}): what is copied here cannot keep its own"
        yield info(scratch.area.label, what, takes_attributes_if(scratch.area.mount))
    else:
        yield ok(scratch.area.label, "files take attributes of users")


def hard_links(scratch: ScratchDir) -> Iterator[Finding]:
    """Check that weblogs can be unpacked in the cache: CASA's have a hard link in them."""
    if scratch.area.kind != CACHE:
        return
    scratch.fs.create_file(scratch.handle, "file").close()
    try:
        scratch.fs.link(scratch.handle, "file", scratch.handle, "second name")
    except OSError as failure:
        what = f"there are no hard links ({failure.strerror}), and CASA's weblogs have one: deliveries with one fail"
        yield error(scratch.area.label, what, "set weblog_cache to a folder elsewhere:", "conveyor config")
    else:
        yield ok(scratch.area.label, "weblogs can be unpacked: it has hard links")


def durability(scratch: ScratchDir) -> Iterator[Finding]:
    """Check that names can be made durable, which READY relies on."""
    scratch.fs.fsync(scratch.handle)
    yield ok(scratch.area.label, "names can be made durable")


# --- Between the spool area and a QA area.


def directories_cross(spool: ScratchDir, qa: ScratchDir) -> Iterator[Finding]:
    """Move a directory with a file in it out and home, in the way that a conveyance would."""
    fs, name = spool.fs, f"directory for {qa.area.path.name}"
    fs.mkdir(spool.handle, name)
    with fs.open_directory(spool.handle, name) as directory:
        fs.create_file(directory, "file").close()
    try:
        way, inodes = _move_out_and_home(spool, qa, name)
    except CrossDeviceError:
        yield _copied(spool, qa)
        return
    projects = _Projects.of(spool, qa)
    if len(set(inodes)) > 1:
        what = (
            "a directory that is moved has another inode number then, so that a conveyance takes it for somebody else's"
        )
        advice = (
            "convey nothing between the two. On mergerfs mount without 'use_ino'; else ask who runs the file system"
        )
        yield error(_both(spool, qa), what, advice)
    elif projects.differ:
        yield projects.renamed(way)
    elif way == "exchange":
        yield ok(_both(spool, qa), "directories move by exchange: no path is ever missing")
    else:
        what = "directories move by two renames: their paths are missing for a moment, and readers have to try again"
        yield info(_both(spool, qa), what)


def _move_out_and_home(spool: ScratchDir, qa: ScratchDir, name: str) -> tuple[str, list[int | None]]:
    """Return the way, ``exchange`` or ``renames``, and the directory's inode number at first, there, and home again.

    An exchange takes a link the other way, which may be all that is refused. Raises CrossDeviceError if the directory is.
    """
    fs, home, there = spool.fs, spool.handle, qa.handle
    fs.symlink(there, name, "bridge")
    inodes = [_inode(fs, home, name)]
    try:
        for end in (there, home):
            fs.exchange(home, name, there, name)
            inodes.append(_inode(fs, end, name))
    except (ExchangeRefusedError, CrossDeviceError):
        fs.unlink(there, name)
        fs.rename(home, name, there, name)
        inodes.append(_inode(fs, there, name))
        fs.rename(there, name, home, name)
        return "renames", [*inodes, _inode(fs, home, name)]
    return "exchange", inodes


@frozen
class _Projects:
    """The project IDs that two areas hand on to what is made in them; None on a file system that has none."""

    spool: ScratchDir
    qa: ScratchDir
    own: Project | None
    wanted: Project | None

    @classmethod
    def of(cls, spool: ScratchDir, qa: ScratchDir) -> _Projects:
        return cls(spool, qa, *(handed_on(one.fs, one.handle) for one in (spool, qa)))

    @property
    def differ(self) -> bool:
        return self.own is not None and self.wanted is not None and self.own != self.wanted

    def keep_apart(self) -> bool:
        """Tell if a directory could be renamed with the other area's ID, and if this account may give it that."""
        name = f"tagged directory for {self.qa.area.path.name}"
        if not self.differ or self.wanted is None:
            return False
        fs, here, there = self.spool.fs, self.spool.handle, self.qa.handle
        with fs.full_directory(there, name):
            return tagged_moves(fs, here, name, there, name, self.wanted)

    def kept_apart(self) -> Finding:
        """The finding about directories that can be renamed only if their ID is changed."""
        match self.spool.workspace.options.config.values.project_ids:
            case "retag":
                return info(self._both, f"{self._text}: {_RETAGS}")
            case "refuse":
                advice = "give both one project ID, or set `project_ids = retag` or `copy`"
                return error(self._both, f"{self._text}, so that no directory is delivered", advice)
        return warning(self._both, f"{self._text}: {_COPIES}", f"set `project_ids = retag`: then {_RETAGS}")

    def renamed(self, way: str) -> Finding:
        """The finding about directories that are renamed whatever their ID, and keep it, unless it is changed."""
        if self.spool.workspace.options.config.values.project_ids == "retag":
            return info(self._both, f"{self._text}: {_RETAGS}")
        what = f"{self._text}: directories move by {way}, and go on counting against the quota of where they came from"
        return info(self._both, what, f"set `project_ids = retag`: then {_RETAGS}")

    @property
    def _both(self) -> str:
        return _both(self.spool, self.qa)

    @property
    def _text(self) -> str:
        has = f"project {self.wanted.number}" if self.wanted and self.wanted.number else "no project"
        other = f"project {self.own.number}" if self.own and self.own.number else "none"
        return f"{self.qa.area.label} has {has}, {self.spool.area.label} has {other}"


def _inode(fs: FileSystem, directory: DirFd, name: str) -> int | None:
    entry = fs.lstat(directory, name)
    return entry.inode if entry else None


def _copied(spool: ScratchDir, qa: ScratchDir) -> Finding:
    projects, name = _Projects.of(spool, qa), f"file to clone for {qa.area.path.name}"
    if projects.keep_apart():
        return projects.kept_apart()
    if spool.fs.can_clone(spool.handle, qa.handle, name):
        return info(
            _both(spool, qa), f"directories cannot be renamed from one to the other, but files share: {_CLONES}"
        )
    if spool.area.mount == qa.area.mount:
        what = f"directories cannot be renamed from one to the other, although both are on one mount: {_COPIES}"
        type_ = spool.area.mount.type if spool.area.mount else ""
        return warning(_both(spool, qa), what, _REFUSES.get(type_, _REFUSES_ELSE))
    if spool.area.entry and qa.area.entry and spool.area.entry.device == qa.area.entry.device:
        what = f"both are on one file system, but by two mounts, between which nothing can be renamed: {_COPIES}"
        return warning(_both(spool, qa), what, "name both by paths below one mount")
    return info(_both(spool, qa), f"on two file systems: {_COPIES}")


def files_cross(spool: ScratchDir, qa: ScratchDir) -> Iterator[Finding]:
    """Rename a file and a link to the other area: if that works and directories do not move, the reason is their tree."""
    fs, file, link = spool.fs, f"file for {qa.area.path.name}", f"link for {qa.area.path.name}"
    fs.create_file(spool.handle, file).close()
    fs.symlink(spool.handle, link, "nowhere")
    try:
        for name in (file, link):
            fs.rename(spool.handle, name, qa.handle, name)
    except CrossDeviceError:
        yield info(_both(spool, qa), "files and links cannot be renamed from one to the other")
    else:
        yield ok(_both(spool, qa), "files and links can be renamed from one to the other")


#: Probes of one area, and of a pair of areas, by the names of their checks.
AREA_PROBES = {
    "claims-exclude": claims_exclude,
    "clock": clock,
    "ownership": ownership,
    "modes": modes,
    "exchange": exchange,
    "links-followed": links_followed,
    "inode-numbers": inode_numbers,
    "attributes": attributes,
    "hard-links": hard_links,
    "durability": durability,
}
MOVE_PROBES = {"directories-cross": directories_cross, "files-cross": files_cross}
