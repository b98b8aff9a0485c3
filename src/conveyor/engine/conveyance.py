"""One request, one wish, from the look to the outcome. Dry run, resuming and undoing are this, stopped or started
elsewhere."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conveyor.engine.claim import Claim, Holder, current_claim, held, undisturbed
from conveyor.engine.ends import INNER, Ends
from conveyor.engine.executor import Executor, weblog_source
from conveyor.engine.history import History
from conveyor.engine.outcome import Outcome, StepOutcome
from conveyor.engine.plan import StepName, Wish
from conveyor.engine.planner import make_plan
from conveyor.engine.progress import Reporter, read_progress
from conveyor.engine.room import check_room
from conveyor.engine.survey import State, Survey, survey
from conveyor.errors import ConflictError, ConveyorError, InterruptedRunError, LockedError, foreseen
from conveyor.filesystem.copying.values import Watch
from conveyor.weblog.cache import WeblogCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.engine.context import Request, World
    from conveyor.engine.ends import End
    from conveyor.engine.plan import Plan
    from conveyor.engine.progress import Progress


_PATIENCE = 1.0  # seconds; a copy asks for each few files whether it may go on


def convey(
    request: Request, wish: Wish, world: World, outcome: Outcome, *, dry_run: bool = False, thorough: bool = True
) -> Outcome:
    """Look, decide, act; ``outcome`` is what is known so far, and comes back complete.

    A dry run tells the plan; unless it is ``thorough``, which can take long, it knows of no damaged weblog and no want of
    room.
    Errors that were foreseen are in the outcome, not raised.
    """
    run = _Run(request, wish, world, outcome)
    try:
        with Ends(world.fs, request.places, request.copying) as ends:
            plan = run.decide(ends)
            if dry_run:
                run.rehearse(ends, plan, thorough=thorough)
            elif plan.steps:
                # Under the claim everything is opened and looked at anew: what was seen before may be gone.
                anew = Ends(world.fs, request.places, request.copying)
                with Claim(ends.spool, world.host) as claim, anew as claimed:
                    _make_sure_of(claimed.spool, ends.spool)
                    run.act(claimed, claim)
    except ConveyorError as error:
        run.outcome = replace(run.outcome, error=error)
    except OSError as error:
        run.outcome = replace(run.outcome, error=foreseen(error))
    return run.outcome


def _make_sure_of(opened: End, claimed: End) -> None:
    """Refuse to act in a folder that was opened anew and is not the one that was claimed."""
    one, other = [end.fs.look(end.here, INNER) for end in (opened, claimed)]
    if one is None or other is None or (one.device, one.inode) != (other.device, other.inode):
        raise ConflictError(f"{opened.path} became another folder while it was claimed")


@dataclass
class _Run:
    """One run for one request; ``outcome`` becomes more complete from step to step."""

    request: Request
    wish: Wish
    world: World
    outcome: Outcome

    def decide(self, ends: Ends) -> Plan:
        """Look without a claim, and plan; raises the refusal if there is one."""
        with undisturbed(ends.spool, self.world.host):
            return self._plan(ends)

    def rehearse(self, ends: Ends, plan: Plan, *, thorough: bool) -> None:
        """Tell the plan; a ``thorough`` one ends as the real run: it counts what would be copied, and reads the weblog."""
        steps = [StepOutcome(str(step.name), step.subject, step.meaning, "planned") for step in plan.steps]
        self.outcome = replace(self.outcome, steps=tuple(steps))
        if not thorough:
            return
        ends.copying.watch = Watch(stop=self.world.stop)
        check_room(ends, plan, lambda _: contextlib.nullcontext())
        for step in plan.steps:
            if step.name is StepName.CACHE_WEBLOG:
                with weblog_source(ends, step.subject) as (folder, name):
                    self._weblogs.check(folder, name)

    def act(self, ends: Ends, claim: Claim) -> None:
        """Plan again, and perform the plan; the outcome is told whatever happens."""
        world, request = self.world, self.request
        history = History(ends.spool, world.host.this_process(), str(self.wish), request.capability.name)
        may_go_on = self._may_go_on(claim, patience=0)
        reporter = Reporter(ends.spool, request.places.request, claim.token, world.watcher)
        ends.copying.watch = Watch(reporter.tell, self._may_go_on(claim, patience=_PATIENCE))
        executor = Executor(ends, request, self._weblogs, history, world.observer, reporter, may_go_on)
        try:
            plan = self._plan(ends)
            for warning in plan.warnings:
                world.observer("warning", warning, request=request.places.request)
            check_room(ends, plan, reporter.about)
            executor.run(plan)
        finally:
            claim.used = any(step.outcome != "failed" for step in executor.done)
            self.outcome = replace(self.outcome, steps=tuple(executor.done), changed=executor.changed)
            with contextlib.suppress(OSError):
                self.outcome = told(self.outcome, survey(ends, request.capability))

    def _may_go_on(self, claim: Claim, patience: float) -> Callable[[], bool]:
        """What is asked between steps, and all through a copy: raises where somebody asked to stop, or took the claim.

        The claim is looked at again after ``patience`` seconds.
        """
        looked = -math.inf

        def ask() -> bool:
            nonlocal looked
            if self.world.stop():
                raise InterruptedRunError(f"asked to stop while conveying {self.request.places.spool}")
            if time.monotonic() - looked < patience:
                return False
            looked = time.monotonic()
            if not claim.stands:
                raise LockedError(f"the claim on {self.request.places.spool} was taken away while it was conveyed")
            return False

        return ask

    def _plan(self, ends: Ends) -> Plan:
        seen = survey(ends, self.request.capability)
        self.outcome = told(self.outcome, seen)
        plan = make_plan(seen, self.request.capability, self.wish)
        self.outcome = replace(self.outcome, warnings=plan.warnings)
        return plan

    @property
    def _weblogs(self) -> WeblogCache:
        return WeblogCache(self.world.fs, self.request.places, self.request.limits)


def look(request: Request, world: World, outcome: Outcome) -> Outcome:
    """Where a request is now: the first third of a conveyance."""
    try:
        with Ends(world.fs, request.places, request.copying) as ends:
            seen = survey(ends, request.capability)
            holder = current_claim(ends.spool, world.host)
            warnings = [str(held(ends.spool, holder))] if holder is not None else []
            if seen.state is State.BROKEN:
                warnings += _why(seen, request)
            if seen.left_over:
                warnings.append(f"in {request.places.qa}, and not Conveyor's: {', '.join(seen.left_over)}")
            return replace(told(outcome, seen), warnings=tuple(warnings), progress=_progress(ends.spool, holder))
    except ConveyorError as error:
        return replace(outcome, error=error)
    except OSError as error:
        return replace(outcome, error=foreseen(error))


def how_far(request: Request, world: World) -> Progress | None:
    """How far the copy is that is made of a request at this moment, as :func:`look` tells it; None where none is made.

    Raises :class:`OSError`, or :class:`~conveyor.errors.ConflictError`, where it cannot be read.
    """
    with Ends(world.fs, request.places) as ends:
        return _progress(ends.spool, current_claim(ends.spool, world.host))


def _progress(spool: End, holder: str | None) -> Progress | None:
    """What is written down of the copy that the holder of a claim makes."""
    return read_progress(spool, Holder.parse(holder).token) if holder is not None else None


def _why(seen: Survey, request: Request) -> list[str]:
    """What a conveyance would say of a request that is broken."""
    try:
        make_plan(seen, request.capability, Wish.RETRIEVE)
    except ConveyorError as error:
        return [f"{error.message}; {error.hint}"]
    return []


def told(outcome: Outcome, seen: Survey) -> Outcome:
    """The outcome with what was seen of the request."""
    places = seen.places
    return replace(
        outcome,
        state=seen.state,
        directories={one.name: one.state for one in seen.directories},
        spool=str(places.spool),
        qa=str(places.qa),
        weblog=str(places.weblog) if seen.weblog_cached and seen.weblog else None,
    )
