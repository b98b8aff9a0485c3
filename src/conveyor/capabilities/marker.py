"""The marker of a QA area: the document in a request's QA folder that says, written last, that a delivery is complete.

An area may have a marker of its own, for tools that expect another form or name; most have :data:`READY_DOCUMENT`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from conveyor._version import __version__
from conveyor.layout import READY

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "conveyor-ready/1"


@dataclass(frozen=True)
class Delivery:
    """The facts of a delivery, for a marker. ``time`` is UTC (RFC 3339); ``weblog`` None if this delivery cached none."""

    request: str
    project_code: str | None
    capability: str
    spool: Path
    directories: tuple[str, ...]
    weblog: Path | None
    time: str


class Marker(Protocol):
    """One kind of marker. ``name`` is the file's name in the QA folder."""

    @property
    def name(self) -> str: ...

    def write(self, delivery: Delivery) -> bytes:
        """Return the content of the marker of a delivery."""

    def is_ours(self, content: bytes, request: str) -> bool:
        """Tell whether content that was read is a marker of this request; must not raise."""


@dataclass(frozen=True)
class ReadyDocument:
    """``READY``, a JSON document (``conveyor-ready/1``)."""

    name: str = READY

    def write(self, delivery: Delivery) -> bytes:
        """Return the document; see ``docs/reference/files.md`` for its keys."""
        document = {
            "schema": SCHEMA,
            "request": delivery.request,
            "project_code": delivery.project_code,
            "capability": delivery.capability,
            "delivered": delivery.time,
            "spool": str(delivery.spool),
            "directories": list(delivery.directories),
            "weblog": str(delivery.weblog) if delivery.weblog else None,
            "version": __version__,
        }
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")

    def is_ours(self, content: bytes, request: str) -> bool:
        """Tell a receipt of this request from somebody's file of that name."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            return False
        return isinstance(document, dict) and (document.get("schema"), document.get("request")) == (SCHEMA, request)


READY_DOCUMENT = ReadyDocument()
