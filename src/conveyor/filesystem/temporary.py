"""A scratch directory that goes when it is no longer needed, or one that stays where the user wants it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.filesystem.error_context import error_context

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def scratch_directory(keep: Path | None) -> Iterator[Path]:
    """A new directory: ``keep``, which is made, stays, and must not be there yet; or a temporary one, which goes.

    Raises :class:`OSError`; FileExistsError if ``keep`` is there and not empty.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="conveyor-demo-") as directory:
            yield Path(directory).resolve()
        return
    with error_context("mkdir", keep):
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise FileExistsError(17, "the folder is there already, and not empty")
    yield keep.resolve()
