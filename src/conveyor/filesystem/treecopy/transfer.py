"""A directory to another file system: estimated, copied, looked at again until nothing changes any more, flushed."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from conveyor.errors import CopyDiffersError, ManifestUnknownError, SourceChangingError
from conveyor.filesystem import syscalls
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.attributes import make_private
from conveyor.filesystem.treecopy.check_manifest import Differences
from conveyor.filesystem.treecopy.compare import ContentCheck
from conveyor.filesystem.treecopy.copy_directory import CopyWalk
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, PathAt, Side, Totals
from conveyor.filesystem.treecopy.entries import lstat
from conveyor.filesystem.treecopy.estimate import Estimate, check_space, estimate
from conveyor.filesystem.treecopy.hardlink_table import HardlinkTable
from conveyor.filesystem.treecopy.manifest import Manifest
from conveyor.filesystem.treecopy.messages import (
    BlockDigests,
    Difference,
    HardlinkSeen,
    ManifestRows,
    ManifestUpdate,
    TableSeen,
)
from conveyor.filesystem.treecopy.remove_tree import remove_tree
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.shareable import shareable
from conveyor.filesystem.treecopy.walk import OPEN_DIRECTORY

if TYPE_CHECKING:
    from conveyor.filesystem.treecopy.manifest import ManifestReader
    from conveyor.filesystem.treecopy.messages import Message
    from conveyor.filesystem.treecopy.walk import TreeWalk

# By the magic numbers of statfs(2): ext2 to ext4, xfs, btrfs, tmpfs, f2fs, zfs.
_FLUSHED_AT_ONCE = frozenset({0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0xF2F52010, 0x2FC12FC1})


@dataclass(frozen=True, slots=True)
class Copied:
    """A complete copy: how much there is in it, and the casacore tables in it, by their paths from the tree's root."""

    total: Totals
    tables: frozenset[str]


def transfer(
    source: PathAt,
    target: PathAt,
    place: PathAt,
    options: CopyOptions | None = None,
    monitor: CopyMonitor | None = None,
    known_estimate: Estimate | None = None,
) -> Copied:
    """Make ``target`` a complete, verified and durable copy of the directory ``source``.

    ``target`` is the copy's alone: what an earlier call left there is used as far as the manifest at ``place`` proves it,
    and anything else there is removed. The source is not touched. ``known_estimate`` spares another. When this
    returns, the copy is durable, and then the manifest, which is complete.

    Raises :class:`OSError` with the whole path; :class:`SpaceMissingError` before anything is copied;
    :class:`CopyDiffersError`; :class:`SourceChangingError`; :class:`InterruptedRunError`. After any of them, as after a
    crash, the same call resumes.
    """
    options = options or CopyOptions()
    with _open_manifest(target, place, options) as manifest, contextlib.closing(HardlinkTable()) as hardlinks:
        return _Transfer(source, target, manifest, hardlinks, options, monitor or CopyMonitor()).run(known_estimate)


def _open_manifest(target: PathAt, place: PathAt, options: CopyOptions) -> Manifest:
    """The manifest of a target that can be resumed; otherwise a new one, and the target is removed."""
    with error_context("copy", target.path):
        there = lstat(target.directory.descriptor, target.name)
        if there is not None and not stat.S_ISDIR(there.st_mode):
            os.unlink(target.name, dir_fd=target.directory.descriptor)
            there = None
    if there is not None:
        manifest = None
        with contextlib.suppress(ManifestUnknownError):  # it proves nothing to this release
            manifest = Manifest.open(place)
        if manifest is not None and manifest.block == options.block:
            manifest.commit(complete=False)
            return manifest
        if manifest is not None:
            manifest.close()
        remove_tree(target, options)
    return Manifest.create(place, options.block)


