"""``READY``: the receipt in the QA folder that says, written last, that a delivery is complete."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from conveyor._version import __version__
from conveyor.filesystem.posix import Kind
from conveyor.layout import READY

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint
    from conveyor.filesystem.posix import FileSystem
    from conveyor.request.places import Places

SCHEMA = "conveyor-ready/1"
_LIMIT = 1024 * 1024  # bytes


def now() -> str:
    """This moment, in UTC to the millisecond (RFC 3339)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def document(value: dict[str, Any]) -> bytes:
    """A small JSON file that people may read too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")


def receipt(
    places: Places, capability: str, project_code: str | None, directories: list[str], weblog: str | None
) -> bytes:
    """The receipt of a delivery."""
    return document(
        {
            "schema": SCHEMA,
            "request": places.request,
            "project_code": project_code,
            "capability": capability,
            "delivered": now(),
            "spool": str(places.spool),
            "directories": directories,
            "weblog": weblog,
            "version": __version__,
        }
    )


def is_receipt_of(fs: FileSystem, qa: Endpoint, places: Places) -> bool:
    """Whether the READY in a QA folder is a receipt for this request, and not somebody's file of that name."""
    if qa.kind(READY) is not Kind.FILE:
        return False
    try:
        content = json.loads(fs.read(qa.root, READY, limit=_LIMIT))
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("schema") == SCHEMA and content.get("request") == places.request
