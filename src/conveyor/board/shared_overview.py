"""One overview that all readers share, made anew in a process of its own, and never by two at once."""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from conveyor.errors import ConveyorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.api.overview import Overview
    from conveyor.board.board_view import BoardView
    from conveyor.settings.sources import Config

#: Seconds between two looks at the workspace, at least.
EVERY = 5.0


class Looker(Protocol):
    """Makes an overview, somewhere where it holds up nobody."""

    async def __call__(self) -> BoardView:
        """Look at the workspace. Raises :class:`~conveyor.errors.ConveyorError` and :class:`OSError`."""


class ProcessLooker:
    """Looks in a process of its own: a file server that hangs, or ten thousand requests, hold up no page.

    The process is started anew, not forked, since this one has threads; one that died is replaced at the next look.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pool = self._new_pool()

    @staticmethod
    def _new_pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    async def __call__(self) -> BoardView:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, look, self._config)
        except BrokenExecutor:
            self._pool.shutdown(wait=False)
            self._pool = self._new_pool()
            raise

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def look(config: Config) -> BoardView:
    """Look at the workspace, and sort what is seen into the lists of the board."""
    from conveyor.api.overview import overview
    from conveyor.board.board_view import board_view

    made: Overview = overview(config)
    return board_view(made)


class SharedOverview:
    """The newest view of the workspace, which is at most a few seconds old while somebody asks for it.

    ``trouble`` says why a newer one could not be made; None while all is well.
    """

    def __init__(self, looker: Looker, every: float = EVERY, clock: Callable[[], float] = monotonic) -> None:
        self._looker = looker
        self._every = every
        self._clock = clock
        self._view: BoardView | None = None
        self._next = float("-inf")
        self._task: asyncio.Task[BoardView] | None = None
        self.trouble: str | None = None

    async def view(self) -> BoardView:
        """The newest view; only the first reader of all waits for one.

        Raises :class:`~conveyor.errors.ConveyorError` if there never was one.
        """
        if self._task is None and self._clock() >= self._next:
            self._task = asyncio.create_task(self._look())
            self._task.add_done_callback(self._settled)
        if self._view is not None:
            return self._view
        if self._task is None:
            raise ConveyorError(self.trouble or "the workspace was not looked at yet")
        return await asyncio.shield(self._task)

    async def _look(self) -> BoardView:
        begun = self._clock()
        try:
            view = await self._looker()
        except Exception as failure:
            error = ConveyorError.from_exception(failure)
            self.trouble = error.message
            raise error from failure
        else:
            self._view, self.trouble = view, None
            return view
        finally:
            # A look that takes long is not made so often that it is all that the host does.
            self._next = self._clock() + max(self._every, self._clock() - begun)
            self._task = None

    @staticmethod
    def _settled(task: asyncio.Task[BoardView]) -> None:
        if not task.cancelled():
            task.exception()  # it is told on the pages
