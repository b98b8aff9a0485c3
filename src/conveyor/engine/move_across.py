"""One directory to another file system: copied, verified, swapped in, and only then removed where it was.

1. A copy is made beside the target, in ``.conveyor``, verified and flushed. The *manifest* says what was copied, and how
   source and copy were then: every name, inode, size, time and content. What an interrupted run copied is not copied again.
2. A mark says which two directories these are.
3. The copy is swapped in for the bridge at the target, the source taken out for a bridge, into ``.conveyor``.
4. The source is looked at once more. If it is what the manifest says, nobody wrote to it: the mark goes, then the source.
   Otherwise the source is put back in its place, and the copy taken back out.

Between 2 and 4 a run may die at any point. The mark then tells the next one which is the copy, and the manifest whether
somebody has written to either since: so it goes on (``finish``), or goes back (``recall``), and drops nothing that was new.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.engine.crossing import prepare_crossing
from conveyor.engine.idleness import in_use_error, in_use_if_refused, make_sure_of_idleness, users
from conveyor.engine.lingering import linger
from conveyor.engine.links import (
    changed_error,
    is_same_directory,
    prepare_bridge,
    put_bridge,
    put_in_place,
    remove_staged,
)
from conveyor.engine.staging import CommitMark, find_uncommitted_copy, manifest, read_mark
from conveyor.engine.written import keep_written
from conveyor.errors import SourceChangingError, UnmovableError
from conveyor.filesystem.error_context import CrossDeviceError, ExchangeRefusedError
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt, Side
from conveyor.layout import COMMITTED, INCOMING, LINK, OUTGOING, PROBE

if TYPE_CHECKING:
    from collections.abc import Collection

    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.engine.staging import CopyPair
    from conveyor.filesystem.posix import Entry


def move_across(endpoints: Endpoints, name: str, origin: Endpoint, was: Entry | None) -> None:
    """Bring a directory to the other end by a copy. The bridge stands at the target already. ``was`` is the directory.

    Raises :class:`~conveyor.errors.SourceChangingError` if somebody goes on writing to the source meanwhile, the other
    errors of :func:`~conveyor.filesystem.treecopy.transfer.transfer`, and what the monitor's ``stop`` raises, which is asked
    all the time. The directory is at ``origin`` then; what was copied waits for the next run. Raises ConflictError if
    something else takes the directory's or the copy's place at this moment; that stays where it is.
    """
    from conveyor.filesystem.treecopy.transfer import transfer

    fs, target = endpoints.fs, endpoints.other(origin)
    _make_sure_that_it_can_be_taken_out(origin, name)
    source, copy, copying = PathAt(origin.root, name), PathAt(target.meta, name + INCOMING), endpoints.copying
    known = prepare_crossing(endpoints, name, origin, target.meta)
    if name not in copying.idle:
        make_sure_of_idleness(source, known.tables)
    copying.idle.clear()  # of the others that was a while ago when this one is copied
    remove_staged(target, name + PROBE)
    options = replace(copying.options, link_attributes=fs.sets_link_times(target.meta, name + PROBE))
    copied = transfer(source, copy, manifest(endpoints, name), options, copying.monitor, known)
    make_sure_of_idleness(source, copied.tables)
    entry = fs.lstat(target.meta, name + INCOMING)
    if was is None or not is_same_directory(origin, name, was):
        raise changed_error(origin, name)
    mark = CommitMark(copy=entry.inode if entry else -1, source=was.inode)
    remove_staged(target, name + COMMITTED)
    # What an earlier run left, since it may go: what stands there beside a mark has to be what the mark names.
    for end in (origin, target):
        if remove_staged(end, name + OUTGOING):
            fs.fsync(end.meta)
    fs.symlink(target.meta, name + COMMITTED, mark.text)
    fs.fsync(target.meta)
    put_in_place(endpoints, target, name + INCOMING, name)
    if not is_same_directory(
        target, name, entry
    ):  # somebody took the copy away; what they put in its place stays there
        raise changed_error(target, name)  # and so does the mark, for the case that they bring the copy back
    fs.fsync(target.root)
    complete_copy(endpoints, name, target, copied.tables)


def _make_sure_that_it_can_be_taken_out(end: Endpoint, name: str) -> None:
    """Refuse, before hours of copying, a source that cannot be renamed even into ``.conveyor`` beside it.

    A project ID that differs from the one that its parent directory hands on is made the same first. Raises
    :class:`~conveyor.errors.UnmovableError`.
    """
    fs = end.fs
    remove_staged(end, name + PROBE)
    with in_use_if_refused(PathAt(end.root, name)):
        if not fs.can_rename(end.root, name, end.meta, name + PROBE):
            fs.take_project(end.root, name, end.meta)
        if not fs.can_rename(end.root, name, end.meta, name + PROBE):
            raise UnmovableError(f"this file system renames {end.path / name} nowhere, not even beside itself")


def complete_copy(endpoints: Endpoints, name: str, target: Endpoint, tables: Collection[str] | None = None) -> None:
    """Take out the source of a copy that has been swapped in at ``target``, and remove it if it is as it was copied.

    ``tables`` are those that the copy has: a table that was made since is a change of the source, which is looked for.
    Raises :class:`~conveyor.errors.SourceChangingError` if it is not, and :class:`~conveyor.errors.InUseError` if somebody
    has it open to write: it is back in its place then, and what was written to the copy as well is kept aside. Raises
    ConflictError if something else takes the source's place at this moment: that stays where it is.
    """
    fs, origin = endpoints.fs, endpoints.other(target)
    if origin.kind(name) is Kind.DIRECTORY:
        mark = read_mark(target, name)
        prepare_bridge(endpoints, origin, name)
        _take_out(endpoints, origin, name, mark.source if mark else None)
    elif origin.meta_kind(name + LINK) is Kind.DIRECTORY:  # a run died between the two halves of taking it out
        remove_staged(origin, name + OUTGOING)
        fs.rename(origin.meta, name + LINK, origin.meta, name + OUTGOING)
    put_bridge(endpoints, origin, name)
    fs.wait_grace_period()  # who walked into the source before it was taken out is on their way through it
    pair = find_uncommitted_copy(endpoints, name)
    if pair is not None:
        _make_sure_that_source_may_go(endpoints, name, target, pair, tables)
    remove_staged(target, name + COMMITTED)
    fs.fsync(target.meta)  # a mark that a power cut brings back must not find half of the source
    if not linger(endpoints, origin, name):
        remove_staged(origin, name + OUTGOING)


def roll_back_copy(endpoints: Endpoints, name: str, end: Endpoint) -> None:
    """Take a copy that was swapped in at ``end`` back out, a bridge in its place: the other end has the original.

    The copy is kept as one that is being made, so that what is still right of it need not be copied again. Raises
    ConflictError if something else takes the copy's place at this moment; that stays where it is then.
    """
    mark = read_mark(end, name)
    prepare_bridge(endpoints, end, name)
    _take_out(endpoints, end, name, mark.copy if mark else None)
    remove_staged(end, name + COMMITTED)
    remove_staged(end, name + INCOMING)  # the bridge that the copy took the place of, if the run died there
    end.fs.rename(end.meta, name + OUTGOING, end.meta, name + INCOMING)


def _make_sure_that_source_may_go(
    endpoints: Endpoints, name: str, target: Endpoint, pair: CopyPair, tables: Collection[str] | None
) -> None:
    """Go back if somebody has written to the source since it was copied, or has it open to do so."""
    origin = endpoints.other(target)
    path, held = origin.path / name, users(pair.source, tables)
    if not held and not pair.changed(Side.SOURCE):
        return
    found = pair.survey()
    if not held and not found.source_changed:
        return
    written = str(pair.differences(Side.SOURCE)) if found.source_changed else ""
    kept = keep_written(endpoints, name, target, pair) if found.copy_changed else ""
    put_in_place(endpoints, origin, name + OUTGOING, name)
    endpoints.fs.fsync(origin.root)
    roll_back_copy(endpoints, name, target)
    if held:
        raise in_use_error(path, held, kept)
    raise SourceChangingError(f"somebody wrote to {path} while it was copied to another file system: {written}{kept}")


def _take_out(endpoints: Endpoints, end: Endpoint, name: str, inode: int | None) -> None:
    """Put the prepared link in the place of a directory whose data is whole at the other end.

    It has to be the one that the mark names, by its inode: anything else goes back to where it was.
    """
    fs = end.fs
    remove_staged(end, name + OUTGOING)  # of an earlier run, which found that it may go
    try:
        fs.exchange(end.meta, name + LINK, end.root, name)
        fs.rename(end.meta, name + LINK, end.meta, name + OUTGOING)
    except (ExchangeRefusedError, CrossDeviceError):
        with in_use_if_refused(PathAt(end.root, name)):
            fs.rename(end.root, name, end.meta, name + OUTGOING)
        fs.rename(end.meta, name + LINK, end.root, name)
    taken = fs.lstat(end.meta, name + OUTGOING)
    if taken is None or taken.kind is not Kind.DIRECTORY or taken.inode != inode:
        put_in_place(endpoints, end, name + OUTGOING, name)
        raise changed_error(end, name)
    fs.fsync(end.root)
