"""Act: perform the steps of a plan one by one, each safe to repeat, each recorded in the request's history."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.engine import carry, crossing, links
from conveyor.engine.ends import INNER, PEER, READY, VERDICT, bridge_text
from conveyor.engine.outcome import StepOutcome
from conveyor.engine.plan import Step, StepName
from conveyor.engine.progress import clear_progress
from conveyor.engine.receipt import document, now, receipt
from conveyor.engine.remains import COPIED, forget_manifest
from conveyor.engine.survey import READY_UNFINISHED, VERDICT_UNFINISHED
from conveyor.errors import ConflictError, ConveyorError, foreseen
from conveyor.filesystem.port import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.engine.context import Request
    from conveyor.engine.ends import End, Ends
    from conveyor.engine.history import History
    from conveyor.engine.outcome import Observer
    from conveyor.engine.plan import Plan
    from conveyor.engine.progress import Reporter
    from conveyor.filesystem.port import Folder
    from conveyor.weblog.cache import WeblogCache


@dataclass(frozen=True)
class Act:
    """What a step came to: whether it changed anything, and what there is to say."""

    changed: bool = True
    detail: str = ""


class Executor:
    """Performs plans for one request under its claim. ``done`` grows step by step and is whole after a failure too."""

    def __init__(
        self,
        ends: Ends,
        request: Request,
        weblogs: WeblogCache,
        history: History,
        observer: Observer,
        reporter: Reporter,
        may_go_on: Callable[[], object],
    ) -> None:
        self._ends = ends
        self._fs = ends.fs
        self._capability = request.capability
        self._project_code = request.project_code
        self._weblogs = weblogs
        self._history = history
        self._observer = observer
        self._reporter = reporter
        self._may_go_on = may_go_on
        self.done: list[StepOutcome] = []
        self.changed = False
        self._weblog_cached = False

    def run(self, plan: Plan) -> None:
        """Perform the steps in order.

        Raises :class:`~conveyor.errors.ConveyorError` at the first that fails, and between two steps, or in the middle of
        a copy, what ``may_go_on`` raises.
        """
        for step in plan.steps:
            self._may_go_on()
            about = {"request": self._ends.places.request, "step": str(step.name)}
            self._observer("debug", f"next: {step.meaning}", **about)
            last = step is plan.steps[-1]
            try:
                with self._reporter.about(step.subject):
                    act = self._perform(step)
            except OSError as error:
                raise self._failed(step, foreseen(error)) from error
            except ConveyorError as error:
                raise self._failed(step, error) from error
            self._record(step, "done" if act.changed else "already", act.detail, durable=last)
            self.changed = self.changed or act.changed
            details = {"detail": act.detail} if act.detail else {}
            self._observer("info", step.meaning, **about, changed=act.changed, **details)

    def _failed(self, step: Step, error: ConveyorError) -> ConveyorError:
        if self.done:  # a run that fails at its first step leaves nothing behind, a history neither
            with contextlib.suppress(OSError):
                self._history.add(str(step.name), step.subject, "failed", error.message, durable=True)
        self.done.append(StepOutcome(str(step.name), step.subject, step.meaning, "failed", error.message))
        return error

    def _record(self, step: Step, outcome: str, detail: str, *, durable: bool) -> None:
        self.done.append(StepOutcome(str(step.name), step.subject, step.meaning, outcome, detail))
        try:
            self._history.add(str(step.name), step.subject, outcome, detail, durable=durable)
        except OSError as error:
            raise foreseen(error) from error

    def _perform(self, step: Step) -> Act:
        acts: dict[StepName, Callable[[str], Act]] = {
            StepName.CACHE_WEBLOG: self._cache_weblog,
            StepName.OPEN_QA_FOLDER: self._open_qa_folder,
            StepName.FINISH_COPY: self._finish_copy,
            StepName.RECALL_COPY: self._recall_copy,
            StepName.DELIVER: lambda name: self._carry(name, self._ends.spool),
            StepName.RETRIEVE: lambda name: self._carry(name, self._ends.qa),
            StepName.LINK: lambda name: Act(links.put_plain_link(self._ends, self._ends.spool, name)),
            StepName.TIDY: self._tidy,
            StepName.WRITE_READY: self._write_ready,
            StepName.WITHDRAW_READY: self._withdraw_ready,
            StepName.CLOSE_QA_FOLDER: self._close_qa_folder,
            StepName.RECORD_VERDICT: self._record_verdict,
            StepName.CLEAR_VERDICT: self._clear_verdict,
            StepName.FORGET_WEBLOG: lambda _: Act(self._weblogs.forget()),
        }
        return acts[step.name](step.subject)

    def _cache_weblog(self, subject: str) -> Act:
        with weblog_source(self._ends, subject) as (folder, name):
            cached = self._weblogs.store(folder, name)
        self._weblog_cached = True
        what = f"{cached.weight.members} members, {cached.weight.bytes} bytes in {self._weblogs.path}"
        return Act(cached.changed, what if cached.changed else f"cached already: {what}")

    def _open_qa_folder(self, _: str) -> Act:
        """Spool's ``peer`` comes first: by it the way home knows that a QA folder, even an empty one, is ours."""
        ends = self._ends
        changed = self._open_own(ends.spool)
        if ends.qa.folder is None and ends.area is not None:
            with contextlib.suppress(FileExistsError):
                self._fs.make_folder(ends.area, ends.places.request)
                self._fs.flush(ends.area)
                changed = True
            ends.open_qa()
        return Act(self._open_own(ends.qa) or changed)

    def _open_own(self, end: End) -> bool:
        made = end.make_inner()
        if end.inner_kind(PEER) is not None:
            if end.peer_leads_to(self._ends.other(end).path) is False:  # another request of that name came before
                raise ConflictError(f"{end.path / INNER / PEER} does not lead to {self._ends.other(end).path}")
            return made
        self._fs.make_link(end.own, PEER, self._ends.peer_text(end))
        return True

    def _carry(self, name: str, origin: End) -> Act:
        return Act(detail=carry.carry(self._ends, name, origin))

    def _finish_copy(self, name: str) -> Act:
        at = self._end_of_copy(name)
        crossing.finish(self._ends, name, at)
        return Act(detail=f"in {at.path}")

    def _recall_copy(self, name: str) -> Act:
        at = self._end_of_copy(name)
        crossing.recall(self._ends, name, at)
        return Act(detail=f"from {at.path}")

    def _end_of_copy(self, name: str) -> End:
        return next(end for end in (self._ends.qa, self._ends.spool) if end.inner_kind(name + COPIED) is not None)

    def _tidy(self, _: str) -> Act:
        spool, qa = self._ends.spool, self._ends.qa
        names = [directory.name for directory in self._capability.directories]
        cleared = [links.tidy(end, name) for end in (spool, qa) for name in names]
        cleared.append(self._weblogs.tidy())
        cleared.append(clear_progress(spool))
        if qa.kind(READY_UNFINISHED) is Kind.FILE:
            self._fs.remove(qa.here, READY_UNFINISHED)
            cleared.append(True)
        if spool.inner_kind(VERDICT_UNFINISHED) is Kind.FILE:
            self._fs.remove(spool.own, VERDICT_UNFINISHED)
            cleared.append(True)
        return Act(any(cleared))

    def _write_ready(self, _: str) -> Act:
        ends = self._ends
        names = [one.name for one in self._capability.directories if ends.qa.kind(one.name) is Kind.DIRECTORY]
        weblog = str(self._weblogs.path) if self._weblog_cached else None  # an older one is not this delivery's
        # Whoever sees READY may rely on all of it, after a power cut too.
        self._fs.flush(ends.spool.here)
        self._fs.flush(ends.qa.here)
        content = receipt(ends.places, self._capability.name, self._project_code, names, weblog)
        self._fs.write(ends.qa.here, READY, content)
        return Act(detail=str(ends.qa.path / READY))

    def _withdraw_ready(self, _: str) -> Act:
        qa = self._ends.qa
        if qa.kind(READY) is None:
            return Act(changed=False)
        self._fs.remove(qa.here, READY)
        self._fs.flush(qa.here)
        return Act()

    def _close_qa_folder(self, _: str) -> Act:
        """Remove our bridges and folders from the QA side; what is not ours stays. Our own end's peer goes last, since
        as long as it stands the way home is not finished."""
        ends, left = self._ends, ""
        qa, spool = ends.qa, ends.spool
        self._fs.flush(spool.here)
        if qa.folder is not None:
            names = [one.name for one in self._capability.directories if self._is_bridge(qa, one.name)]
            if names:  # a reader may have read a link to one of them and not yet followed it
                self._fs.let_readers_pass()
            for name in names:
                links.remove_bridge(ends, qa, name)
            left = self._close_inner(qa) or self._remove_qa_folder()
        for name in [one.name for one in self._capability.directories]:
            forget_manifest(ends, name)
        if spool.inner_kind(PEER) is Kind.LINK:
            self._fs.remove(spool.own, PEER)
        return Act(detail=left)

    def _is_bridge(self, end: End, name: str) -> bool:
        return end.kind(name) is Kind.LINK and self._fs.read_link(end.here, name) == bridge_text(name)

    def _close_inner(self, qa: End) -> str:
        if qa.inner is None:
            return ""
        if qa.inner_kind(PEER) is Kind.LINK:
            self._fs.remove(qa.own, PEER)
        if names := self._fs.names(qa.own):
            return f"left in {qa.path / INNER}: {', '.join(names)}"
        qa.own.close()
        qa.inner = None
        self._fs.remove_folder(qa.here, INNER)
        return ""

    def _remove_qa_folder(self) -> str:
        ends = self._ends
        if names := self._fs.names(ends.qa.here):
            return f"left in {ends.qa.path}: {', '.join(names)}"
        if ends.area is not None:
            ends.qa.close()
            self._fs.remove_folder(ends.area, ends.places.request)
        return ""

    def _record_verdict(self, _: str) -> Act:
        self._ends.spool.make_inner()
        content = {"schema": "conveyor-verdict/1", "request": self._ends.places.request, "verdict": "qa-fail"}
        content |= {"capability": self._capability.name, "time": now()}
        self._fs.write(self._ends.spool.own, VERDICT, document(content))
        return Act()

    def _clear_verdict(self, _: str) -> Act:
        self._fs.remove(self._ends.spool.own, VERDICT)
        return Act()


@contextlib.contextmanager
def weblog_source(ends: Ends, subject: str) -> Iterator[tuple[Folder, str]]:
    """The folder that a weblog tar is in, wherever its directory is now, and the tar's name."""
    directory, _, name = subject.partition("/")
    # A link in the place of the directory is not followed: its data is at the other end then.
    end = ends.spool if ends.spool.kind(directory) is Kind.DIRECTORY else ends.qa
    with ends.fs.open_folder(end.here, directory) as folder:
        yield folder, name
