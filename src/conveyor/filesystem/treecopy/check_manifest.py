"""What is found when a tree is compared with its manifest: whether it still is what was copied, and what became of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.treecopy.compare import Look, Reading, What
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, CopyOptions, Side, Totals
from conveyor.filesystem.treecopy.descent import Descent
from conveyor.filesystem.treecopy.manifest import Manifest
from conveyor.filesystem.treecopy.messages import Found, Job, Task
from conveyor.filesystem.treecopy.records import OWN
from conveyor.filesystem.treecopy.scheduler import Crew
from conveyor.filesystem.treecopy.walk import own_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.messages import Message

_EXAMPLES = 10


class Findings:
    """How much was found, and the first few of it, by path from the tree's root and what became of it."""

    def __init__(self) -> None:
        self.number = 0
        self.examples: list[Found] = []

    def add(self, found: Found) -> None:
        self.number += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(found)

    def __bool__(self) -> bool:
        return self.number > 0

    def __str__(self) -> str:
        first = ", ".join(f"{found.path or '.'} ({found.what})" for found in self.examples)
        return first if self.number <= _EXAMPLES else f"{first} and {self.number - _EXAMPLES} more"


def prepared(task: Task, manifest: Manifest) -> Task:
    """The task with what the manifest knows of its subject."""
    match task.job:
        case Job.FOLDER:
            own, known = manifest.folder(task.path)
            return task._replace(own=own, known=known)
        case Job.RUN:
            return task._replace(known=manifest.part(task.path, task.part))
        case Job.BIG:
            return task._replace(known=manifest.blocks(task.path, task.names, task.own))
    return task


def changes(
    tree: PathAt,
    manifest: PathAt,
    side: Side,
    options: CopyOptions | None = None,
    watch: CopyMonitor | None = None,
    *,
    closely: bool = False,
) -> Findings:
    """What has changed on one side since the copy was whole, by a look at each entry; empty where nothing has.

    ``closely``: by reading each entry instead, so that one that was only touched, by a chattr or a backup, is as it was.
    The name and place of the tree do not count. Without a manifest of a whole copy that can be believed, the tree
    itself is found ``new``: then nothing is proven.
    Raises :class:`OSError` if the tree cannot be read, :class:`ManifestUnknownError`, and what the watch's ``stop`` raises.
    """
    findings = Findings()
    ledger = Manifest.open(manifest)
    if ledger is None:
        findings.add(Found("", What.NEW))
        return findings
    options = options or CopyOptions()
    with ledger:
        if ledger.whole:
            visit = Reading(tree, options, ledger.block, side) if closely else Look(tree, options.run, side)
            _run(visit, ledger, options, watch, "check", findings.add)
        else:
            findings.add(Found("", What.NEW))
    return findings


def verify(
    tree: PathAt,
    manifest: PathAt,
    tell: Callable[[Found], None],
    options: CopyOptions | None = None,
    watch: CopyMonitor | None = None,
) -> Totals | None:
    """Read a whole copy and compare it with its manifest; ``tell`` is told of each entry that is not as it was.

    The tree may be the source that the manifest tells of as well: after a retrieval that was begun and not finished, it is.
    What is missing in a folder that nobody changed since is told as ``rotted``: whoever removes a name changes its folder.
    How much was read; None if there is no manifest of a whole copy that can be believed. Raises :class:`OSError`,
    and :class:`ManifestUnknownError` if another release wrote the manifest in another format, or with another hash.
    """
    ledger = Manifest.open(manifest)
    if ledger is None:
        return None
    options = options or CopyOptions()
    with ledger:
        if not ledger.whole:
            return None
        visit = Reading(tree, options, ledger.block, _side_of(tree, ledger), anew=options.read_back == "disk")

        def judged(found: Found) -> None:
            if found.what is What.MISSING and _is_untouched(tree, found.path.rpartition("/")[0], ledger, visit):
                found = found._replace(what=What.ROTTED)
            tell(found)

        return _run(visit, ledger, options, watch, "verify", judged)


def _folder(path: str, ledger: Manifest) -> Task:
    """A folder with what the manifest knows of itself alone."""
    return Task(Job.FOLDER, path, own=ledger.part(path, OWN))


def _side_of(tree: PathAt, ledger: Manifest) -> Side:
    own = own_record(_folder("", ledger))
    with error_context("stat", tree.path):
        inode = os.stat(tree.name, dir_fd=tree.folder.descriptor, follow_symlinks=False).st_ino
    # The two may be on file systems that give the same inodes.
    is_source = own is not None and own.copy_inode != inode and own.source_inode == inode
    return Side.SOURCE if is_source else Side.COPY


def _is_untouched(tree: PathAt, path: str, ledger: Manifest, visit: Look) -> bool:
    """Whether a folder is as it was. The root was renamed since, which changed its status."""
    own = own_record(_folder(path, ledger))
    way = Descent(tree.folder.descriptor, tree.name)
    try:
        status = os.fstat(way.open(path))
    except OSError:  # it is gone as well
        return False
    finally:
        way.close()
    if own is not None and not path:
        own = own._replace(source_changed=status.st_ctime_ns, copy_changed=status.st_ctime_ns)
    return own is not None and visit.proves(own, status)


def _run(
    visit: Look,
    ledger: Manifest,
    options: CopyOptions,
    watch: CopyMonitor | None,
    phase: str,
    tell: Callable[[Found], None],
) -> Totals:
    def take(message: Message) -> None:
        if isinstance(message, Found):
            tell(message)

    crew = Crew(
        visit, options, watch or CopyMonitor(), phase, Totals(), prepare=lambda task: prepared(task, ledger), take=take
    )
    return crew.run([Task(Job.FOLDER, "")])
