"""The address of a request's weblog, for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from conveyor.errors import WeblogMissingError

if TYPE_CHECKING:
    from conveyor.engine.outcome import Outcome


def weblog_address(outcome: Outcome, board: str | None = None) -> str:
    """Return the address of the first page of a weblog: a file's, or the one that a ``board`` at an address leads to.

    Raises the outcome's error, and :class:`~conveyor.errors.WeblogMissingError` if there is no such page.
    """
    if outcome.error is not None:
        raise outcome.error
    if outcome.weblog_page is None:
        raise WeblogMissingError(f"{outcome.request} has no weblog page in the cache")
    if board is None:
        return Path(outcome.weblog_page).as_uri()
    name = quote(outcome.request or "", safe="", errors="surrogateescape")
    return f"{board.rstrip('/')}/request/{name}/weblog"
