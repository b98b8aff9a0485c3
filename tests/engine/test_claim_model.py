"""The claim, model-checked: the real code, through every order of the calls of several processes, and every death.

A process is its code and what it has seen: run from its beginning with the answers that it was given so far, the code
comes to the one call that it makes next. So a state is the folder's content and each process's answers, and all states
that can be reached are visited, each once.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from conveyor.engine.claim import Claim, Holder
from conveyor.engine.endpoints import Endpoint, Location
from conveyor.engine.host import Host, Process
from conveyor.errors import LockedError
from conveyor.filesystem.posix import DirFd, Entry, FileSystem, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

Call = tuple[Any, ...]
ELSEWHERE = "another host"
REQUEST = -1  # the descriptor of the request's folder; those of its ``.conveyor``, made anew, count from 0


def process(number: int, host: str) -> Process:
    return Process(host, "machine", "boot", "namespace", number, "start")


class Pending(BaseException):
    """The process has come to a call that has not been answered yet."""


class Answers:
    """The file system, the host and the critical section, as one process sees them: a list of answers."""

    def __init__(self, number: int, host: str, answers: tuple[Any, ...]) -> None:
        self._me = process(number, host)
        self._answers = iter(answers)
        self.next: Call | None = None

    def ask(self, *call: Any) -> Any:
        """The answer to a call; OSError where the answer is an error number."""
        answer = Pending if self.next else next(self._answers, Pending)
        if answer is Pending:
            self.next = self.next or call
            raise Pending
        if isinstance(answer, int) and not isinstance(answer, bool):
            raise OSError(answer, os.strerror(answer))
        return answer

    # the host

    def this_process(self) -> Process:
        return self._me

    def token(self) -> str:
        return "token"

    def is_dead(self, process: Process) -> bool:
        return process.host == self._me.host and bool(self.ask("is dead", process.pid))

    # the file system

    def lstat(self, folder: DirFd, name: str) -> Entry | None:
        kinds = {"directory": Kind.DIRECTORY, "link": Kind.LINK}
        kind = "directory" if name == "." else self.ask("look", folder.descriptor, name)
        return Entry(kinds[kind], 0, 0, 0, 0, 0, 0) if kind else None

    def kind(self, folder: DirFd, name: str) -> Kind | None:
        entry = self.lstat(folder, name)
        return entry.kind if entry else None

    def open_directory(self, _parent: DirFd, name: str) -> DirFd:
        [number] = self.ask("open", name)
        return DirFd(Path(name), number, lambda _: None)

    def mkdir(self, _folder: DirFd, name: str) -> None:
        self.ask("make folder", name)

    def rmdir(self, _folder: DirFd, name: str) -> None:
        self.ask("remove folder", name)

    def listdir(self, folder: DirFd) -> list[str]:
        return list(self.ask("names", folder.descriptor))

    def symlink(self, folder: DirFd, name: str, text: str) -> None:
        self.ask("link", folder.descriptor, name, text)

    def readlink(self, folder: DirFd, name: str) -> str:
        return str(self.ask("read", folder.descriptor, name))

    def rename(self, source: DirFd, name: str, _target: DirFd, new_name: str) -> None:
        self.ask("rename", source.descriptor, name, new_name)

    def unlink(self, folder: DirFd, name: str) -> None:
        self.ask("remove", folder.descriptor, name)

    def set_directory_time(self, *_: Any) -> None:
        """Nobody looks at times here."""


@dataclass(frozen=True)
class Contender:
    """One process: ``answers`` is all that it has seen; ``dead`` is True once it was killed.

    ``gives_up`` is the process of another host that this one, an operator's, takes for dead; it comes when that is so.
    """

    number: int
    host: str = "host"
    gives_up: int | None = None
    answers: tuple[Any, ...] = ()
    dead: bool = False
    inside: bool = False


@dataclass(frozen=True)
class State:
    """A moment: the folders by number, which of them is there, and the processes."""

    contenders: tuple[Contender, ...]
    folders: tuple[tuple[tuple[str, str], ...], ...] = ()
    present: bool = False
    deaths: int = 0


class Model:
    """All states that can be reached from one; ``held`` counts how often somebody came to hold the claim."""

    def __init__(self, deaths: int) -> None:
        self._deaths = deaths
        self._calls: dict[tuple[int, tuple[Any, ...]], Call | None] = {}
        self.states = self.held = self.taken_over = 0

    def explore(self, start: State) -> None:
        seen, waiting = {start}, [start]
        while waiting:
            state = waiting.pop()
            self.states += 1
            following = list(self._following(state))
            for other in following:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
            if not following:
                self._check_the_end(state)

    def _following(self, state: State) -> Iterator[State]:
        for index, one in enumerate(state.contenders):
            if one.dead or not _may_come(state, one) or (call := self._call(one)) is None:
                continue
            yield self._step(state, index, call)
            if state.deaths < self._deaths and one.answers:
                killed = replace(one, dead=True, inside=False)
                yield replace(_with(state, index, killed), deaths=state.deaths + 1)

    def _call(self, one: Contender) -> Call | None:
        key = one.number, one.answers
        if key not in self._calls:
            answers = Answers(one.number, one.host, one.answers)
            folder = DirFd(Path("request"), REQUEST, lambda _: None)
            end = Endpoint(Location.SPOOL, folder.path, cast("FileSystem", answers), folder)
            try:
                end.open_meta()
                given_up = Holder(process(one.gives_up, ELSEWHERE), "now", "token").text if one.gives_up else None
                with Claim(end, cast("Host", answers), disregard=given_up) as claim:
                    answers.ask("enter")
                    claim.used = one.number % 2 == 0
                    answers.ask("leave")
            except (Pending, LockedError):
                pass
            self._calls[key] = answers.next
        return self._calls[key]

    def _step(self, state: State, index: int, call: Call) -> State:
        one = state.contenders[index]
        inside = one.inside
        match call:
            case ("enter",):
                assert not any(other.inside for other in state.contenders), "two hold it"
                self.held += 1
                self.taken_over += state.deaths > 0
                inside, answer = True, None
            case ("leave",):
                inside, answer = False, None
            case ("is dead", number):
                other = next(other for other in state.contenders if other.number == number)
                answer = other.dead or self._call(other) is None
            case _:
                state, answer = _perform(state, call)
        moved = replace(one, answers=(*one.answers, answer), inside=inside)
        return _with(state, index, moved)

    def _check_the_end(self, state: State) -> None:
        """Where all have ended, the next one gets the claim, whatever the dead of its host have left."""
        claims = [text for _, text in state.folders[-1]] if state.present else []
        assert len(claims) <= state.deaths, "a claim was left by one that lived"
        if any(Holder.parse(text).process.host == ELSEWHERE for text in claims):
            return
        alone = replace(state, contenders=(*state.contenders, Contender(0)))
        held = self.held
        while (call := self._call(alone.contenders[-1])) is not None:
            alone = self._step(alone, len(alone.contenders) - 1, call)
        assert self.held == held + 1, "nobody can claim it any more"


def _may_come(state: State, one: Contender) -> bool:
    return one.gives_up is None or any(other.dead for other in state.contenders if other.number == one.gives_up)


def _with(state: State, index: int, one: Contender) -> State:
    contenders = list(state.contenders)
    contenders[index] = one
    return replace(state, contenders=tuple(contenders))


def _perform(state: State, call: Call) -> tuple[State, Any]:
    """One call of the file system: the state after it, and its answer, which is a number where it is an error."""
    what, *rest = call
    if what in ("make folder", "open", "remove folder") or rest[0] == REQUEST:
        return _perform_above(state, what)
    number, *names = rest
    folder = dict(state.folders[number])
    gone = not (state.present and number == len(state.folders) - 1)
    answer: Any = None
    match what, names:
        case "look", [name]:
            answer = "link" if name in folder else ""
        case "names", []:
            answer = tuple(folder)
        case "link", [name, text]:
            answer = errno.ENOENT if gone else errno.EEXIST if name in folder else None
            folder = folder if answer else folder | {name: text}
        case "read", [name]:
            answer = folder.get(name, errno.ENOENT)
        case "remove", [name]:
            answer = None if folder.pop(name, None) else errno.ENOENT
        case "rename", [name, new_name]:
            answer = None if name in folder else errno.ENOENT
            if answer is None:
                folder[new_name] = folder.pop(name)
    folders = list(state.folders)
    folders[number] = tuple(sorted(folder.items()))
    return replace(state, folders=tuple(folders)), answer


def _perform_above(state: State, what: str) -> tuple[State, Any]:
    match what:
        case "look":
            return state, "directory" if state.present else ""
        case "open":
            return state, (len(state.folders) - 1,) if state.present else errno.ENOENT
        case "make folder" if state.present:
            return state, errno.EEXIST
        case "make folder":
            return replace(state, folders=(*state.folders, ()), present=True), None
        case "remove folder" if not state.present:
            return state, errno.ENOENT
        case "remove folder" if state.folders[-1]:
            return state, errno.ENOTEMPTY
    return replace(state, present=False), None


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim's text says when it was made; here all is of one moment, so that equal states are equal."""
    monkeypatch.setattr("conveyor.engine.claim.now", lambda: "now")


