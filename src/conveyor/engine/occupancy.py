"""The processes that have anything of a request open, at either end. Nothing is changed, and nobody kept waiting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.engine.conveyance import look
from conveyor.engine.idleness import in_use_error
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.treecopy.copy_options import PathAt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.engine.context import Environment, Request
    from conveyor.engine.outcome import Outcome
    from conveyor.filesystem.in_use import Occupant


def look_for_users(
    request: Request, environment: Environment, outcome: Outcome, *, require_nobody: bool = False
) -> Outcome:
    """Look for the processes that have a request's directories open, in spool and in QA.

    The outcome's error is :class:`~conveyor.errors.InUseError` if there are some, and ``require_nobody``. Raises
    :class:`~conveyor.errors.ConveyorError` and :class:`OSError` where the request cannot be read.
    """
    from conveyor.filesystem.in_use import hidden_processes

    outcome = look(request, environment, outcome)
    hidden = hidden_processes()
    unseen = f"processes that show what they have open only to their own account and to root: {hidden}"
    users = tuple(_at_both_ends(request, environment))
    error = outcome.error
    if error is None and users and require_nobody:
        error = in_use_error(request.places.spool, tuple(dict.fromkeys(one.process for one in users)))
    warnings = (*outcome.warnings, unseen) if hidden else outcome.warnings
    return replace(outcome, users=users, warnings=warnings, error=error)


def _at_both_ends(request: Request, environment: Environment) -> Iterator[Occupant]:
    from conveyor.filesystem.in_use import occupants

    places, fs = request.places, environment.fs
    for folder in (places.spool, places.qa):
        try:
            area = fs.open_root(folder.parent)
        except (FileNotFoundError, NotADirectoryError):  # the look has said what that means
            continue
        with area:
            if fs.kind(area, folder.name) is Kind.DIRECTORY:  # and no link that stands there since it went home
                yield from occupants(PathAt(area, folder.name))
