"""Code that a package brings: what goes wrong in it is the package's own, and what it prints is no result."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from conveyor.errors import CapabilityBrokenError, ConveyorError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def package_code(what: str) -> Iterator[None]:
    """Turn what a package's code raises into a :class:`~conveyor.errors.CapabilityBrokenError`, unless it is foreseen.

    ``what`` names the code in the message. :class:`~conveyor.errors.ConveyorError` and :class:`OSError` stay as they are.
    What ``sys.exit`` raises is turned too: nothing was conveyed, whatever its status says. What is printed goes to stderr.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (ConveyorError, OSError):
        raise
    except (Exception, SystemExit) as error:
        raise CapabilityBrokenError(f"{what} failed: {type(error).__name__}: {error}") from error
