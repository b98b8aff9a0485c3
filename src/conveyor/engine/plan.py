"""A plan: what a conveyance will do, as frozen steps."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from conveyor.values import frozen

if TYPE_CHECKING:
    from conveyor.engine.steps.base import Step


class Operation(StrEnum):
    """The operations that commands ask for."""

    DELIVER = "deliver"
    RETRIEVE = "retrieve"
    QA_FAIL = "qa-fail"


@frozen
class Plan:
    """The steps that remain, in order; none if everything is done already."""

    operation: Operation
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
