"""What came of a command for each request: said, and turned into the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conveyor.engine.outcome import Outcome


def print_outcomes(
    command: str,
    outcomes: Sequence[Outcome],
    lines: Callable[[Outcome], tuple[list[str], list[str]]],
    *,
    as_json: bool,
) -> int:
    """Print the document, or the ``lines`` of each outcome for stdout, and those for stderr; the exit status."""
    from conveyor.api.requests import requests_document
    from conveyor.engine.outcome import exit_code

    if as_json:
        console.print_json(requests_document(command, outcomes))
    for outcome in outcomes:
        result, errors = lines(outcome)
        if not as_json:
            console.echo("\n".join(result))
        if errors:
            console.echo_error("\n".join(errors))
    return exit_code(list(outcomes))
