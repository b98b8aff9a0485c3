"""Obstacles to a move by a copy: what could not be removed where it was, so that it is known before anything is copied."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.filesystem import syscalls
from conveyor.filesystem.posix import Hindrance, flag_of

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.filesystem.treecopy.messages import Obstacle

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Obstacles:
    """The number of obstacles in a tree, and the first few of them; paths are from the tree's root, "" for that."""

    number: int = 0
    examples: tuple[Obstacle, ...] = ()
    root: Obstacle | None = None

    def __add__(self, other: Obstacle) -> Obstacles:
        examples = self.examples if len(self.examples) == _EXAMPLES else (*self.examples, other)
        return Obstacles(self.number + 1, examples, self.root if other.path else other)

    def describe(self, tree: Path) -> str:
        """Return the first obstacles in words, and the number of the others."""
        first = ", ".join(f"{tree / one.path} ({one.hindrance})" for one in self.examples)
        return first if self.number <= len(self.examples) else f"{first} and {self.number - len(self.examples)} more"

    @property
    def remedies(self) -> str:
        """What removes the obstacles, for people."""
        return "; ".join(dict.fromkeys(Hindrance(one.hindrance).remedy for one in self.examples))


class RemovalCheck:
    """Tells of each entry whether this account could remove it; ``root`` is the tree's root, open.

    A mode says little on a server that takes root for nobody: what the kernel answers to access(2) counts.
    """

    def __init__(self, root: int) -> None:
        known = syscalls.inode_flags(root)[1]
        self._has_flags = bool(known & (syscalls.IMMUTABLE | syscalls.APPEND_ONLY))
        self._account = os.geteuid()
        self._acts_as_any_owner = syscalls.may_act_as_any_owner()

    def flags(self, directory: int) -> Hindrance | None:
        """The flag that keeps an open directory from being removed."""
        return flag_of(directory) if self._has_flags else None

    def directory(self, directory: int, status: os.stat_result, *, empty: bool) -> Hindrance | None:
        """The obstacle to emptying and removing an open directory."""
        if (flag := self.flags(directory)) is not None:
            return flag
        # One that is its own, the account opens before it empties it.
        ours = status.st_uid == self._account
        if empty or ours or os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
            return None
        return Hindrance.OWNER

    def is_sticky(self, status: os.stat_result) -> bool:
        """Tell if this account may remove only its own from a directory."""
        return bool(status.st_mode & stat.S_ISVTX) and not self._acts_as_any_owner and status.st_uid != self._account
