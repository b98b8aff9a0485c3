"""What came of a command for each request: said, and turned into the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.cli import streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conveyor.engine.outcome import Outcome


def tell(
    command: str,
    outcomes: Sequence[Outcome],
    lines: Callable[[Outcome], tuple[list[str], list[str]]],
    *,
    as_json: bool,
) -> int:
    """Print the document, or the ``lines`` of each outcome for stdout, and those for stderr; the exit status."""
    from conveyor.commands.document import requests_document
    from conveyor.engine.outcome import exit_code

    if as_json:
        streams.print_json(requests_document(command, outcomes))
    for outcome in outcomes:
        result, errors = lines(outcome)
        if not as_json:
            streams.say("\n".join(result))
        if errors:
            streams.complain("\n".join(errors))
    return exit_code(list(outcomes))