class _Transfer:
    """One transfer. This process alone writes the manifest, from the messages of the workers."""

    def __init__(
        self,
        source: PathAt,
        target: PathAt,
        manifest: Manifest,
        hardlinks: HardlinkTable,
        options: CopyOptions,
        monitor: CopyMonitor,
    ) -> None:
        self._source = source
        self._target = target
        self._manifest = manifest
        self._options = options
        self._monitor = monitor
        self._hardlinks = hardlinks
        self._total = Totals()
        self._flush = True
        self._differences = Differences()
        self._tables: set[str] = set()
        self._committed = time.monotonic()

    def run(self, known_estimate: Estimate | None) -> Copied:
        self._estimate(known_estimate)
        self._make_root()
        try:
            self._copy(recheck=False)
            self._commit(complete=False)
            self._manifest.is_new = False
            self._recheck()
            self._commit(complete=True)
        except Exception:
            with contextlib.suppress(OSError):
                self._commit(complete=False)  # what was copied need not be copied again
            raise
        return Copied(self._total, frozenset(self._tables))

    def _estimate(self, known_estimate: Estimate | None) -> None:
        directory = self._target.directory
        with error_context("copy", self._source.path, self._target.path):
            copy = self._target if lstat(directory.descriptor, self._target.name) else None
            self._flush = not _is_flushed_at_once(directory.descriptor)
        found = known_estimate or estimate(self._source, directory, copy, self._options, self._monitor)
        spared = partial(shareable, self._source, directory, self._options, self._monitor)
        check_space(found.needed, directory, self._source.path, spared)
        self._total = found.total

    def _make_root(self) -> None:
        directory, name = self._target.directory.descriptor, self._target.name
        with error_context("copy", self._source.path, self._target.path):
            if lstat(directory, name) is None:
                os.mkdir(name, 0o700, dir_fd=directory)
                root = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
                try:
                    make_private(root)  # so that nothing below inherits an ACL
                finally:
                    os.close(root)

    def _copy(self, *, recheck: bool) -> None:
        """Walk the whole source, and then copy what has several names."""
        self._differences = Differences()
        self._tables.clear()
        self._hardlinks.clear()
        walk = CopyWalk(self._source, self._target, self._options, recheck=recheck, flush=self._flush)
        phase = "check" if recheck else "copy"
        with self._manifest.undisturbed() if recheck else contextlib.nullcontext() as reader:
            done = self._scheduler(walk, phase, reader=reader).run()
        self._scheduler(walk, phase, done).run(self._hardlinks.tasks())

    def _recheck(self) -> None:
        """Look at the whole source, and copy again what has changed, until nothing has."""
        rounds = 0
        from_disk = self._options.read_back == "disk"
        while True:
            self._copy(recheck=True)
            if self._differences.number:
                rounds += 1
                if rounds > self._options.rounds:
                    raise SourceChangingError(f"{self._source.path} changes while it is copied: {self._differences}")
                from_disk = self._options.read_back == "disk"
                self._commit(complete=False)  # the next look reads it
            elif from_disk:
                self._read_back()
                from_disk = False
            else:
                return

    def _read_back(self) -> None:
        """Read the whole copy from the disk."""
        self._commit(complete=False)
        self._differences = Differences()
        options = self._options
        walk = ContentCheck(self._target, options, options.block, Side.COPY, drop_cache=True, drop_corrupt=True)
        with self._manifest.undisturbed() as reader:
            self._scheduler(walk, "read back", reader=reader).run()
        if self._differences.number:
            raise CopyDiffersError(
                f"what was read back of {self._target.path} is not what was written: {self._differences}"
            )

    def _commit(self, *, complete: bool) -> None:
        """Make the copy durable, and then what the manifest says of it."""
        directory = self._target.directory
        with error_context("flush", directory.path):
            if self._flush:  # what is in it was flushed one by one
                os.fsync(directory.descriptor)
            syscalls.sync_file_system(directory.descriptor)
        self._manifest.commit(complete=complete)
        self._committed = time.monotonic()

    def _on_idle(self) -> None:
        if time.monotonic() - self._committed >= self._options.checkpoint:
            self._commit(complete=False)

    def _scheduler(
        self, walk: TreeWalk, phase: str, before: Totals | None = None, reader: ManifestReader | None = None
    ) -> Scheduler:
        """A phase of the work. With ``reader``, the manifest is written only at its end, and any process may read it."""
        knows_nothing = reader is None and self._manifest.is_new
        return Scheduler(
            walk,
            self._options,
            self._monitor,
            phase,
            self._total,
            prepare=(lambda task: task) if knows_nothing else (reader or self._manifest).prepare,
            central=reader is None and not knows_nothing,
            on_message=self._on_message,
            on_idle=self._on_idle if reader is None else lambda: None,
            before=before,
        )

    def _on_message(self, message: Message) -> None:
        match message:
            case ManifestRows():
                self._manifest.store(message.rows)
            case ManifestUpdate():
                self._manifest.update(message)
            case BlockDigests():
                self._manifest.add_blocks(message)
            case HardlinkSeen():
                self._hardlinks.add(message)
            case Difference():
                self._differences.add(message)
            case TableSeen():
                self._tables.add(message.path)


def _is_flushed_at_once(descriptor: int) -> bool:
    """Tell if one ``syncfs`` makes all files of this file system durable, and fails if it could not.

    It has failed then since Linux 5.8. Lustre's client sends the data, but does not ask its servers to write them; of others
    nothing is known.
    """
    release = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])
    return release >= (5, 8) and syscalls.file_system_type(descriptor) in _FLUSHED_AT_ONCE
