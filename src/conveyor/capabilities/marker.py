"""The marker of a QA area: the document in a request's QA folder that says, written last, that a delivery is complete.

An area may have a marker of its own, for tools that expect another form or name; most have :data:`READY_DOCUMENT`.
"""

from __future__ import annotations

import functools
from dataclasses import field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from conveyor._version import __version__
from conveyor.capabilities.package_code import package_code
from conveyor.documents.codec import dump, load
from conveyor.documents.kept_documents import Ready, ReadyHead
from conveyor.layout import READY
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@frozen
class Delivery:
    """The facts of a delivery, for a marker. ``time`` is UTC (RFC 3339); ``weblog`` None if this delivery cached none.

    ``weblog_page`` is the page of it to open first; None if it has no ``index.html``. ``ways`` says how each directory came,
    as far as that is known: ``exchange``, ``renames``, ``retag``, ``clone`` or ``copy``. ``size`` is in bytes,
    None if not all of them were counted: what is renamed is not.
    """

    request: str
    project_code: str | None
    capability: str
    spool: Path
    directories: tuple[str, ...]
    weblog: Path | None
    time: str
    weblog_page: Path | None = None
    ways: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None


@runtime_checkable
class Marker(Protocol):
    """One kind of marker. ``name`` is the file's name in the QA folder."""

    @property
    def name(self) -> str: ...

    def write(self, delivery: Delivery) -> bytes:
        """Return the content of the marker of a delivery."""

    def is_ours(self, content: bytes, request: str) -> bool:
        """Tell whether content that was read is a marker of this request; must not raise."""


def content_of(marker: Marker, delivery: Delivery) -> bytes:
    """Return what a marker writes of a delivery. Raises :class:`~conveyor.errors.CapabilityBrokenError`."""
    with package_code(f"the marker {marker.name!r}"):
        content = marker.write(delivery)
        if not isinstance(content, bytes):
            raise TypeError(f"its write returned a {type(content).__name__}, not bytes")
        return content


def is_marker_of(marker: Marker, content: bytes, request: str) -> bool:
    """Ask a marker whether content is one of this request. Raises :class:`~conveyor.errors.CapabilityBrokenError`."""
    with package_code(f"the marker {marker.name!r}"):
        return marker.is_ours(content, request)


@frozen
class ReadyDocument:
    """``READY``, a JSON document (``conveyor-ready/1``)."""

    name: str = READY

    def write(self, delivery: Delivery) -> bytes:
        """Return the document; see ``docs/reference/files.md`` for its keys."""
        receipt = Ready(
            schema="conveyor-ready/1",
            request=delivery.request,
            project_code=delivery.project_code,
            capability=delivery.capability,
            delivered=delivery.time,
            spool=str(delivery.spool),
            directories=list(delivery.directories),
            weblog=str(delivery.weblog) if delivery.weblog else None,
            weblog_page=str(delivery.weblog_page) if delivery.weblog_page else None,
            ways=dict(delivery.ways),
            version=__version__,
        )
        if delivery.size is not None:
            receipt["bytes"] = delivery.size
        return dump(receipt)

    def is_ours(self, content: bytes, request: str) -> bool:
        """Tell a receipt of this request from somebody's file of that name."""
        return _request_of(content) == request


#: Bytes of a marker that are read.
MARKER_LIMIT = 1024 * 1024
READY_DOCUMENT = ReadyDocument()


@functools.lru_cache(maxsize=16)
def _request_of(content: bytes) -> str | None:
    """Return the request that a receipt is of; None if it is none. A look asks several times in a row."""
    receipt = read_receipt(content)
    if receipt is not None:
        return receipt["request"]
    try:
        return load(ReadyHead, content)["request"]
    except ValueError:
        return None


@functools.lru_cache(maxsize=16)
def read_receipt(content: bytes) -> Ready | None:
    """Return the receipt that a ``READY`` is; None if it is none."""
    try:
        return load(Ready, content)
    except ValueError:
        return None
