"""One request, one operation, from the look to the outcome. Dry run, resume and undo are this, stopped or started
elsewhere."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conveyor.engine.area_marker import check_area
from conveyor.engine.claim import Claim, Holder, current_claim, held_error, optimistic_read
from conveyor.engine.copy_progress import ProgressReporter, read_progress
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.event_log import History, leave_refusal
from conveyor.engine.executor import Executor
from conveyor.engine.free_space import check_room
from conveyor.engine.outcome import Outcome, StepOutcome
from conveyor.engine.plan import Operation
from conveyor.engine.planner import make_plan, needs_hooks
from conveyor.engine.qa_path import warn_of_qa_path
from conveyor.engine.qa_record import begin_again, change_qa_record, judged, read_qa_record
from conveyor.engine.steps.base import Run
from conveyor.engine.steps.hooks import needed_hooks
from conveyor.engine.survey import State, Survey, survey
from conveyor.engine.visits import make_sure_that_nobody_is_in
from conveyor.engine.way_over import find_copied, foretell
from conveyor.errors import (
    ConflictError,
    ConveyorError,
    InterruptedRunError,
    IoFailedError,
    LockedError,
    NotPermittedError,
    StrictError,
)
from conveyor.filesystem.treecopy.copy_options import CopyMonitor
from conveyor.layout import META_DIR, QA_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.capabilities.capability import Capability
    from conveyor.capabilities.hook import Hook
    from conveyor.documents.kept_documents import Progress
    from conveyor.engine.context import Environment, Request
    from conveyor.engine.endpoints import Endpoint
    from conveyor.engine.plan import Plan
    from conveyor.filesystem.posix import FileSystem
    from conveyor.request.places import Places


_BETWEEN_TRIES, _BETWEEN_LOOKS = 2.0, 0.1  # seconds, while a conveyance waits
_PATIENCE = 1.0  # seconds; a copy asks for each few files whether it may go on


def convey(
    request: Request,
    operation: Operation,
    environment: Environment,
    outcome: Outcome,
    *,
    dry_run: bool = False,
    thorough: bool = True,
    reason: str | None = None,
) -> Outcome:
    """Look, decide, act; ``outcome`` is what is known so far, and comes back complete. ``reason`` are a person's words.

    A dry run returns the plan. If it is ``thorough``, which can take long, it also reads the weblog, asks for room, and has
    every other step say whether it would succeed. Errors that were foreseen are in the outcome, not raised.

    What may end by itself, another conveyance or somebody who works there, is waited for as long as the request says, and
    told whenever it is another thing than before.
    """
    started = time.monotonic()
    conveyance = _Conveyance(request, operation, environment, outcome, started, reason)
    done = _tried_until(started + request.patience, conveyance, dry_run=dry_run, thorough=thorough)
    if done.error is not None and not dry_run and not conveyance.has_begun and not conveyance.is_replaced:
        leave_refusal(environment.fs, request.places, conveyance.history, done.error)
    return done


def _tried_until(until: float, conveyance: _Conveyance, *, dry_run: bool, thorough: bool) -> Outcome:
    """Try once, and until a time, on the monotonic clock, as long as what refuses it may end by itself."""
    request, environment = conveyance.request, conveyance.environment
    outcome, told = conveyance.outcome, ""
    while True:
        conveyance.outcome = outcome
        done = _try(conveyance, dry_run=dry_run, thorough=thorough)
        if dry_run or done.error is None or not _may_pass(done.error) or time.monotonic() >= until:
            return done
        if done.error.message != told:
            told = done.error.message
            environment.on_event("info", f"waiting: {told}", request=request.places.request)
        again = min(until, time.monotonic() + _BETWEEN_TRIES)
        while time.monotonic() < again:
            if environment.stop():
                return done
            time.sleep(_BETWEEN_LOOKS)


def _may_pass(error: ConveyorError) -> bool:
    """Tell if what refused a conveyance may end without anybody's doing."""
    return error.exit_code == LockedError.exit_code and not isinstance(error, InterruptedRunError)


