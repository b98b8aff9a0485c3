"""A request on which one conveyance can be tried again and again, by the real program, from the same beginning."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from conveyor.engine.plan import Operation
from support.strace import parse, traced, wait_for_stop, watching
from support.verdicts import check_the_end, check_the_instant, data_in
from support.workspace import add_files_that_show_a_crash, make_workspace, weblog_tar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from support.program import Ending, Program, Run
    from support.strace import Call, Trace
    from support.verdicts import Data

WAYS = ("exchange", "renames", "copy", "copy without exchange")
RETAG = "retag"  # between two project IDs of one file system
CLONE = "clone"  # between two mounts of one file system
# Two directories show what three would, in less time; a failed QA removes the weblog, so that this is swept too.
NAMES = ("rawdata", "products")
_CONFIG = """\
qa_root = "{qa_root}"
weblog_cache = "{cache}"
project_ids = "{project_ids}"
[capabilities.sweep]
workflows = ["sweep"]
qa_area = "qa2"
directories = ["rawdata", "products"]
[capabilities.sweep.weblog]
keep_after_qa_fail = false
"""
# Seconds after which a file is looked at once: within a tick of the clock for files it would be looked at again, and calls
# be counted otherwise in one run than in another.
_CLOCK_TICK = 0.02
_AGAIN = 'for place; do rm -rf "$place/now" && cp -a "$place/kept" "$place/now"; done'
_AGAIN_AS_ANYBODY = f'for place; do chmod -R u+rwX "$place/now"; done; {_AGAIN}'
_KEEP = 'for place; do cp -a "$place/now" "$place/kept"; done'


class Stage:
    """A workspace in ``near/now``, its QA areas in ``far/now`` and its weblog cache in ``cache/now``, where these differ.

    The way of carrying is the kernel's own choice: it refuses exchanges, or the QA areas are on another file system.
    """

    def __init__(
        self,
        program: Program,
        near: Path,
        far: Path,
        way: str = "",
        *,
        cache: Path | None = None,
        account: int | None = None,
    ) -> None:
        self._program = program
        self._account = account
        self._refuse_exchange = way in ("renames", "copy without exchange")
        self._log = program.folder / "trace"
        self._config = program.folder / "sweep.toml"
        self._roots = list(dict.fromkeys([near, far, cache or near]))
        self.places = [root / "now" for root in self._roots]
        place = cache and cache / "now"
        self.workspace = make_workspace(near / "now", qa_root=far / "now", cache=place and place / "weblog-cache")
        if place:
            place.mkdir(exist_ok=True)
        add_files_that_show_a_crash(self.workspace)
        if way == CLONE:  # short files are not worth it
            (self.workspace.spool / "products" / "long").write_bytes(bytes(range(256)) * 64)
        policy = RETAG if way == RETAG else "copy"
        self._config.write_text(
            _CONFIG.format(qa_root=far / "now", cache=self.workspace.weblog.parent, project_ids=policy)
        )
        self.before: Data = {}
        self.behind: tuple[str, ...] = ()  # what stands before a wish on the command line

    def prepare(self, operation: Operation, *, second: bool) -> None:
        """Go where the wish can be run, and keep that; a ``second`` delivery follows a failed QA, with a new weblog."""
        workspace = self.workspace
        if operation is not Operation.DELIVER or second:
            self.convey(Operation.DELIVER)
        if operation is not Operation.DELIVER:
            (workspace.qa / "products" / "qa_report.txt").write_text("PASS")
        elif second:
            self.convey(Operation.RETRIEVE)
            (workspace.spool / ".conveyor" / "qa-fail.json").write_text("{}")
            (workspace.spool / "products" / "weblog.tgz").write_bytes(weblog_tar(page="another page"))
        self.before = data_in(workspace.spool if operation is Operation.DELIVER else workspace.qa, NAMES)
        subprocess.run(["/bin/sh", "-ec", _KEEP, "keep", *map(str, self._roots)], check=True)

    def begin_again(self) -> None:
        """Go back to what was kept, so long ago that the run need not wait for the clock of the file system to go on."""
        script = _AGAIN if os.geteuid() == 0 else _AGAIN_AS_ANYBODY
        subprocess.run(["/bin/sh", "-ec", script, "again", *map(str, self._roots)], check=True)
        time.sleep(_CLOCK_TICK)

    def start(self, operation: Operation | str, *, held: bool = False) -> Run:
        options = ["--json", "--config", str(self._config), "-c", "sweep", str(self.workspace.metadata)]
        behind = self.behind if isinstance(operation, Operation) else ()
        return self._program.start(
            *behind, str(operation), *options, held=held, refuse_exchange=self._refuse_exchange, account=self._account
        )

    def convey(self, operation: Operation) -> Ending:
        """Run undisturbed to the end, which has to be a good one."""
        ending = self.start(operation).wait()
        assert ending.status == 0, f"{operation} did not succeed: {ending.status} {ending.err}"
        return ending

    def undisturbed(self, operation: Operation) -> Trace:
        """All calls of a run that nothing disturbs."""
        self.begin_again()
        ending, trace = self.traced(operation)
        assert ending.status == 0, f"{operation} did not succeed: {ending.status} {ending.err}"
        self.check_the_end(operation)
        return trace

    def traced(self, operation: Operation, inject: Iterable[str] = ()) -> tuple[Ending, Trace]:
        [ending], trace = self.traced_together([operation], inject)
        return ending, trace

    def traced_together(
        self, operations: Iterable[Operation], inject: Iterable[str] = ()
    ) -> tuple[list[Ending], Trace]:
        """Let several runs go at the same time, and watch them all."""
        return traced([self.start(operation, held=True) for operation in operations], self._log, inject)

    @contextmanager
    def stopped(self, operation: Operation, point: Call, inject: Iterable[str] = ()) -> Iterator[Run]:
        """A run that stands still, stopped just after a call, while the block runs; then it goes on to its end."""
        run = self.start(operation, held=True)
        with watching([run], self._log, [f"{point.name}:signal=STOP:when={point.count}", *inject]) as tracer:
            run.let_go()
            wait_for_stop(tracer, self._log)
            try:
                yield run
            finally:
                run.kill(signal.SIGCONT)

    def last_trace(self) -> Trace:
        """What the last run did that was watched."""
        return parse(self._log.read_text(errors="surrogateescape"))

    def check_the_instant(self) -> None:
        seen = self.start("status").wait()
        assert seen.status == 0, f"status does not know: {seen.err}"
        check_the_instant(self.workspace, NAMES, self.before, seen.state)

    def check_the_end(self, operation: Operation) -> None:
        seen = self.start("status").wait()
        assert seen.status == 0, f"status does not know: {seen.err}"
        check_the_end(self.workspace, NAMES, self.before, operation, seen.state, seen.request["warnings"])
