"""A request on which one conveyance can be tried again and again, by the real program, from the same beginning."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from conveyor.engine.plan import Wish
from support.strace import traced
from support.verdicts import check_the_end, check_the_instant, data_in
from support.workspace import add_files_that_show_a_crash, make_workspace, weblog_tar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.program import Ending, Program, Run
    from support.strace import Trace
    from support.verdicts import Data

WAYS = ("exchange", "renames", "copy", "copy without exchange")
# Two directories show what three would, in less time; a failed QA removes the weblog, so that this is swept too.
NAMES = ("rawdata", "products")
_CONFIG = """\
qa_root = "{qa_root}"
weblog_cache = "{cache}"
[capabilities.sweep]
workflows = ["sweep"]
qa_area = "qa2"
directories = ["rawdata", "products"]
[capabilities.sweep.weblog]
keep_after_qa_fail = false
"""
_AGAIN = 'for place; do rm -rf "$place/now" && cp -a "$place/kept" "$place/now"; done'
_AGAIN_AS_ANYBODY = f'for place; do chmod -R u+rwX "$place/now"; done; {_AGAIN}'
_KEEP = 'for place; do cp -a "$place/now" "$place/kept"; done'


class Stage:
    """A workspace in ``near/now``, its QA areas in ``far/now`` where that is another file system.

    The way of carrying is the kernel's own choice: it refuses exchanges, or the QA areas are on another file system.
    """

    def __init__(self, program: Program, near: Path, far: Path, way: str) -> None:
        self._program = program
        self.refuse_exchange = way in ("renames", "copy without exchange")
        self._log = near / "trace"
        self._config = near / "sweep.toml"
        self.places = [near / "now"] if near == far else [near / "now", far / "now"]
        self._roots = [str(place.parent) for place in self.places]
        self.workspace = make_workspace(near / "now", qa_root=far / "now")
        add_files_that_show_a_crash(self.workspace)
        cache = self.workspace.weblog.parent
        self._config.write_text(_CONFIG.format(qa_root=far / "now", cache=cache))
        self.before: Data = {}

    def prepare(self, wish: Wish, *, second: bool) -> None:
        """Go where the wish can be run, and keep that; a ``second`` delivery follows a failed QA, with a new weblog."""
        workspace = self.workspace
        if wish is not Wish.DELIVER or second:
            self.convey(Wish.DELIVER)
        if wish is not Wish.DELIVER:
            (workspace.qa / "products" / "qa_report.txt").write_text("PASS")
        elif second:
            self.convey(Wish.RETRIEVE)
            (workspace.spool / ".conveyor" / "qa-fail.json").write_text("{}")
            (workspace.spool / "products" / "weblog.tgz").write_bytes(weblog_tar(page="another page"))
        self.before = data_in(workspace.spool if wish is Wish.DELIVER else workspace.qa, NAMES)
        subprocess.run(["/bin/sh", "-ec", _KEEP, "keep", *self._roots], check=True)

    def begin_again(self) -> None:
        """Go back to what was kept."""
        script = _AGAIN if os.geteuid() == 0 else _AGAIN_AS_ANYBODY
        subprocess.run(["/bin/sh", "-ec", script, "again", *self._roots], check=True)

    def start(self, wish: Wish | str, *, held: bool = False) -> Run:
        options = ["--json", "--config", str(self._config), "-c", "sweep", str(self.workspace.metadata)]
        return self._program.start(str(wish), *options, held=held, refuse_exchange=self.refuse_exchange)

    def convey(self, wish: Wish) -> Ending:
        """Run undisturbed to the end, which has to be a good one."""
        ending = self.start(wish).wait()
        assert ending.status == 0, f"{wish} did not succeed: {ending.status} {ending.err}"
        return ending

    def undisturbed(self, wish: Wish) -> Trace:
        """All calls of a run that nothing disturbs."""
        self.begin_again()
        ending, trace = self.traced(wish)
        assert ending.status == 0, f"{wish} did not succeed: {ending.status} {ending.err}"
        self.check_the_end(wish)
        return trace

    def traced(self, wish: Wish, inject: Iterable[str] = ()) -> tuple[Ending, Trace]:
        return traced(self.start(wish, held=True), self._log, inject)

    def check_the_instant(self) -> None:
        seen = self.start("status").wait()
        assert seen.status == 0, f"status does not know: {seen.err}"
        check_the_instant(self.workspace, NAMES, self.before, seen.state)

    def check_the_end(self, wish: Wish) -> None:
        seen = self.start("status").wait()
        assert seen.status == 0, f"status does not know: {seen.err}"
        check_the_end(self.workspace, NAMES, self.before, wish, seen.state, seen.request["warnings"])