def _try(conveyance: _Conveyance, *, dry_run: bool, thorough: bool) -> Outcome:
    request, environment = conveyance.request, conveyance.environment
    try:
        with Endpoints(environment.fs, request.places, request.copying, request.cache_lifetime) as endpoints:
            plan = conveyance.decide(endpoints)
            if dry_run:
                conveyance.rehearse(endpoints, plan, thorough=thorough)
            elif plan.steps:
                # Under the claim everything is opened and looked at anew: what was seen before may be gone.
                anew = Endpoints(environment.fs, request.places, request.copying, request.cache_lifetime)
                with Claim(endpoints.spool, environment.host) as claim, anew as claimed:
                    conveyance.is_replaced = not _is_same_folder(claimed.spool, endpoints.spool)
                    if conveyance.is_replaced:
                        raise ConflictError(f"{claimed.spool.path} became another folder while it was claimed")
                    conveyance.act(claimed, claim)
    except Exception as failure:  # noqa: BLE001 - a bug must not hide what was done before
        error = ConveyorError.from_exception(failure)
        if conveyance.outcome.steps and isinstance(error, NotPermittedError):
            error = _lost_area(environment.fs, request.places) or error
        conveyance.outcome = replace(conveyance.outcome, error=error)
    return conveyance.outcome


def _lost_area(fs: FileSystem, places: Places) -> IoFailedError | None:
    """The error of an area that could be opened before the first step, and cannot be any more; None if both can be.

    An NFS server that takes an export away answers with a lack of permission, which no account lacks then.
    """
    for area in (places.spool_area, places.qa_area):
        try:
            fs.open_root(area).close()
        except OSError as error:
            return IoFailedError(
                f"{area} cannot be opened any more: {error.strerror}",
                hint="nothing is lost: the file server took it away, or is down; when it is back, run the same command",
            )
    return None


def _is_same_folder(opened: Endpoint, claimed: Endpoint) -> bool:
    """Tell whether a folder that was opened anew is the one that was claimed."""
    one, other = [end.fs.lstat(end.root, META_DIR) for end in (opened, claimed)]
    return one is not None and other is not None and (one.device, one.inode) == (other.device, other.inode)


