"""What is found when a tree is compared with its manifest: whether it still is what was copied, and what became of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.compare import Change, ContentCheck, StatCheck
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, Side, Totals
from conveyor.filesystem.treecopy.descent import DirStack
from conveyor.filesystem.treecopy.manifest import Manifest
from conveyor.filesystem.treecopy.messages import Difference, Job, Task
from conveyor.filesystem.treecopy.records import DIR_RECORD
from conveyor.filesystem.treecopy.scheduler import Scheduler
from conveyor.filesystem.treecopy.walk import unpack_dir_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.messages import Message

_EXAMPLES = 10


class Differences:
    """How much was found, and the first few of it, by path from the tree's root and what became of it."""

    def __init__(self) -> None:
        self.number = 0
        self.examples: list[Difference] = []

    def add(self, found: Difference) -> None:
        self.number += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(found)

    def __bool__(self) -> bool:
        return self.number > 0

    def __str__(self) -> str:
        first = ", ".join(f"{found.path or '.'} ({found.change})" for found in self.examples)
        return first if self.number <= _EXAMPLES else f"{first} and {self.number - _EXAMPLES} more"


def prepared(task: Task, manifest: Manifest) -> Task:
    """The task with what the manifest knows of its subject."""
    match task.job:
        case Job.FOLDER:
            dir_record, recorded = manifest.directory(task.path)
            return task._replace(dir_record=dir_record, recorded=recorded)
        case Job.RUN:
            return task._replace(recorded=manifest.chunk(task.path, task.chunk))
        case Job.BIG:
            return task._replace(recorded=manifest.blocks(task.path, task.names, task.dir_record))
    return task


def changes(
    tree: PathAt,
    place: PathAt,
    side: Side,
    options: CopyOptions | None = None,
    watch: CopyMonitor | None = None,
    *,
    by_content: bool = False,
) -> Differences:
    """What has changed on one side since the copy was whole, by a look at each entry; empty where nothing has.

    ``closely``: by reading each entry instead, so that one that was only touched, by a chattr or a backup, is as it was.
    The name and place of the tree do not count. Without a manifest of a whole copy that can be believed, the tree
    itself is found ``new``: then nothing is proven.
    Raises :class:`OSError` if the tree cannot be read, :class:`ManifestUnknownError`, and what the watch's ``stop`` raises.
    """
    findings = Differences()
    manifest = Manifest.open(place)
    if manifest is None:
        findings.add(Difference("", Change.ADDED))
        return findings
    options = options or CopyOptions()
    with manifest:
        if manifest.complete:
            walk = (
                ContentCheck(tree, options, manifest.block, side)
                if by_content
                else StatCheck(tree, options.chunk_size, side)
            )
            _run(walk, manifest, options, watch, "check", findings.add)
        else:
            findings.add(Difference("", Change.ADDED))
    return findings


def verify(
    tree: PathAt,
    place: PathAt,
    on_difference: Callable[[Difference], None],
    options: CopyOptions | None = None,
    watch: CopyMonitor | None = None,
) -> Totals | None:
    """Read a whole copy and compare it with its manifest; ``tell`` is told of each entry that is not as it was.

    The tree may be the source that the manifest tells of as well: after a retrieval that was begun and not finished, it is.
    What is missing in a folder that nobody changed since is told as ``rotted``: whoever removes a name changes its folder.
    How much was read; None if there is no manifest of a whole copy that can be believed. Raises :class:`OSError`,
    and :class:`ManifestUnknownError` if another release wrote the manifest in another format, or with another hash.
    """
    manifest = Manifest.open(place)
    if manifest is None:
        return None
    options = options or CopyOptions()
    with manifest:
        if not manifest.complete:
            return None
        walk = ContentCheck(
            tree, options, manifest.block, _side_of(tree, manifest), drop_cache=options.read_back == "disk"
        )

        def judged(found: Difference) -> None:
            if found.change is Change.MISSING and _is_untouched(tree, found.path.rpartition("/")[0], manifest, walk):
                found = found._replace(change=Change.CORRUPT)
            on_difference(found)

        return _run(walk, manifest, options, watch, "verify", judged)


def _folder(path: str, manifest: Manifest) -> Task:
    """A folder with what the manifest knows of itself alone."""
    return Task(Job.FOLDER, path, dir_record=manifest.chunk(path, DIR_RECORD))


def _side_of(tree: PathAt, manifest: Manifest) -> Side:
    dir_record = unpack_dir_record(_folder("", manifest))
    with error_context("stat", tree.path):
        inode = os.stat(tree.name, dir_fd=tree.directory.descriptor, follow_symlinks=False).st_ino
    # The two may be on file systems that give the same inodes.
    is_source = dir_record is not None and dir_record.copy_inode != inode and dir_record.source_inode == inode
    return Side.SOURCE if is_source else Side.COPY


def _is_untouched(tree: PathAt, path: str, manifest: Manifest, walk: StatCheck) -> bool:
    """Whether a folder is as it was. The root was renamed since, which changed its status."""
    dir_record = unpack_dir_record(_folder(path, manifest))
    way = DirStack(tree.directory.descriptor, tree.name)
    try:
        status = os.fstat(way.open(path))
    except OSError:  # it is gone as well
        return False
    finally:
        way.close()
    if dir_record is not None and not path:
        dir_record = dir_record._replace(source_changed=status.st_ctime_ns, copy_changed=status.st_ctime_ns)
    return dir_record is not None and walk.proves(dir_record, status)


def _run(
    walk: StatCheck,
    manifest: Manifest,
    options: CopyOptions,
    watch: CopyMonitor | None,
    phase: str,
    tell: Callable[[Difference], None],
) -> Totals:
    def take(message: Message) -> None:
        if isinstance(message, Difference):
            tell(message)

    scheduler = Scheduler(
        walk,
        options,
        watch or CopyMonitor(),
        phase,
        Totals(),
        prepare=lambda task: prepared(task, manifest),
        on_message=take,
    )
    return scheduler.run([Task(Job.FOLDER, "")])
