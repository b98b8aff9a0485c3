"""Compare a tree with its manifest: is it still what was copied, and what was changed?"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.compare import Change, ContentCheck, DigestWalk, StatCheck
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, Side, Totals
from conveyor.filesystem.treecopy.manifest import Manifest
from conveyor.filesystem.treecopy.messages import ClonesSeen, Difference, DigestsMade, ManifestUpdate
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.walk import DirStack

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.messages import Message

_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Checked:
    """Amounts of a verification: what was ``read``; of this, what was ``recorded`` and not compared, since it had no digest;
    and what is ``cloned``: it has no digest, so that it was not read.
    """

    read: Totals
    cloned: Totals
    recorded: Totals


class Differences:
    """The number of differences, and the first few of them, or so many at ``most``."""

    def __init__(self, most: int = _EXAMPLES) -> None:
        self.number = 0
        self._most = most
        self.examples: list[Difference] = []

    def add(self, difference: Difference) -> None:
        self.number += 1
        if len(self.examples) < self._most:
            self.examples.append(difference)

    def __bool__(self) -> bool:
        return self.number > 0

    def __str__(self) -> str:
        first = ", ".join(f"{one.path or '.'} ({one.change})" for one in self.examples[:_EXAMPLES])
        return first if self.number <= _EXAMPLES else f"{first} and {self.number - _EXAMPLES} more"


def changes(
    tree: PathAt,
    place: PathAt,
    side: Side,
    options: CopyOptions | None = None,
    monitor: CopyMonitor | None = None,
    *,
    by_content: bool = False,
    most: int = _EXAMPLES,
) -> Differences:
    """The changes of one side since the copy was complete, by the stat of each entry; empty if there are none.

    ``most``: so many of them at most are in the answer. ``by_content``: by reading each entry instead, so that one that was
    only touched, by a chattr or a backup, is as it was.
    The name and place of the tree do not count. Without a manifest of a complete copy that can be believed, the tree itself
    is ``ADDED``: then nothing is proven.
    Raises :class:`OSError` if the tree cannot be read, :class:`ManifestUnknownError`, and what ``monitor.stop`` raises.
    """
    differences = Differences(most)
    options = options or CopyOptions()
    manifest = Manifest.open_complete(place)
    if manifest is None:
        differences.add(Difference("", Change.ADDED))
        return differences
    with manifest:
        by_stat = not by_content
        walk = (
            StatCheck(tree, options.chunk_size, side) if by_stat else ContentCheck(tree, options, manifest.block, side)
        )
        _run(walk, manifest, options, monitor, "check", differences.add)
    return differences


def verify(
    tree: PathAt,
    place: PathAt,
    on_difference: Callable[[Difference], None],
    options: CopyOptions | None = None,
    monitor: CopyMonitor | None = None,
    *,
    record: bool = False,
) -> Checked | None:
    """Read a complete copy and compare it with its manifest; ``on_difference`` is called with each difference.

    The tree may be the source that the manifest tells of as well: after a retrieval that was begun and not finished, it is.
    What is missing in a directory that nobody changed since is ``CORRUPT``: to remove a name changes its directory.
    Clones are not read: those that nobody wrote to since are counted, the others are ``MODIFIED``.
    With ``record``, they are read as well, and the manifest gets their digests: then nobody else may write to it.
    None if there is no manifest of a complete copy that can be believed. Raises :class:`OSError`, and
    :class:`ManifestUnknownError` if another release wrote the manifest in its own way.
    """
    options = options or CopyOptions()
    manifest = Manifest.open_complete(place)
    if manifest is None:
        return None
    with manifest:
        side = _side_of(tree, manifest)
        kind = DigestWalk if record else ContentCheck
        walk = kind(tree, options, manifest.block, side, drop_cache=options.read_back == "disk")

        def judge(one: Difference) -> None:
            if one.change is Change.MISSING and _is_untouched(tree, one.path.rpartition("/")[0], manifest, walk):
                one = one._replace(change=Change.CORRUPT)
            on_difference(one)

        with manifest.draft() if record else contextlib.nullcontext() as draft:
            return _run(walk, manifest, options, monitor, "verify", judge, draft)


def _side_of(tree: PathAt, manifest: Manifest) -> Side:
    record = manifest.dir_record("")
    with error_context("stat", tree.path):
        inode = os.stat(tree.name, dir_fd=tree.directory.descriptor, follow_symlinks=False).st_ino
    # The two may be on file systems that give the same inodes.
    is_source = record is not None and record.copy_inode != inode and record.source_inode == inode
    return Side.SOURCE if is_source else Side.COPY


def _is_untouched(tree: PathAt, path: str, manifest: Manifest, walk: StatCheck) -> bool:
    """Tell if a directory is as it was. The root was renamed since, so that its ctime says nothing."""
    record = manifest.dir_record(path)
    stack = DirStack(tree.directory.descriptor, tree.name)
    try:
        status = os.fstat(stack.open(path))
    except OSError:  # it is gone as well
        return False
    finally:
        stack.close()
    if record is not None and not path:
        record = record._replace(source_changed=status.st_ctime_ns, copy_changed=status.st_ctime_ns)
    return record is not None and walk.proves(record, status)


def _run(
    walk: StatCheck,
    manifest: Manifest,
    options: CopyOptions,
    monitor: CopyMonitor | None,
    phase: str,
    on_difference: Callable[[Difference], None],
    draft: Manifest | None = None,
) -> Checked:
    cloned = recorded = Totals()

    def on_message(message: Message) -> None:
        nonlocal cloned, recorded
        match message:
            case Difference():
                on_difference(message)
            case ClonesSeen():
                cloned = Totals(cloned.files + message.files, cloned.bytes + message.bytes)
            case DigestsMade():
                recorded = Totals(recorded.files + message.files, recorded.bytes + message.bytes)
            case ManifestUpdate() if draft is not None:
                draft.update(message)

    with manifest.undisturbed() as reader:
        total = Totals()
        read = Scheduler(
            walk, options, monitor or CopyMonitor(), phase, total, prepare=reader.prepare, on_message=on_message
        ).run()
    return Checked(read, cloned, recorded)
