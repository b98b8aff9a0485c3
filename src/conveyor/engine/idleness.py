"""Refuse to copy a directory that a process writes to, and see to it again before the source of the copy goes."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from conveyor.errors import InUseError
from conveyor.filesystem.mounts import mount_of, renames_only_what_is_closed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from conveyor.filesystem.treecopy.copy_options import PathAt

_NAMED = 5


def make_sure_of_idleness(tree: PathAt, tables: Collection[str] | None = None) -> None:
    """Raise :class:`~conveyor.errors.InUseError` if a process of this host writes to a tree, or any holds a table in it.

    ``tables`` are those in the tree, by their paths from there, if they are known. Raises :class:`OSError` if the tree
    cannot be read.
    """
    if found := users(tree, tables):
        raise in_use_error(tree.path, found)


def make_sure_of_no_visitors(tree: PathAt) -> None:
    """Raise :class:`~conveyor.errors.InUseError` if a process of this host stands in a tree, or has anything in it open."""
    from conveyor.filesystem.in_use import visitors

    if found := visitors(tree):
        raise in_use_error(tree.path, tuple(map(str, found)))


@contextlib.contextmanager
def in_use_if_refused(tree: PathAt) -> Iterator[None]:
    """Turn the refusal to rename a tree into InUseError if something in it is open: SMB refuses it for that.

    Its client keeps a file open for a second more, so that nobody may be found who has.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EBUSY):
            make_sure_of_no_visitors(tree)
            if renames_only_what_is_closed(mount_of(tree.path)):
                raise InUseError(f"nothing here is renamed while something in it is open: {tree.path}") from None
        raise


def users(tree: PathAt, tables: Collection[str] | None = None) -> tuple[str, ...]:
    """The uses of a tree, in words; none that nobody on this host can be asked for. ``tables`` are those in it, if known."""
    from conveyor.filesystem.in_use import uses

    return tuple(str(use) for use in uses(tree, tables))


def in_use_error(path: Path, found: tuple[str, ...], more_to_say: str = "") -> InUseError:
    """The refusal to copy what is in use."""
    return InUseError(f"somebody works in {path}: {first_of(found)}{more_to_say}")


def first_of(found: Sequence[str]) -> str:
    """The first few of what was found, in a sentence, and how many more there are."""
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
