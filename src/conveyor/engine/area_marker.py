"""The marker of an area, made once: what has none is maybe not the area, but the empty directory that it is mounted on.

Without markers it is suspicious if links of requests lead into a QA area that has nothing of any request.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from conveyor.clock import now
from conveyor.documents.codec import dump, load
from conveyor.documents.kept_documents import AreaMarker
from conveyor.engine.endpoints import leads_to, peer_of
from conveyor.errors import AreaNotMountedError, ConflictError
from conveyor.filesystem.posix import Kind
from conveyor.layout import AREA_MARKER
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.engine.endpoints import Endpoints
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.request.places import Places

_LIMIT = 64 * 1024  # bytes of a marker
#: Requests in spool that are asked where they are; each takes a few calls to a file server.
_ASKED = 500


@frozen
class MarkedArea:
    """An area and the ``id`` in its marker; ``made`` is true if it had none before."""

    path: Path
    id: str
    made: bool


def mark_area(fs: FileSystem, path: Path, token: str) -> MarkedArea:
    """Put a marker into an area, with a token for its id; one that is there stays.

    Raises :class:`~conveyor.errors.ConflictError` if something else has the marker's name, and :class:`OSError`.
    """
    with fs.open_root(path) as area:
        made = not is_marked(fs, area)
        if made:
            fs.write(area, AREA_MARKER, dump(AreaMarker(schema="conveyor-area/1", id=token, made=now())))
        try:
            marker = load(AreaMarker, fs.read(area, AREA_MARKER, limit=_LIMIT))
        except ValueError:
            raise ConflictError(f"{path / AREA_MARKER} is there already, and is no marker of an area") from None
    return MarkedArea(path, marker["id"], made)


def is_marked(fs: FileSystem, area: DirFd) -> bool:
    """Tell whether an area has a marker."""
    return fs.lstat(area, AREA_MARKER) is not None


def unmarked_areas(fs: FileSystem, places: Places, qa_area: DirFd | None) -> Iterator[Path]:
    """The areas of a request that have no marker, though the settings require one; a missing QA area is told otherwise."""
    if not places.require_area_marker:
        return
    with fs.open_root(places.spool_area) as spool:
        if not is_marked(fs, spool):
            yield places.spool_area
    if qa_area is not None and not is_marked(fs, qa_area):
        yield places.qa_area


def unmarked_error(area: Path) -> AreaNotMountedError:
    """The refusal of an area that has no marker."""
    return AreaNotMountedError(
        f"{area} has no {AREA_MARKER}: it is not the area, or only the directory that it is mounted on",
        hint=f"mount the area, then run the same command; if it is mounted and new, run 'conveyor init-area {area}' once",
    )


def check_area(endpoints: Endpoints) -> None:
    """Refuse a QA area that has nothing of any request, if requests say that they are in it.

    Raises :class:`~conveyor.errors.AreaNotMountedError`. A marked area passes, whatever is in it.
    """
    fs, places, area = endpoints.fs, endpoints.places, endpoints.area
    if area is None or is_marked(fs, area):
        return
    with fs.open_root(places.spool_area) as spool:
        requests = [name for name in fs.list_directories(spool) if name != places.request]
        if not set(fs.list_directories(area)).isdisjoint(requests):
            return
        real = places.qa_area.resolve()
        missed = next((name for name in islice(requests, _ASKED) if _is_in(fs, spool, name, real)), None)
    # Looked at once more: a delivery that has just begun makes its QA folder before its first link.
    if missed is not None and not any(_peer(fs, area, name) for name in fs.list_directories(area)):
        raise AreaNotMountedError(
            f"{missed} is in the QA area {places.qa_area}, which has nothing of it nor of any other request",
            hint=f"mount it, then run the same command; if it is as it should be, run 'conveyor init-area {places.qa_area}'",
        )


def _is_in(fs: FileSystem, spool: DirFd, name: str, area: Path) -> bool:
    """Tell if a request says that it is in a QA area, and has a link there in the place of a directory."""
    peer = _peer(fs, spool, name)
    if peer is None or peer.parent != area:
        return False
    with fs.open_directory(spool, name) as request:
        links = [one for one in fs.listdir(request) if (entry := fs.lstat(request, one)) and entry.kind is Kind.LINK]
        return any(leads_to(request.path, fs.readlink(request, one), peer / one) for one in links)


def _peer(fs: FileSystem, area: DirFd, name: str) -> Path | None:
    try:
        return peer_of(fs, area, name)
    except OSError:  # closed to this account, or gone at this moment: it says nothing
        return None
