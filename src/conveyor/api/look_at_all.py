"""Many looks by as many processes as keep this host's processors busy; on a file server that is slow to answer, by more."""

from __future__ import annotations

import resource
import selectors
import time
from typing import TYPE_CHECKING, NamedTuple

from conveyor.filesystem.forking import Channel, end, start
from conveyor.filesystem.processors import processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conveyor.api.request_look import RequestLook, Seen, Subject

#: The looks that are made first, in this process: their time tells what the rest would take.
_FIRST = 24
_CHUNK = 48
#: What takes less is not worth a process. Seconds.
_WORTH = 0.05
_MOST = 16


def look_at_all(
    make_look: Callable[[], RequestLook],
    subjects: Sequence[Subject],
    on_seen: Callable[[int], None] = lambda _: None,
) -> Iterator[Seen]:
    """Look at each subject; what was seen comes in any order. ``on_seen`` is told how many have been looked at.

    A process that is killed loses nothing: this one looks at what it had to look at.
    """
    first, rest = subjects[:_FIRST], subjects[_FIRST:]
    look, start = make_look(), _Moment.now()
    try:
        for subject in first:
            yield look.at(subject)
        workers = _workers(start, _Moment.now(), len(rest))
        on_seen(len(first))
        if workers < 2:
            for number, subject in enumerate(rest, 1):
                yield look.at(subject)
                if number % _CHUNK == 0:
                    on_seen(len(first) + number)
            return
        done = len(first)
        chunks = [rest[at : at + _CHUNK] for at in range(0, len(rest), _CHUNK)]
        missed = set(range(len(chunks)))
        for number, seen in _by_processes(make_look, chunks, workers):
            missed.discard(number)
            yield from seen
            done += len(seen)
            on_seen(done)
        for number in sorted(missed):
            yield from map(look.at, chunks[number])
    finally:
        look.close()


class _Moment(NamedTuple):
    """A moment of this process, in seconds of the ``clock`` and of the processor, and how often it has ``waited``."""

    clock: float
    processor: float
    waited: int

    @classmethod
    def now(cls) -> _Moment:
        waited = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        return cls(time.perf_counter(), time.process_time(), waited)


def _workers(start: _Moment, end: _Moment, rest: int) -> int:
    """The processes that are worth it: as many as there are processors, more if they would mostly wait for answers.

    Who only waits for a processor, since others work too, gets it no sooner with more processes.
    """
    wall, busy = end.clock - start.clock, end.processor - start.processor
    if wall / _FIRST * rest < _WORTH:
        return 1
    waiting = wall / max(busy, 1e-6) if end.waited - start.waited >= _FIRST else 1.0
    return min(_MOST, max(processors(), round(processors() * waiting)), -(-rest // _CHUNK))


def _by_processes(
    make_look: Callable[[], RequestLook], chunks: Sequence[Sequence[Subject]], workers: int
) -> Iterator[tuple[int, list[Seen]]]:
    """Have processes look at the chunks, each at the next one; what came of each, by its number."""

    def work(channel: Channel) -> None:
        look = make_look()
        while True:
            number = channel.receive()
            channel.send((number, [look.at(subject) for subject in chunks[number]]))

    waiting = iter(range(len(chunks)))
    running: dict[int, Channel] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for _ in range(workers):
                pid, channel = start(work, running.values())
                running[pid] = channel
                selector.register(channel.inlet, selectors.EVENT_READ, pid)
                _send_next(channel, waiting)
            yield from _collected(selector, running, waiting)
        finally:
            for pid in list(running):
                _end(selector, running, pid)


def _collected(
    selector: selectors.BaseSelector, running: dict[int, Channel], waiting: Iterator[int]
) -> Iterator[tuple[int, list[Seen]]]:
    """Yield what the processes have seen until no chunk is left; one that ended is not waited for."""
    while running:
        for key, _ in selector.select():
            channel = running[key.data]
            answers = channel.read()
            yield from answers
            has_more = [_send_next(channel, waiting) for _ in answers]
            if channel.ended or not all(has_more):
                _end(selector, running, key.data)


def _send_next(channel: Channel, waiting: Iterator[int]) -> bool:
    """Have a process look at the next chunk; False if none is left."""
    number = next(waiting, None)
    if number is not None:
        channel.send(number)
    return number is not None


def _end(selector: selectors.BaseSelector, running: dict[int, Channel], pid: int) -> None:
    channel = running.pop(pid)
    selector.unregister(channel.inlet)
    channel.close()
    end(pid)
