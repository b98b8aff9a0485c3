"""One request, one wish, from the look to the outcome. Dry run, resuming and undoing are this, stopped or started
elsewhere."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from conveyor.engine.claim import Claim, current_holder, held
from conveyor.engine.ends import Ends
from conveyor.engine.executor import Executor
from conveyor.engine.history import History
from conveyor.engine.host import Host
from conveyor.engine.outcome import Observer, Outcome, StepOutcome, nobody
from conveyor.engine.plan import StepName
from conveyor.engine.planner import make_plan
from conveyor.engine.survey import Survey, survey, weblog_end
from conveyor.errors import ConveyorError, foreseen
from conveyor.filesystem.posix import PosixFileSystem
from conveyor.weblog.cache import WeblogCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.capabilities.strategy import Capability
    from conveyor.engine.plan import Plan, Wish
    from conveyor.filesystem.port import FileSystem
    from conveyor.request.places import Places
    from conveyor.weblog.reader import Limits


@dataclass(frozen=True)
class World:
    """What a conveyance runs in: the file system, this host, who watches, and who may ask it to stop."""

    fs: FileSystem = field(default_factory=PosixFileSystem)
    host: Host = field(default_factory=Host)
    observer: Observer = nobody
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Request:
    """What is to be conveyed: the request's places, its capability, and what its metadata says."""

    places: Places
    capability: Capability
    project_code: str | None
    limits: Limits


def convey(request: Request, wish: Wish, world: World, outcome: Outcome, *, dry_run: bool = False) -> Outcome:
    """Look, decide, act; ``outcome`` is what is known so far, and comes back complete.

    Errors that were foreseen are in the outcome, not raised.
    """
    executor: Executor | None = None
    try:
        with Ends(world.fs, request.places) as ends:
            weblogs = WeblogCache(world.fs, request.places, request.limits)
            holder = current_holder(ends.spool, world.host)
            seen = survey(ends, request.capability)
            outcome = _told(outcome, seen)
            if holder is not None:
                raise held(ends.spool, holder)
            plan = make_plan(seen, request.capability, wish)
            outcome = replace(outcome, warnings=plan.warnings)
            if dry_run:
                outcome = replace(outcome, steps=tuple(_planned(plan)))
                _rehearse(ends, seen, plan, weblogs)
                return outcome
            if not plan.steps:
                return outcome
            try:
                with Claim(ends.spool, world.host):
                    # What was seen before the claim may have changed until it was ours.
                    ends.open_qa()
                    plan = make_plan(survey(ends, request.capability), request.capability, wish)
                    outcome = replace(outcome, warnings=plan.warnings)
                    for warning in plan.warnings:
                        world.observer("warning", warning, request=request.places.request)
                    history = History(ends.spool, world.host.this_process(), wish, request.capability.name)
                    executor = Executor(
                        ends,
                        request.capability,
                        request.project_code,
                        weblogs,
                        history,
                        world.observer,
                        world.stop,
                    )
                    executor.run(plan)
            finally:
                with contextlib.suppress(OSError):
                    outcome = _told(outcome, survey(ends, request.capability))
    except ConveyorError as error:
        outcome = replace(outcome, error=error)
    except OSError as error:
        outcome = replace(outcome, error=foreseen(error))
    if executor is not None:
        outcome = replace(outcome, steps=tuple(executor.done), changed=executor.changed)
    return outcome


def look(request: Request, world: World, outcome: Outcome) -> Outcome:
    """Where a request is now: the first third of a conveyance."""
    try:
        with Ends(world.fs, request.places) as ends:
            seen = survey(ends, request.capability)
            holder = current_holder(ends.spool, world.host)
            warnings = [str(held(ends.spool, holder))] if holder else []
            if seen.left_over:
                warnings.append(f"in {request.places.qa}, and not Conveyor's: {', '.join(seen.left_over)}")
            return replace(_told(outcome, seen), warnings=tuple(warnings))
    except ConveyorError as error:
        return replace(outcome, error=error)
    except OSError as error:
        return replace(outcome, error=foreseen(error))


def _rehearse(ends: Ends, seen: Survey, plan: Plan, weblogs: WeblogCache) -> None:
    """Read the weblog as unpacking it would, so that a dry run ends as the real one."""
    for step in plan.steps:
        if step.name is StepName.CACHE_WEBLOG:
            directory, _, name = step.subject.partition("/")
            end = weblog_end(ends, seen.directories, directory)
            if end is not None:
                with ends.fs.open_folder(end.here, directory) as folder:
                    weblogs.check(folder, name)


def _planned(plan: Plan) -> list[StepOutcome]:
    return [StepOutcome(str(step.name), step.subject, step.meaning, "planned") for step in plan.steps]


def _told(outcome: Outcome, seen: Survey) -> Outcome:
    places = seen.places
    return replace(
        outcome,
        state=seen.state,
        directories={one.name: one.state for one in seen.directories},
        spool=str(places.spool),
        qa=str(places.qa),
        weblog=str(places.weblog) if seen.weblog_cached else None,
    )