@dataclass
class _Conveyance:
    """One run for one request; ``outcome`` becomes more complete from step to step."""

    request: Request
    operation: Operation
    environment: Environment
    outcome: Outcome
    started: float
    reason: str | None = None
    has_begun: bool = False
    is_replaced: bool = False  # by another folder, which is none of this run's business

    @functools.cached_property
    def history(self) -> History:
        """The lines of this run; whoever adds one says in which directory."""
        capability = self.request.capability.name
        return History(self.environment.host, str(self.operation), capability, self.started)

    def decide(self, endpoints: Endpoints) -> Plan:
        """Look without a claim, and plan; raises the refusal if there is one."""
        with optimistic_read(endpoints.spool, self.environment.host):
            return self._plan(endpoints)

    def rehearse(self, endpoints: Endpoints, plan: Plan, *, thorough: bool) -> None:
        """Put the plan into the outcome; a ``thorough`` rehearsal ends as the real run would, as far as reading tells."""
        steps = [StepOutcome(step.name, step.subject, step.describe(), "planned") for step in plan.steps]
        self.outcome = replace(self.outcome, steps=tuple(steps))
        if not thorough:
            return
        if self.operation is Operation.QA_FAIL and self.outcome.state is State.IN_QA and endpoints.spool.meta_handle:
            read_qa_record(endpoints.fs, endpoints.spool.meta_handle)
        endpoints.copying.monitor = CopyMonitor(stop=self.environment.stop)
        endpoints.copying.warn = self._add_warning
        run = self._run(endpoints)
        run.ways |= check_room(endpoints, plan, lambda _: contextlib.nullcontext(), foretell)
        self._look_for_trouble(endpoints, plan)
        told = [replace(told, detail=step.rehearse(run)) for told, step in zip(steps, plan.steps, strict=True)]
        self.outcome = replace(self.outcome, steps=tuple(told), ways=run.ways)

    def act(self, endpoints: Endpoints, claim: Claim) -> None:
        """Plan again, and perform the plan; the outcome is told whatever happens."""
        environment, request, history = self.environment, self.request, self.history
        history.end = endpoints.spool
        may_go_on = self._may_go_on(claim, patience=0)
        reporter = ProgressReporter(endpoints.spool, request.places.request, claim.token, environment.on_progress)
        endpoints.copying.monitor = CopyMonitor(reporter.tell, self._may_go_on(claim, patience=_PATIENCE))
        endpoints.copying.warn = self._warn
        run = self._run(endpoints)
        executor = Executor(run, history, environment.on_event, reporter, may_go_on)
        try:
            plan = self._plan(endpoints)
            for warning in plan.warnings:
                environment.on_event("warning", warning, request=request.places.request)
            check_room(endpoints, plan, reporter.about, find_copied)
            self._look_for_trouble(endpoints, plan)
            with self._recorded(executor, reporter):
                executor.perform(plan)
        finally:
            claim.used = any(step.outcome != "failed" for step in executor.done)
            self.outcome = replace(self.outcome, steps=tuple(executor.done), changed=executor.changed, ways=run.ways)
            try:
                self.outcome = with_survey(self.outcome, survey(endpoints, request.capability))
            except (ConveyorError, OSError):
                self.outcome = replace(self.outcome, state=None)

    @contextlib.contextmanager
    def _recorded(self, executor: Executor, reporter: ProgressReporter) -> Iterator[None]:
        """Add the beginning of the run to the history, and its end. One that did nothing was refused."""
        self.history.begin(self.reason)
        self.has_begun = True
        error = None
        try:
            self._judge()
            yield
        except Exception as failure:
            error = ConveyorError.from_exception(failure)
            raise
        except BaseException as failure:  # a KeyboardInterrupt, in a program that uses the API
            error = InterruptedRunError(f"ended by {type(failure).__name__}")
            raise
        finally:
            with contextlib.suppress(OSError, ConveyorError):  # what was done stands, whether it can be told or not
                if error is not None and not any(step.outcome != "failed" for step in executor.done):
                    self.history.refuse(error)
                else:
                    self.history.end_run(error, reporter.copied, executor.ways, executor.size)

    def _judge(self) -> None:
        """Keep the verdict of a failed QA before anything moves; a new delivery begins with none."""
        environment, state, spool = self.environment, self.outcome.state, self.history.end
        name = self.request.places.request
        assert spool is not None
        if self.operation is Operation.QA_FAIL and state is State.IN_QA:
            change_qa_record(
                spool, environment.host, name, judged("fail", environment.host.account_name(), self.reason)
            )
            self.history.say("verdict", outcome="fail", reason=self.reason)
        elif self.operation is Operation.DELIVER and state is State.IN_SPOOL and spool.meta_kind(QA_FILE) is not None:
            try:
                change_qa_record(spool, environment.host, name, begin_again)
            except ConveyorError as error:  # what people said of it keeps nothing from being delivered
                self._warn(error.message)

    def _look_for_trouble(self, endpoints: Endpoints, plan: Plan) -> None:
        """Warn of what will break; raises StrictError if there are warnings, and the request wants to know before.

        Raises InUseError if the request wants a moment at which nobody has anything open, and it is not this one.
        """
        if self.request.when_idle:
            make_sure_that_nobody_is_in(endpoints, plan)
        warn_of_qa_path(endpoints, plan)
        if self.request.strict and plan.steps and self.outcome.warnings:
            raise StrictError("; ".join(self.outcome.warnings))

    def _add_warning(self, warning: str) -> None:
        self.outcome = replace(self.outcome, warnings=(*self.outcome.warnings, warning))

    def _warn(self, warning: str) -> None:
        self._add_warning(warning)
        self.environment.on_event("warning", warning, request=self.request.places.request)

    def _may_go_on(self, claim: Claim, patience: float) -> Callable[[], bool]:
        """Return a callback for use between steps, and all through a copy.

        It raises InterruptedRunError if somebody asked to stop, and LockedError if the claim was taken away.

        The claim is looked at again after ``patience`` seconds.
        """
        looked = -math.inf

        def ask() -> bool:
            nonlocal looked
            if self.environment.stop():
                raise InterruptedRunError(f"asked to stop while conveying {self.request.places.spool}")
            if time.monotonic() - looked < patience:
                return False
            looked = time.monotonic()
            if not claim.stands:
                raise LockedError(f"the claim on {self.request.places.spool} was taken away while it was conveyed")
            return False

        return ask

    def _plan(self, endpoints: Endpoints) -> Plan:
        seen = survey(endpoints, self.request.capability, thorough=self.operation is Operation.DELIVER)
        self.outcome = with_survey(self.outcome, seen)
        hooks = self._needed_hooks() if needs_hooks(seen, self.operation) else ()
        plan = make_plan(seen, self.request.capability, self.operation, hooks)
        if self.operation is Operation.DELIVER and plan.steps and seen.qa.kind is None:
            check_area(endpoints)
        self.outcome = replace(self.outcome, warnings=plan.warnings)
        return plan

    def _needed_hooks(self) -> tuple[Hook, ...]:
        capability = self.request.capability
        hooks = capability.before_delivery if self.operation is Operation.DELIVER else capability.after_retrieval
        return needed_hooks(self.request, hooks)

    def _run(self, endpoints: Endpoints) -> Run:
        from conveyor.weblog.cache import WeblogCache

        weblogs = WeblogCache(self.environment.fs, self.request.places, self.request.limits)
        return Run(endpoints, self.request, weblogs)