CONTENDERS = {
    "two": ((Contender(1), Contender(2)), 2),
    "two hosts": ((Contender(1), Contender(2, ELSEWHERE)), 2),
    "three": ((Contender(1), Contender(2), Contender(3)), 1),
    "given up": ((Contender(1, ELSEWHERE), Contender(2), Contender(3, gives_up=1)), 2),
}


@pytest.mark.parametrize("case", CONTENDERS)
def test_never_two_hold_it_and_the_next_one_always_can(case: str) -> None:
    """In no order of the calls, whoever dies, do two hold the claim; after all have ended the next one gets it."""
    contenders, deaths = CONTENDERS[case]
    model = Model(deaths)
    model.explore(State(contenders, folders=((),), present=True))
    assert model.states > 500
    assert model.taken_over > 10


@pytest.mark.parametrize("deaths", [0, 2])
def test_a_folder_that_comes_and_goes_lets_no_two_hold_it(deaths: int) -> None:
    """The same where the folder of the claim is made, and taken back, by those who contend for it."""
    model = Model(deaths)
    model.explore(State(tuple(Contender(number) for number in range(1, 4 - bool(deaths)))))
    assert model.states > 1000


def test_the_model_sees_what_the_second_look_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the second look at the dead ones two come to hold the claim, and the model says so."""
    monkeypatch.setattr(Claim, "_stand", lambda *_: True)
    with pytest.raises(AssertionError, match="two hold it"):
        Model(deaths=1).explore(State(CONTENDERS["three"][0], folders=((),), present=True))
