"""What processes tell of their copies on pages that they share with the one that forked them."""

from __future__ import annotations

import os

from conveyor.api.board import Board
from conveyor.documents import Progress

ONE = Progress("rawdata", "copy", 1, 2, None, None, None, None, "now")


def test_what_another_process_tells_is_passed_on() -> None:
    """A forked process writes, this one reads, until it is over; another slot is not concerned."""
    told: list[tuple[str, Progress | None]] = []
    board = Board(2)
    for progress in (ONE, None):
        child = os.fork()
        if child == 0:
            board.on_progress(1)("request", progress)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        board.pass_on(lambda request, progress: told.append((request, progress)))
    assert told == [("request", ONE), ("request", None)]


def test_of_a_process_that_died_everything_is_over_at_the_end() -> None:
    """What nobody took back is over when the board is closed, and once only."""
    told: list[tuple[str, Progress | None]] = []
    board = Board(1)
    board.on_progress(0)("request", ONE)
    board.pass_on(lambda *one: told.append(one))
    board.close(lambda *one: told.append(one))
    assert told == [("request", ONE), ("request", None)]


def test_what_is_too_long_is_not_told() -> None:
    """A slot is never overrun: what does not fit leaves what stood there."""
    told: list[tuple[str, Progress | None]] = []
    board = Board(2)
    board.on_progress(1)("second", ONE)
    board.on_progress(0)("x" * 3000, ONE)
    board.pass_on(lambda *one: told.append(one))
    assert told == [("second", ONE)]
