"""The requests: where each is, who holds it, and what to run next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import error, info, ok, warning
from conveyor.diagnostics.workspace import SPOOL
from conveyor.engine.claim import claimants, generation
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.event_log import last_operation
from conveyor.engine.plan import Operation
from conveyor.engine.planner import make_plan
from conveyor.engine.survey import State, Survey, survey
from conveyor.errors import ConveyorError, DirectoryMissingError, WeblogMissingError, foreseen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Case, Options, Workspace
    from conveyor.engine.claim import Holder
    from conveyor.engine.context import Request

_INTERRUPTED = {
    Operation.DELIVER: "a delivery was interrupted",
    Operation.RETRIEVE: "a retrieval was interrupted",
    Operation.QA_FAIL: "a retrieval after a failed QA was interrupted",
}
_OPPOSITE = {
    Operation.DELIVER: Operation.RETRIEVE,
    Operation.RETRIEVE: Operation.DELIVER,
    Operation.QA_FAIL: Operation.DELIVER,
}


def requests(scene: Workspace) -> Iterator[Finding]:
    """Each request that was named, or each in the spool root that a capability claims."""
    if not scene.cases:
        opened = any(area.kind == SPOOL and area.folder is not None for area in scene.areas)
        what = "no request in it has a capability of its own" if opened else "not looked at, since it cannot be opened"
        yield (ok if opened else info)("requests", SPOOL, what)
    for case in scene.cases:
        if case.request is None:
            if case.error is not None:
                yield error("request", str(case.metadata), case.error.message, case.error.hint)
            continue
        try:
            yield from _Look(scene.visit, case, case.request).findings()
        except (ConveyorError, OSError) as failure:
            told = foreseen(failure) if isinstance(failure, OSError) else failure
            yield error("request", _name(case.request), told.message, told.hint)


def _name(request: Request) -> str:
    return f"{request.places.request} ({request.capability.name})"


class _Look:
    """One look at one request."""

    def __init__(self, visit: Options, case: Case, request: Request) -> None:
        self._visit = visit
        self._metadata = case.metadata
        self._request = request
        self._name = _name(request)

    def findings(self) -> Iterator[Finding]:
        host = self._visit.environment.host
        with Endpoints(self._visit.environment.fs, self._request.places, self._request.copying) as endpoints:
            before = generation(endpoints.spool)
            seen = survey(endpoints, self._request.capability)
            holders = claimants(endpoints.spool)
            last = last_operation(endpoints.spool)
            is_steady = generation(endpoints.spool) == before
            conveyed_before = endpoints.spool.meta_handle is not None or endpoints.qa.handle is not None
        alive = [holder for holder in holders if not host.is_dead(holder.process)]
        if alive:
            yield self._held(alive[0], here=host.is_alive(alive[0].process))
        elif not is_steady:
            what = "changed while it was looked at: a conveyance runs, or has just ended"
            yield info("request", self._name, what, "look again:", self._command("doctor"))
        elif seen.state is State.IN_TRANSIT:
            yield self._interrupted(seen, last or Operation.DELIVER, holders)
        elif seen.state is State.BROKEN:
            yield self._broken(seen, conveyed_before=conveyed_before)
        else:
            yield self._at_rest(seen)
            if holders:
                what = f"the claim of {holders[0]} is left, who is dead: the next conveyance takes it over"
                yield info("holder", self._name, what)
        if seen.unexpected:
            what = f"in its QA folder, and not Conveyor's: {', '.join(seen.unexpected)}"
            yield info("left-over", self._name, what, "a retrieval leaves them there; look whether anybody needs them")

    def _held(self, holder: Holder, *, here: bool) -> Finding:
        if here:
            return info("holder", self._name, f"is being conveyed by {holder}", "wait for it to end")
        return warning(
            "holder",
            self._name,
            f"is held by {holder}: whether that still runs cannot be told from this host",
            f"ask on {holder.process.host}, by the first of these. Only where that host is gone for good, run the second:",
            self._command("doctor"),
            self._command("unlock"),
        )

    def _interrupted(self, seen: Survey, operation: Operation, dead: list[Holder]) -> Finding:
        """The commands that would not be refused, that which was interrupted first."""
        both = (operation, _OPPOSITE[operation])
        refused = {each: self._refusal(seen, each) for each in both}
        commands = tuple(self._command(str(each)) for each in both if refused[each] is None)
        who = f" ({dead[0]}, who is dead)" if dead else ""
        what = f"{_INTERRUPTED[operation]}{who}, and nobody works on it; nothing is lost"
        if len(commands) == 2:
            return warning("request", self._name, what, "finish it by the first, or go back by the second:", *commands)
        why = next((f"'{each}' is refused: {told.message}" for each, told in refused.items() if told), "")
        if commands:
            return warning("request", self._name, f"{what}; {why}", "this goes on:", *commands)
        told = refused[operation] or refused[_OPPOSITE[operation]]
        return error("request", self._name, f"{what}; {why}", told.hint if told else "")

    def _broken(self, seen: Survey, *, conveyed_before: bool) -> Finding:
        told = self._refusal(seen, Operation.RETRIEVE) or self._refusal(seen, Operation.DELIVER)
        if not conveyed_before and isinstance(told, DirectoryMissingError):
            return info("request", self._name, f"is not ready to be delivered: {told.message}", told.hint)
        what = f"needs a person: {told.message}" if told else "needs a person"
        places = self._request.places
        advice = f"{told.hint}; the two places are:" if told else "look at both places:"
        return error(
            "request", self._name, what, advice, *(f"ls -la {shlex.quote(str(p))}" for p in (places.spool, places.qa))
        )

    def _at_rest(self, seen: Survey) -> Finding:
        operation = Operation.DELIVER if seen.state is State.IN_SPOOL else Operation.RETRIEVE
        told = self._refusal(seen, operation)
        where = "in spool" if seen.state is State.IN_SPOOL else "in QA"
        if told is None:
            return ok("request", self._name, where)
        say = info if isinstance(told, DirectoryMissingError | WeblogMissingError) else warning
        return say("request", self._name, f"{where}; '{operation}' would be refused: {told.message}", told.hint)

    def _refusal(self, seen: Survey, operation: Operation) -> ConveyorError | None:
        try:
            make_plan(seen, self._request.capability, operation)
        except ConveyorError as told:
            return told
        return None

    def _command(self, name: str) -> str:
        return shlex.join(["conveyor", name, *self._visit.options, str(self._metadata)])
