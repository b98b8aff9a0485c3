"""The metadata file of a request that a person names: by its name, its folder at either end, its READY, or a path."""

from __future__ import annotations

import posixpath
from contextlib import suppress
from pathlib import Path

from conveyor.documents.codec import load
from conveyor.documents.kept_documents import Ready
from conveyor.errors import MetadataMissingError, RequestAmbiguousError
from conveyor.filesystem.posix import read_named
from conveyor.layout import META_DIR, METADATA, PEER, READY
from conveyor.settings.wording import nearest

_LIMIT = 64 * 1024 * 1024  # bytes
_PEER_LIMIT = 16 * 1024  # bytes
_PATTERN = frozenset("*?[")


def metadata_file(named: str, spool: Path | None) -> Path:
    """Return the metadata file that is meant by a path, or by the name of a request in a spool area, if one is known.

    A path that leads to nothing of a request comes back as it is: whoever reads it says what is wrong. Raises
    :class:`~conveyor.errors.RequestAmbiguousError` if a path and a name lead to two requests, and
    :class:`~conveyor.errors.MetadataMissingError` if a name is that of no request.
    """
    path = Path(named)
    by_path = _by_path(path)
    if "/" in named or spool is None or not is_name(named):
        return by_path or path
    by_name = spool / named / METADATA
    if not posixpath.lexists(by_name.parent):
        if by_path is not None or posixpath.lexists(path):
            return by_path or path
        raise _unknown_error(named, spool)
    if by_path is not None and posixpath.realpath(by_path) != posixpath.realpath(by_name):
        raise RequestAmbiguousError(f"{named!r} may mean {by_path} or {by_name}")
    return by_name


def typed_name(metadata: Path, spool: Path | None) -> str:
    """Return what a person types for a request: its name if a spool area is known and it is one of that, else the path."""
    name = metadata.parent.name
    is_of_area = spool is not None and posixpath.realpath(metadata) == posixpath.realpath(spool / name / METADATA)
    return name if is_of_area and is_name(name) else str(metadata)


def is_name(text: str) -> bool:
    """Tell whether a request's name is taken for one on a command line, and not for an option, a path or a pattern."""
    return not text.startswith((".", "-")) and not _PATTERN & set(text)


def _by_path(path: Path) -> Path | None:
    """Return the metadata file that a path leads to; None if it leads to no request.

    A path that cannot be looked at is left to whoever reads it, who tells why.
    """
    try:
        return _found(path)
    except (OSError, ValueError):
        return path


def _found(path: Path) -> Path | None:
    if path.name == READY and path.is_file():
        return _by_receipt(path)
    if not path.is_dir():
        return path if posixpath.lexists(path) else None
    own = path / METADATA
    if own.is_file() and not own.is_symlink():
        return own
    # The folder of a delivered request has a link to the file; the way that Conveyor wrote goes before it.
    return _by_receipt(path / READY) or _by_peer(path / META_DIR / PEER) or (own if own.is_file() else None)


def _by_receipt(receipt: Path) -> Path | None:
    with suppress(OSError, ValueError):
        return Path(load(Ready, read_named(receipt, limit=_LIMIT))["spool"]) / METADATA
    return None


def _by_peer(peer: Path) -> Path | None:
    """Return the metadata file of the request that a QA folder is of, by its ``peer``: a file of one line, or a link."""
    with suppress(OSError, ValueError):
        text = str(peer.readlink()) if peer.is_symlink() else _line_of(peer)
        found = Path(posixpath.normpath(posixpath.join(posixpath.realpath(peer.parent), text))) / METADATA
        return found if found.is_file() else None
    return None


def _line_of(file: Path) -> str:
    return read_named(file, limit=_PEER_LIMIT).decode("utf-8", "surrogateescape").removesuffix("\n")


def _unknown_error(named: str, spool: Path) -> MetadataMissingError:
    names: list[str] = []
    with suppress(OSError):
        names = sorted(entry.name for entry in spool.iterdir() if not entry.name.startswith("."))
    begun = [name for name in names if name.startswith(named)]
    near = begun or [one for one in [nearest(named, names)] if one]
    shown = ", ".join(near[:5]) + (f", and {len(near) - 5} more" if len(near) > 5 else "")
    hint = (
        f"did you mean {shown}?" if near else "'conveyor status' shows the requests; a metadata.json may lie anywhere"
    )
    return MetadataMissingError(f"there is no request {named!r} in {spool}, and no file of that name here", hint=hint)
