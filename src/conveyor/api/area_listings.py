"""The areas of a workspace: what is listed in each, and what the QA folders say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.capabilities.marker import MARKER_LIMIT, is_marker_of, read_receipt
from conveyor.engine.area_marker import is_marked, unmarked_error
from conveyor.engine.endpoints import CopySettings, Endpoint, Location
from conveyor.errors import ConveyorError
from conveyor.filesystem.posix import Kind
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conveyor.capabilities.capability import Capability
    from conveyor.documents.kept_documents import Ready
    from conveyor.filesystem.posix import DirFd, FileSystem

#: What mke2fs makes in the root of a file system, for e2fsck alone: mklost+found(8).
_NO_REQUEST = frozenset({"lost+found"})
_NOTHING_IS_COPIED = CopySettings()


@frozen
class Listing:
    """The directories in one area; ``error`` says why they are not known. One that is not there has none."""

    path: Path
    names: tuple[str, ...] = ()
    error: ConveyorError | None = None
    is_there: bool = True


@frozen
class QaFolder:
    """A directory in a QA area that Conveyor made, or that cannot be looked at (``error``).

    ``home`` is the request's directory in spool, ``capability`` the one that it was delivered with, ``delivered`` when
    (UTC); each None if nothing in the folder tells.
    """

    path: Path
    home: Path | None = None
    capability: str | None = None
    delivered: str | None = None
    error: ConveyorError | None = None

    @property
    def is_renamed(self) -> bool:
        """Tell whether it has not the name of its request any more."""
        return self.home is not None and self.home.name != self.path.name


def list_area(fs: FileSystem, path: Path, *, needs_marker: bool = False) -> Listing:
    """List the directories in an area that may be requests or QA folders; hidden ones are neither."""
    try:
        with fs.open_root(path) as area:
            names = fs.list_directories(area)
            if needs_marker and not is_marked(fs, area):
                return Listing(path, error=unmarked_error(path))
    except FileNotFoundError:
        return Listing(path, is_there=False)
    except OSError as error:
        return Listing(path, error=ConveyorError.from_os_error(error))
    return Listing(path, tuple(one for one in names if not one.startswith(".") and one not in _NO_REQUEST))


def qa_folders(fs: FileSystem, listing: Listing, capabilities: Sequence[Capability]) -> Iterator[QaFolder]:
    """Look into each directory of a QA area to which these capabilities deliver; what others made there is passed over.

    Raises :class:`OSError` if the area cannot be opened.
    """
    if not listing.names:
        return
    with fs.open_root(listing.path) as area:
        for name in listing.names:
            try:
                folder = look_into_qa_folder(fs, area, name, capabilities)
            except (ConveyorError, OSError) as error:
                folder = QaFolder(listing.path / name, error=ConveyorError.from_exception(error))
            if folder is not None:
                yield folder


def look_into_qa_folder(fs: FileSystem, area: DirFd, name: str, capabilities: Sequence[Capability]) -> QaFolder | None:
    """Look into a directory of a QA area; None if it is nothing of Conveyor's.

    Raises :class:`OSError`, and :class:`~conveyor.errors.CapabilityBrokenError` if a marker of a package's own does.
    """
    end = Endpoint(Location.QA, area.path / name, fs, fs.open_directory(area, name), copying=_NOTHING_IS_COPIED)
    try:
        end.open_meta()
        home = end.peer()
        capability, receipt = _by_marker(end, home.name if home else name, capabilities)
    finally:
        end.close()
    if receipt is not None:
        return QaFolder(end.path, home or Path(receipt["spool"]), receipt["capability"], receipt["delivered"])
    return QaFolder(end.path, home, capability) if home or capability else None


def _by_marker(end: Endpoint, request: str, capabilities: Sequence[Capability]) -> tuple[str | None, Ready | None]:
    """Return the capability of the marker in a QA folder that is the request's, None if there is none, and its receipt.

    A marker of the capability's own is no receipt.
    """
    for one in capabilities:
        if end.kind(one.marker.name) is not Kind.FILE:
            continue
        content = end.fs.read(end.root, one.marker.name, limit=MARKER_LIMIT)
        if is_marker_of(one.marker, content, request):
            return one.name, read_receipt(content)
    return None, None
