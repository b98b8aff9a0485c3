"""An error of the operating system becomes the one that a person and a scheduler can act on."""

from __future__ import annotations

import errno
import os

import pytest

from conveyor.errors import (
    ConflictError,
    ConveyorError,
    IoFailedError,
    NameTooLongError,
    NotPermittedError,
    ReadOnlyError,
    ServerGoneError,
    UncopyableError,
)


@pytest.mark.parametrize(
    ("number", "kind", "retryable"),
    [
        (errno.ENOSPC, IoFailedError, True),
        (errno.EIO, IoFailedError, True),
        (errno.EROFS, ReadOnlyError, True),
        (errno.ESTALE, ServerGoneError, True),
        (errno.ENOTCONN, ServerGoneError, True),
        (errno.EMLINK, UncopyableError, False),
        (errno.EFBIG, UncopyableError, False),
        (errno.E2BIG, UncopyableError, False),
        (errno.EACCES, NotPermittedError, False),
        (errno.EPERM, NotPermittedError, False),
        (errno.EEXIST, ConflictError, False),
        (errno.ELOOP, ConflictError, False),
        (errno.ENAMETOOLONG, NameTooLongError, False),
    ],
)
def test_what_no_later_try_mends_is_not_retryable(number: int, kind: type[ConveyorError], retryable: bool) -> None:
    """The class, and with it the exit status and whether a later try may help, follows from the error's number."""
    error = ConveyorError.from_os_error(OSError(number, os.strerror(number), "/qa2/one", None, "/qa2/two"))
    assert type(error) is kind
    assert error.retryable is retryable
    assert "/qa2/one -> /qa2/two" in error.message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_is_told_with_what_shows_it(number: int) -> None:
    """Who is out of room is told to look at the room, and at no server."""
    hint = ConveyorError.from_os_error(OSError(number, os.strerror(number), "/qa2/one")).hint
    assert "lfs quota" in hint
    assert "server" not in hint
