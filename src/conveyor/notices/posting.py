"""Empty the outbox: each notice that is due is taken, sent, and written down; or it waits again, for longer."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from conveyor.notices.ways import NotSentError, send
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.documents.outbox_documents import Notice, WaitingNotice
    from conveyor.notices.outbox import Outbox
    from conveyor.settings.model import Settings
    from conveyor.settings.receivers import Receiver

_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0  # seconds before the second try; doubled before each further one, up to
GIVEN_UP_AFTER = 7 * 24 * 3600.0  # seconds
_MINUTE = 60.0


@frozen
class Attempt:
    """What came of one notice for one receiver: ``later`` if it is tried again. ``attempts`` counts this one."""

    event: str
    request: str
    receiver: str
    key: str
    outcome: Literal["sent", "later", "given up"]
    attempts: int
    problem: str | None = None


@dataclass
class Posting:
    """One pass over the outbox; ``stop`` is asked before each notice."""

    outbox: Outbox
    settings: Settings
    stop: Callable[[], bool] = lambda: False
    _unreachable: set[str] = field(default_factory=set, init=False)
    _tries: Counter[str] = field(default_factory=Counter, init=False)
    _logged: set[tuple[str, str]] = field(default_factory=set, init=False)

    def run(self) -> Iterator[Attempt]:
        """Send what is due, the oldest first, and yield what came of each. Raises :class:`OSError` about the outbox."""
        self.outbox.recover()
        self._read_log()
        due = [entry for name in self.outbox.waiting() if (entry := self.outbox.peek(name)) and self._is_due(entry)]
        for seen in sorted(due, key=lambda entry: entry["written"]):
            if self.stop():
                return
            if self._may_try(seen["receiver"]) and (attempt := self._try(seen)):
                yield attempt

    def _read_log(self) -> None:
        """Learn from the log who was told of how much in the last minute, and what died runs have sent."""
        recent = datetime.fromtimestamp(time.time() - _MINUTE, UTC)
        for line in self.outbox.log():
            self._logged.add((line["key"], line["receiver"]))
            if datetime.fromisoformat(line["time"]) > recent:
                self._tries[line["receiver"]] += 1

    def _is_due(self, entry: WaitingNotice) -> bool:
        return entry["not_before"] <= time.time()

    def _may_try(self, receiver: str) -> bool:
        known = self.settings.receivers.get(receiver)
        return receiver not in self._unreachable and (known is None or self._tries[receiver] < known.max_per_minute)

    def _try(self, seen: WaitingNotice) -> Attempt | None:
        """Take a notice and send it; None if there was nothing to send: another run had it since it was seen."""
        entry = self.outbox.take(f"{seen['notice']['key']}.{seen['receiver']}")
        if entry is None:
            return None
        if (entry["notice"]["key"], entry["receiver"]) in self._logged:
            self.outbox.remove(entry)
            return None
        if not self._is_due(entry):
            self.outbox.put_back(entry)
            return None
        self._tries[entry["receiver"]] += 1
        try:
            note = self._send(entry)
        except NotSentError as error:
            return self._not_sent(entry, str(error))
        self.outbox.finish(entry, "sent", note)
        return _attempt(entry, "sent", note)

    def _send(self, entry: WaitingNotice) -> str | None:
        name = entry["receiver"]
        receiver = self.settings.receivers.get(name)
        if receiver is None:
            raise NotSentError(f"no receiver is called {name} in the settings")
        try:
            return send(entry["notice"], receiver, self.settings)
        except NotSentError as error:
            if error.unreachable:
                self._unreachable.add(name)
            raise

    def _not_sent(self, entry: WaitingNotice, problem: str) -> Attempt:
        if time.time() - entry["written"] > GIVEN_UP_AFTER:
            self.outbox.finish(entry, "given up", problem)
            return _attempt(entry, "given up", problem)
        pause = min(_FIRST_PAUSE * 2 ** min(entry["attempts"], 20), _LONGEST_PAUSE)
        later: WaitingNotice = {
            **entry,
            "attempts": entry["attempts"] + 1,
            "not_before": time.time() + pause,
            "problem": problem,
        }
        self.outbox.put_back(later)
        return _attempt(entry, "later", problem)


def _attempt(entry: WaitingNotice, outcome: Literal["sent", "later", "given up"], problem: str | None) -> Attempt:
    notice = entry["notice"]
    attempts = entry["attempts"] + 1
    return Attempt(notice["event"], notice["request"], entry["receiver"], notice["key"], outcome, attempts, problem)


def try_receiver(notice: Notice, name: str, receiver: Receiver, settings: Settings) -> Attempt:
    """Send one notice at once, past the outbox."""
    outcome: Literal["sent", "given up"] = "sent"
    try:
        problem = send(notice, receiver, settings)
    except NotSentError as error:
        problem, outcome = str(error), "given up"
    return Attempt(notice["event"], notice["request"], name, notice["key"], outcome, 1, problem)