def look(request: Request, environment: Environment, outcome: Outcome) -> Outcome:
    """Look at a request: the first third of a conveyance."""
    try:
        with Endpoints(environment.fs, request.places, request.copying, request.cache_lifetime) as endpoints:
            seen = survey(endpoints, request.capability)
            holder = current_claim(endpoints.spool, environment.host)
            warnings = [str(held_error(endpoints.spool, holder))] if holder is not None else []
            warnings += [*broken_because(seen, request.capability), *warnings_of(seen)]
            return replace(
                with_survey(outcome, seen), warnings=tuple(warnings), progress=_progress(endpoints.spool, holder)
            )
    except ConveyorError as error:
        return replace(outcome, error=error)
    except OSError as error:
        return replace(outcome, error=ConveyorError.from_os_error(error))


def warnings_of(seen: Survey) -> Iterator[str]:
    """What people should know of a request, whatever its state is."""
    yield from (f"left behind, since it could not be removed: {path}" for path in seen.left_behind)
    yield from (f"stayed for readers on other hosts, and 'conveyor tidy' removes it: {path}" for path in seen.lingering)
    if seen.state is State.IN_QA and seen.weblog.lost:
        yield f"the weblog in {seen.places.weblog} is not whole: 'conveyor deliver' unpacks it again"
    if seen.unexpected:
        yield f"in {seen.places.qa}, and not Conveyor's: {', '.join(seen.unexpected)}"


def broken_because(seen: Survey, capability: Capability) -> Iterator[str]:
    """The refusal of a conveyance of a broken request, in words."""
    if seen.state is State.BROKEN:
        try:
            make_plan(seen, capability, Operation.RETRIEVE)
        except ConveyorError as error:
            yield f"{error.message}; {error.hint}"


def copy_progress(request: Request, environment: Environment) -> Progress | None:
    """The progress of the copy that is being made of a request, as :func:`look` tells it; None if there is none.

    Raises :class:`OSError`, or :class:`~conveyor.errors.ConflictError`, if it cannot be read.
    """
    with Endpoints(environment.fs, request.places) as endpoints:
        return _progress(endpoints.spool, current_claim(endpoints.spool, environment.host))


def _progress(spool: Endpoint, holder: str | None) -> Progress | None:
    """The progress that the holder of a claim has written down."""
    return read_progress(spool, Holder.parse(holder).token) if holder is not None else None


def with_survey(outcome: Outcome, seen: Survey) -> Outcome:
    """The outcome with what was seen of the request."""
    places = seen.places
    has_weblog = seen.weblog.cached and seen.weblog.newest is not None
    return replace(
        outcome,
        state=seen.state,
        directories={one.name: one.state for one in seen.directories},
        spool=str(places.spool),
        qa=str(places.qa),
        weblog=str(places.weblog) if has_weblog else None,
        weblog_page=str(seen.weblog.page) if has_weblog and seen.weblog.page else None,
        verdict=str(Operation.QA_FAIL) if seen.verdict else None,
    )
