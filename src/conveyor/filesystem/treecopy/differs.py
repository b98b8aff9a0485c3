"""What is found wrong with one entry, before its path is known."""

from __future__ import annotations


class ChangedError(Exception):
    """The source changed while it was read: it is looked at again."""


class DiffersError(Exception):
    """The copy is not what was written, or not what the source is."""
