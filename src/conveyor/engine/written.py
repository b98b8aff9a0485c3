"""Keep what somebody wrote to a copy that has to be taken back: it was the data at that path, for a moment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from conveyor.errors import BothSidesError
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import Side
from conveyor.layout import written_meanwhile

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.engine.staging import CopyPair


def diverged_error(copy: Path, source: Path) -> BothSidesError:
    """The refusal of a copy and a source that somebody has written to after they were equal: neither may go."""
    return BothSidesError(
        f"somebody has written to {copy} and to {source} since the one was copied from the other",
        hint=f"bring what is missing into the first, then move {source} away, and run the same command",
    )


def keep_written(endpoints: Endpoints, name: str, target: Endpoint, pair: CopyPair) -> str:
    """Set aside, in ``.conveyor``, the entries of a copy that somebody has made or changed; say which and where.

    They are renamed, so that a process that has one of them open goes on writing to what is kept. Raises
    :class:`OSError`, and :class:`~conveyor.errors.BothSidesError` if the manifest cannot tell what is new.
    """
    from conveyor.filesystem.treecopy.compare import Change

    fs, differences = endpoints.fs, pair.differences(Side.COPY)
    if not all(one.path for one in differences.examples):  # nothing is proven, so that nothing of it may go
        raise diverged_error(pair.copy.path, pair.source.path)
    aside = target.unused_meta_name(partial(written_meanwhile, name))
    fs.mkdir(target.meta, aside)
    for one in differences.examples:
        *above, last = one.path.split("/")
        with fs.open_below(target.root, [name, *above]) as folder, fs.open_directory(target.meta, aside) as kept:
            entry = fs.lstat(folder, last)
            if entry is None or (entry.kind is Kind.DIRECTORY and one.change is not Change.ADDED):
                continue  # it is gone, or has other names now, which are told one by one
            with fs.make_below(kept, above) as place:
                fs.rename(folder, last, place, last)
    fs.fsync(target.meta)
    return f"; what was written to the copy meanwhile is kept in {target.meta.path / aside}: {differences}"
