"""``READY``: the receipt in the QA folder that says, written last, that a delivery is complete."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

SCHEMA = "conveyor-ready/1"
_LIMIT = 1024 * 1024  # bytes


def now() -> str:
    """This moment, in UTC to the millisecond (RFC 3339)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def document(value: dict[str, Any]) -> bytes:
    """A small JSON file that people may read too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")
