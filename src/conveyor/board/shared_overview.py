"""One overview that all readers share, made anew in a process of its own, and never by two at once."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import anyio.to_thread

from conveyor.board.board_words import age_words
from conveyor.errors import ConveyorError, IoFailedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from conveyor.board.board_view import BoardView
    from conveyor.board.delivery_watch import DeliveryWatch
    from conveyor.settings.sources import Config

#: Seconds between two looks at the workspace, at least.
EVERY = 5.0
_LONG = 60.0  # seconds that a look may take before the pages say so


class Looker(Protocol):
    """Makes an overview, somewhere where it holds up nobody."""

    async def __call__(self) -> BoardView:
        """Look at the workspace. Raises :class:`~conveyor.errors.ConveyorError` and :class:`OSError`."""


class ProcessLooker:
    """Looks in a process of its own: a file server that hangs, or ten thousand requests, hold up no page.

    The process is started anew, not forked, since this one has threads. It ends with the pipe to it, and so with this
    one; one that died is replaced at the next look.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    async def __call__(self) -> BoardView:
        return await anyio.to_thread.run_sync(self._ask)

    def _ask(self) -> BoardView:
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send(self._config)
            answer: BoardView | ConveyorError = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise IoFailedError(
                "the process that looks at the workspace died", hint="the next look starts another"
            ) from error
        if isinstance(answer, ConveyorError):
            raise answer
        return answer

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_look_when_asked, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def close(self) -> None:
        """End the process, at once."""
        if self._process is not None:
            self._process.kill()
            self._process.join(1)
            self._process = None


def _look_when_asked(pipe: Connection) -> None:
    """Answer each question with a view, or with the error that there is instead, until nobody asks any more."""
    from conveyor.board.delivery_watch import DeliveryWatch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal, for the server
    watch = DeliveryWatch()
    with suppress(EOFError, OSError):
        while True:
            config = pipe.recv()
            try:
                answer: BoardView | ConveyorError = look(config, watch)
            except Exception as failure:  # noqa: BLE001 - the pages say it, and the next look may succeed
                answer = ConveyorError.from_exception(failure)
            pipe.send(answer)


def look(config: Config, watch: DeliveryWatch | None = None) -> BoardView:
    """Look at the workspace, and sort what is seen into the lists of the board; ``watch`` adds what it knows."""
    from conveyor.api.overview import overview
    from conveyor.board.board_view import board_view

    made = overview(config)
    return board_view(watch.add_to(made) if watch is not None else made)


class SharedOverview:
    """The newest view of the workspace, which is at most a few seconds old while somebody asks for it.

    ``trouble`` says why there is no newer one; None while all is well.
    """

    def __init__(self, looker: Looker, every: float = EVERY, clock: Callable[[], float] = monotonic) -> None:
        self._looker = looker
        self._every = every
        self._clock = clock
        self._view: BoardView | None = None
        self._next = float("-inf")
        self._task: asyncio.Task[BoardView] | None = None
        self._begun = 0.0
        self._failure: str | None = None

    @property
    def trouble(self) -> str | None:
        """The reason why the view is not the newest, in words: the last look failed, or this one takes very long."""
        waited = self._clock() - self._begun
        if self._task is not None and waited > _LONG:
            return f"the workspace has not answered for {age_words(waited)}"
        return self._failure

    async def view(self) -> BoardView:
        """The newest view; only the first reader of all waits for one.

        Raises :class:`~conveyor.errors.ConveyorError` if there never was one.
        """
        if self._task is None and self._clock() >= self._next:
            self._begun = self._clock()
            self._task = asyncio.create_task(self._look())
            self._task.add_done_callback(self._settled)
        if self._view is not None:
            return self._view
        if self._task is None:
            raise ConveyorError(self.trouble or "the workspace was not looked at yet")
        return await asyncio.shield(self._task)

    async def _look(self) -> BoardView:
        try:
            view = await self._looker()
        except Exception as failure:
            error = ConveyorError.from_exception(failure)
            self._failure = error.message
            raise error from failure
        else:
            self._view, self._failure = view, None
            return view
        finally:
            # A look that takes long is not made so often that it is all that the host does.
            self._next = self._clock() + max(self._every, self._clock() - self._begun)
            self._task = None

    @staticmethod
    def _settled(task: asyncio.Task[BoardView]) -> None:
        if not task.cancelled():
            task.exception()  # it is told on the pages
