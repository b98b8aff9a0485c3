"""Random sequences of conveyances, interruptions and analysts' edits: no file is ever lost, and the states are right."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from conveyor import Operation, Outcome, State, convey_all, load_config, status
from support.workspace import DIRECTORIES, Workspace, make_workspace, weblog_tar

NAMES = st.sampled_from(["cont.dat", "flags/one.txt", "folder/file.txt", "ünï\ncode", "deep/er/and/deeper"])

_TAR = "products/weblog.tgz"


class Requests(RuleBasedStateMachine):
    """The model is what analysts see: the content of each file below the request's path, and where the request is."""

    @initialize(qa_area=st.sampled_from(["qa2", "image-qa"]), rawdata=st.booleans())
    def make(self, qa_area: str, rawdata: bool) -> None:
        self.scratch = Path(tempfile.mkdtemp())
        self.workspace = make_workspace(self.scratch / "workspaces", qa_area=qa_area)
        self.directories = list(DIRECTORIES)
        if qa_area == "image-qa" and not rawdata:
            shutil.rmtree(self.workspace.spool / "rawdata")
            self.directories.remove("rawdata")
        self.files = _read(self.workspace, self.directories)
        self.beside: dict[str, str] = {}
        self.state: State | None = State.IN_SPOOL
        self.failed = False

    def teardown(self) -> None:
        if hasattr(self, "scratch"):
            shutil.rmtree(self.scratch)

    @rule(operation=st.sampled_from(list(Operation)))
    def convey(self, operation: Operation) -> None:
        """A conveyance runs to its end; the same one again has nothing left to do, unless a first weblog came meanwhile."""
        before = self.state
        is_first_weblog = _TAR in self.files and not self.workspace.weblog.exists()
        outcome = self._run(operation)
        if self._is_refused(operation):
            assert outcome.error is not None
            assert outcome.error.code == "not-in-qa"
            return
        assert outcome.error is None, outcome.error
        self.state = State.IN_QA if operation is Operation.DELIVER else State.IN_SPOOL
        self.failed = operation is Operation.QA_FAIL or (self.failed and operation is not Operation.DELIVER)
        assert outcome.state is self.state
        if before is self.state and operation is not Operation.QA_FAIL:
            assert outcome.already is not (operation is Operation.DELIVER and is_first_weblog)
        again = self._run(operation)
        assert again.already
        assert again.state is self.state

    @rule(operation=st.sampled_from(list(Operation)), steps=st.integers(0, 8))
    def interrupt(self, operation: Operation, steps: int) -> None:
        """A conveyance is asked to stop after some steps; where it stopped is never taken for finished."""
        counter = itertools.count()
        if self._is_refused(operation):
            return
        outcome = self._run(operation, stop_after=lambda: next(counter) >= steps)
        if outcome.error is None:
            self.state = State.IN_QA if operation is Operation.DELIVER else State.IN_SPOOL
            self.failed = operation is Operation.QA_FAIL or (self.failed and operation is not Operation.DELIVER)
            assert outcome.state is self.state
        else:
            assert outcome.error.code == "interrupted"
            # Anything between the two, unless nothing has moved yet, or all is home.
            self.state = State.IN_SPOOL if outcome.state is State.IN_SPOOL else None
            self.failed = self._verdict_is_there()
            if operation is Operation.DELIVER:
                assert not (self.workspace.qa / "READY").exists()
                assert outcome.state is not State.IN_QA

    def _is_refused(self, operation: Operation) -> bool:
        """Tell whether this is a verdict on a request that came home without one, or never left."""
        return operation is Operation.QA_FAIL and self.state is State.IN_SPOOL and not self.failed

    @rule(name=NAMES, directory=st.sampled_from(DIRECTORIES), content=st.text(max_size=20))
    def edit(self, name: str, directory: str, content: str) -> None:
        """An analyst writes a file, by the path in spool."""
        if directory in self.directories:
            path = self.workspace.spool / directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            self.files[f"{directory}/{name}"] = content.encode()

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """An analyst deletes a file, by the path in spool."""
        name = data.draw(st.sampled_from(sorted(self.files)))
        (self.workspace.spool / name).unlink()
        del self.files[name]

    @precondition(lambda self: self.state is State.IN_QA)
    @rule(name=st.sampled_from(["notes.txt", "plots"]), content=st.text(max_size=20))
    def leave_beside(self, name: str, content: str) -> None:
        """An analyst leaves a file beside the directories in the QA folder."""
        (self.workspace.qa / name).write_text(content)
        self.beside[name] = content

    @rule(page=st.text(alphabet="abc", max_size=5))
    def remake_weblog(self, page: str) -> None:
        """A pipeline run makes a new weblog tar."""
        tar = weblog_tar(page=page)
        (self.workspace.spool / _TAR).write_bytes(tar)
        self.files[_TAR] = tar

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every file is there by the path in spool, with its content, and nothing else is."""
        if hasattr(self, "scratch"):
            assert _read(self.workspace, self.directories) == self.files
            for name, content in self.beside.items():
                assert (self.workspace.qa / name).read_bytes() == content.encode()

    @invariant()
    def the_state_is_right(self) -> None:
        """Status tells where the request is, READY stands where it is complete, and the verdict where it was given."""
        if not hasattr(self, "scratch"):
            return
        [seen] = status([self.workspace.metadata], config=load_config(environment={}))
        assert seen.error is None
        assert seen.state is not State.BROKEN
        if self.state is not None:
            assert seen.state is self.state
            assert {seen.directories[name] for name in self.directories} == {self.state}
            assert (self.workspace.qa / "READY").exists() is (self.state is State.IN_QA)
            assert self._verdict_is_there() is self.failed
        if self.state is State.IN_SPOOL:
            assert not any((self.workspace.spool / name).is_symlink() for name in self.directories)
            assert self.workspace.qa.exists() is bool(self.beside)

    def _verdict_is_there(self) -> bool:
        return (self.workspace.spool / ".conveyor" / "qa-fail.json").exists()

    def _run(self, operation: Operation, stop_after: object = None) -> Outcome:
        settings_ = load_config(environment={})
        stop = stop_after if callable(stop_after) else bool
        [outcome] = convey_all(operation, [self.workspace.metadata], config=settings_, stop=stop)
        return outcome


def _read(workspace: Workspace, directories: list[str]) -> dict[str, bytes]:
    files = {}
    for directory in directories:
        top = workspace.spool / directory
        for path in sorted(top.resolve().rglob("*")):
            if path.is_file():
                files[f"{directory}/{path.relative_to(top.resolve())}"] = path.read_bytes()
    return files


TestRequests = Requests.TestCase
TestRequests.settings = settings(
    max_examples=settings().max_examples // 5,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
