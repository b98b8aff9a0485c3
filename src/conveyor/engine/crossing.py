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

from typing import TYPE_CHECKING

from conveyor.engine.ends import bridge_text
from conveyor.engine.links import changed, clear, is_it, prepare_link, put_bridge, put_in_place
from conveyor.engine.remains import COPIED, INCOMING, LINK, OUTGOING, CopyMark, find_pair, manifest, read_mark
from conveyor.errors import BothSidesError, SourceChangingError
from conveyor.filesystem.copying.values import Named, Side
from conveyor.filesystem.port import ExchangeRefusedError, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.ends import End, Ends
    from conveyor.engine.remains import CopySurvey
    from conveyor.filesystem.port import Entry


def cross(ends: Ends, name: str, origin: End, was: Entry | None) -> None:
    """Bring a directory to the other end by a copy. The bridge stands at the target already. ``was`` is the directory.

    Raises :class:`~conveyor.errors.SourceChangingError` where somebody goes on writing to the source meanwhile, the other
    errors of :func:`~conveyor.filesystem.copying.transfer.transfer`, and what the watch's ``stop`` raises, which is asked
    all the time. The directory is at ``origin`` then; what was copied waits for the next run. Raises ConflictError where
    something else takes the directory's or the copy's place at this moment; that stays where it is.
    """
    from conveyor.filesystem.copying.transfer import transfer

    fs, target = ends.fs, ends.other(origin)
    source, copy, copying = Named(origin.here, name), Named(target.own, name + INCOMING), ends.copying
    transfer(source, copy, manifest(ends, name), copying.options, copying.watch, copying.counted.get(name))
    copied = fs.look(target.own, name + INCOMING)
    if was is None or not is_it(origin, name, was):
        raise changed(origin, name)
    mark = CopyMark(copy=copied.inode if copied else -1, source=was.inode)
    clear(target, name + COPIED)
    # What an earlier run left, since it may go: what stands there beside a mark has to be what the mark names.
    for end in (origin, target):
        if clear(end, name + OUTGOING):
            fs.flush(end.own)
    fs.make_link(target.own, name + COPIED, mark.text)
    fs.flush(target.own)
    put_in_place(ends, target, name + INCOMING, name)
    if not is_it(target, name, copied):  # somebody took the copy away; what they put in its place stays there
        raise changed(target, name)  # and so does the mark, for the case that they bring the copy back
    fs.flush(target.here)
    finish(ends, name, target)


def finish(ends: Ends, name: str, target: End) -> None:
    """Take out the source of a copy that has been swapped in at ``target``, and remove it if it is as it was copied.

    Raises :class:`~conveyor.errors.SourceChangingError` where it is not: it is back in its place then;
    :class:`~conveyor.errors.BothSidesError` where somebody has written to the copy as well: both are kept; and
    ConflictError where something else takes the source's place at this moment: that stays where it is.
    """
    fs, origin = ends.fs, ends.other(target)
    if origin.kind(name) is Kind.DIRECTORY:
        mark = read_mark(target, name)
        prepare_link(origin, name, bridge_text(name))
        _take_out(ends, origin, name, mark.source if mark else None)
    elif origin.inner_kind(name + LINK) is Kind.DIRECTORY:  # a run died between the two halves of taking it out
        clear(origin, name + OUTGOING)
        fs.rename(origin.own, name + LINK, origin.own, name + OUTGOING)
    put_bridge(ends, origin, name)
    fs.let_readers_pass()  # who walked into the source before it was taken out is on their way through it
    pair = find_pair(ends, name)
    if pair is not None and pair.changed(Side.SOURCE) and (found := pair.survey()).source_changed:
        _go_back(ends, name, target, found)
    clear(target, name + COPIED)
    fs.flush(target.own)  # a mark that a power cut brings back must not find half of the source
    clear(origin, name + OUTGOING)


def recall(ends: Ends, name: str, end: End) -> None:
    """Take a copy that was swapped in at ``end`` back out, a bridge in its place: the other end has the original.

    The copy is kept as one that is being made, so that what is still right of it need not be copied again. Raises
    ConflictError where something else takes the copy's place at this moment; that stays where it is then.
    """
    mark = read_mark(end, name)
    prepare_link(end, name, bridge_text(name))
    _take_out(ends, end, name, mark.copy if mark else None)
    clear(end, name + COPIED)
    clear(end, name + INCOMING)  # the bridge that the copy took the place of, if the run died there
    end.fs.rename(end.own, name + OUTGOING, end.own, name + INCOMING)


def _go_back(ends: Ends, name: str, target: End, found: CopySurvey) -> None:
    origin = ends.other(target)
    if found.torn:
        raise edited_twice(target.path / name, origin.own.path / (name + OUTGOING))
    put_in_place(ends, origin, name + OUTGOING, name)
    ends.fs.flush(origin.here)
    recall(ends, name, target)
    raise SourceChangingError(f"somebody wrote to {origin.path / name} while it was copied to another file system")


def _take_out(ends: Ends, end: End, name: str, inode: int | None) -> None:
    """Put the prepared link in the place of a directory whose data is whole at the other end.

    It has to be the one that the mark names, by its inode: anything else goes back to where it was.
    """
    fs = end.fs
    clear(end, name + OUTGOING)  # of an earlier run, which found that it may go
    try:
        fs.exchange(end.own, name + LINK, end.here, name)
        fs.rename(end.own, name + LINK, end.own, name + OUTGOING)
    except ExchangeRefusedError:
        fs.rename(end.here, name, end.own, name + OUTGOING)
        fs.rename(end.own, name + LINK, end.here, name)
    taken = fs.look(end.own, name + OUTGOING)
    if taken is None or taken.kind is not Kind.DIRECTORY or taken.inode != inode:
        put_in_place(ends, end, name + OUTGOING, name)
        raise changed(end, name)
    fs.flush(end.here)


def edited_twice(copy: Path, source: Path) -> BothSidesError:
    """The refusal of a copy and a source that somebody has written to after they were equal: neither may go."""
    return BothSidesError(
        f"somebody has written to {copy} and to {source} since the one was copied from the other",
        hint=f"bring what is missing into the first, then move {source} away, and run the same command",
    )
