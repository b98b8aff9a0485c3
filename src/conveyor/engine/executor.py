"""Act: perform the steps of a plan one by one, each safe to repeat, each recorded in the request's history."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.engine import links, move, move_across
from conveyor.engine.copy_progress import clear_progress
from conveyor.engine.endpoints import bridge_text
from conveyor.engine.outcome import StepOutcome
from conveyor.engine.plan import Step, StepName
from conveyor.engine.receipt import document, now, receipt
from conveyor.engine.staging import remove_manifest
from conveyor.engine.survey import READY_UNFINISHED, VERDICT_UNFINISHED
from conveyor.errors import ConflictError, ConveyorError, foreseen
from conveyor.filesystem.posix import Kind
from conveyor.layout import COMMITTED, META_DIR, PEER_LINK, READY, VERDICT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.engine.context import Request
    from conveyor.engine.copy_progress import ProgressReporter
    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.engine.event_log import History
    from conveyor.engine.outcome import EventCallback
    from conveyor.engine.plan import Plan
    from conveyor.filesystem.posix import DirFd
    from conveyor.weblog.cache import WeblogCache


@dataclass(frozen=True)
class StepResult:
    """What a step came to: whether it changed anything, and what there is to say."""

    changed: bool = True
    detail: str = ""


class Executor:
    """Performs plans for one request under its claim. ``done`` grows step by step and is whole after a failure too."""

    def __init__(
        self,
        endpoints: Endpoints,
        request: Request,
        weblogs: WeblogCache,
        history: History,
        on_event: EventCallback,
        reporter: ProgressReporter,
        may_go_on: Callable[[], object],
    ) -> None:
        self._ends = endpoints
        self._fs = endpoints.fs
        self._capability = request.capability
        self._project_code = request.project_code
        self._weblogs = weblogs
        self._history = history
        self._observer = on_event
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

    def _perform(self, step: Step) -> StepResult:
        acts: dict[StepName, Callable[[str], StepResult]] = {
            StepName.CACHE_WEBLOG: self._cache_weblog,
            StepName.OPEN_QA_FOLDER: self._open_qa_folder,
            StepName.FINISH_COPY: self._finish_copy,
            StepName.RECALL_COPY: self._recall_copy,
            StepName.DELIVER: lambda name: self._carry(name, self._ends.spool),
            StepName.RETRIEVE: lambda name: self._carry(name, self._ends.qa),
            StepName.LINK: lambda name: StepResult(links.put_final_link(self._ends, self._ends.spool, name)),
            StepName.TIDY: self._tidy,
            StepName.WRITE_READY: self._write_ready,
            StepName.WITHDRAW_READY: self._withdraw_ready,
            StepName.CLOSE_QA_FOLDER: self._close_qa_folder,
            StepName.RECORD_VERDICT: self._record_verdict,
            StepName.CLEAR_VERDICT: self._clear_verdict,
            StepName.FORGET_WEBLOG: lambda _: StepResult(self._weblogs.forget()),
        }
        return acts[step.name](step.subject)

    def _cache_weblog(self, subject: str) -> StepResult:
        with weblog_source(self._ends, subject) as (folder, name):
            cached = self._weblogs.store(folder, name)
        self._weblog_cached = True
        what = f"{cached.weight.members} members, {cached.weight.bytes} bytes in {self._weblogs.path}"
        return StepResult(cached.changed, what if cached.changed else f"cached already: {what}")

    def _open_qa_folder(self, _: str) -> StepResult:
        """Spool's ``peer`` comes first: by it the way home knows that a QA folder, even an empty one, is ours."""
        endpoints = self._ends
        changed = self._open_own(endpoints.spool)
        if endpoints.qa.handle is None and endpoints.area is not None:
            with contextlib.suppress(FileExistsError):
                self._fs.mkdir(endpoints.area, endpoints.places.request)
                self._fs.fsync(endpoints.area)
                changed = True
            endpoints.open_qa()
        return StepResult(self._open_own(endpoints.qa) or changed)

    def _open_own(self, end: Endpoint) -> bool:
        made = end.make_meta()
        if end.meta_kind(PEER_LINK) is not None:
            if end.peer_leads_to(self._ends.other(end).path) is False:  # another request of that name came before
                raise ConflictError(f"{end.path / META_DIR / PEER_LINK} does not lead to {self._ends.other(end).path}")
            return made
        self._fs.symlink(end.meta, PEER_LINK, self._ends.peer_text(end))
        return True

    def _carry(self, name: str, origin: Endpoint) -> StepResult:
        return StepResult(detail=move.move(self._ends, name, origin))

    def _finish_copy(self, name: str) -> StepResult:
        at = self._end_of_copy(name)
        move_across.complete_copy(self._ends, name, at)
        return StepResult(detail=f"in {at.path}")

    def _recall_copy(self, name: str) -> StepResult:
        at = self._end_of_copy(name)
        move_across.roll_back_copy(self._ends, name, at)
        return StepResult(detail=f"from {at.path}")

    def _end_of_copy(self, name: str) -> Endpoint:
        return next(end for end in (self._ends.qa, self._ends.spool) if end.meta_kind(name + COMMITTED) is not None)

    def _tidy(self, _: str) -> StepResult:
        spool, qa = self._ends.spool, self._ends.qa
        names = [directory.name for directory in self._capability.directories]
        cleared = [links.clean_up(end, name) for end in (spool, qa) for name in names]
        cleared.append(self._weblogs.tidy())
        cleared.append(clear_progress(spool))
        if qa.kind(READY_UNFINISHED) is Kind.FILE:
            self._fs.unlink(qa.root, READY_UNFINISHED)
            cleared.append(True)
        if spool.meta_kind(VERDICT_UNFINISHED) is Kind.FILE:
            self._fs.unlink(spool.meta, VERDICT_UNFINISHED)
            cleared.append(True)
        return StepResult(any(cleared))

    def _write_ready(self, _: str) -> StepResult:
        endpoints = self._ends
        names = [one.name for one in self._capability.directories if endpoints.qa.kind(one.name) is Kind.DIRECTORY]
        weblog = str(self._weblogs.path) if self._weblog_cached else None  # an older one is not this delivery's
        # Whoever sees READY may rely on all of it, after a power cut too.
        self._fs.fsync(endpoints.spool.root)
        self._fs.fsync(endpoints.qa.root)
        content = receipt(endpoints.places, self._capability.name, self._project_code, names, weblog)
        self._fs.write(endpoints.qa.root, READY, content)
        return StepResult(detail=str(endpoints.qa.path / READY))

    def _withdraw_ready(self, _: str) -> StepResult:
        qa = self._ends.qa
        if qa.kind(READY) is None:
            return StepResult(changed=False)
        self._fs.unlink(qa.root, READY)
        self._fs.fsync(qa.root)
        return StepResult()

    def _close_qa_folder(self, _: str) -> StepResult:
        """Remove our bridges and folders from the QA side; what is not ours stays. Our own end's peer goes last, since
        as long as it stands the way home is not finished."""
        endpoints, left = self._ends, ""
        qa, spool = endpoints.qa, endpoints.spool
        self._fs.fsync(spool.root)
        if qa.handle is not None:
            names = [one.name for one in self._capability.directories if self._is_bridge(qa, one.name)]
            if names:  # a reader may have read a link to one of them and not yet followed it
                self._fs.wait_grace_period()
            for name in names:
                links.remove_bridge(endpoints, qa, name)
            left = self._close_inner(qa) or self._remove_qa_folder()
        for name in [one.name for one in self._capability.directories]:
            remove_manifest(endpoints, name)
        if spool.meta_kind(PEER_LINK) is Kind.LINK:
            self._fs.unlink(spool.meta, PEER_LINK)
        return StepResult(detail=left)

    def _is_bridge(self, end: Endpoint, name: str) -> bool:
        return end.kind(name) is Kind.LINK and self._fs.readlink(end.root, name) == bridge_text(name)

    def _close_inner(self, qa: Endpoint) -> str:
        if qa.meta_handle is None:
            return ""
        if qa.meta_kind(PEER_LINK) is Kind.LINK:
            self._fs.unlink(qa.meta, PEER_LINK)
        if names := self._fs.listdir(qa.meta):
            return f"left in {qa.path / META_DIR}: {', '.join(names)}"
        qa.meta.close()
        qa.meta_handle = None
        self._fs.rmdir(qa.root, META_DIR)
        return ""

    def _remove_qa_folder(self) -> str:
        endpoints = self._ends
        if names := self._fs.listdir(endpoints.qa.root):
            return f"left in {endpoints.qa.path}: {', '.join(names)}"
        if endpoints.area is not None:
            endpoints.qa.close()
            self._fs.rmdir(endpoints.area, endpoints.places.request)
        return ""

    def _record_verdict(self, _: str) -> StepResult:
        self._ends.spool.make_meta()
        content = {"schema": "conveyor-verdict/1", "request": self._ends.places.request, "verdict": "qa-fail"}
        content |= {"capability": self._capability.name, "time": now()}
        self._fs.write(self._ends.spool.meta, VERDICT, document(content))
        return StepResult()

    def _clear_verdict(self, _: str) -> StepResult:
        self._fs.unlink(self._ends.spool.meta, VERDICT)
        return StepResult()


@contextlib.contextmanager
def weblog_source(endpoints: Endpoints, subject: str) -> Iterator[tuple[DirFd, str]]:
    """The folder that a weblog tar is in, wherever its directory is now, and the tar's name."""
    directory, _, name = subject.partition("/")
    # A link in the place of the directory is not followed: its data is at the other end then.
    end = endpoints.spool if endpoints.spool.kind(directory) is Kind.DIRECTORY else endpoints.qa
    with endpoints.fs.open_directory(end.root, directory) as folder:
        yield folder, name
