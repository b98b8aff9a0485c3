"""Add to errors of the operating system what they lack: the operation, and the whole path."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAMED = "named"


class ExchangeRefusedError(OSError):
    """This file system (Lustre, NFS, an old kernel) cannot let two names trade places in one step."""


class CrossDeviceError(OSError):
    """A rename between these two directories is refused: what has to move has to be copied."""


@contextlib.contextmanager
def error_context(operation: str, path: Path, other: Path | None = None) -> Iterator[None]:
    """Put the operation and the whole path into an OSError: the kernel knows only a descriptor and a name."""
    try:
        yield
    except OSError as error:
        named = path_error(error, operation, path, other)
        if named is error:
            raise
        raise named from error


def path_error(error: OSError, operation: str, path: Path, other: Path | None = None) -> OSError:
    """The error with the operation and the whole path in it; the error itself if it has them already.

    It is returned, not raised: for calls so frequent that the path is not worth making before it is needed.
    """
    if _NAMED in getattr(error, "__notes__", ()):
        return error
    kind = type(error) if isinstance(error, CrossDeviceError | ExchangeRefusedError) else OSError
    second = str(other) if other is not None else None
    text = f"{operation}: {error.strerror or os.strerror(error.errno or 0)}"
    named = kind(error.errno, text, str(path), None, second)
    named.add_note(_NAMED)
    return named
