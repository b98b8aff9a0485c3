"""A delivered request is checked against what was copied: what analysts did is told, what rotted is an error."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from conveyor.capabilities.builtin import CALIBRATION
from conveyor.cli.text import verify_lines
from conveyor.engine.claim import Claim
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.copy_progress import ProgressCallback, no_progress
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.host import Host
from conveyor.engine.outcome import Outcome
from conveyor.engine.plan import Operation
from conveyor.engine.staging import manifest
from conveyor.engine.verification import Verified, verify
from conveyor.errors import InterruptedRunError, LinkForeignError, LockedError
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.treecopy import transfer
from conveyor.filesystem.treecopy.manifest import Manifest
from conveyor.filesystem.treecopy.records import DIR_RECORD, directory_key, pack
from conveyor.request.places import Places
from conveyor.weblog.limits import Limits
from support.faults import Crash
from support.inventory import inventory
from support.trees import rot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.documents.kept_documents import Progress
    from support.workspace import Workspace


class Stage:
    """A request, and its QA folder below ``root``."""

    def __init__(self, workspace: Workspace, root: Path) -> None:
        (root / "qa2").mkdir(exist_ok=True)
        self.spool, self.qa = workspace.spool, root / "qa2" / workspace.request
        places = Places(workspace.request, workspace.spool, root / "qa2", root / "weblogs", relative_links=False)
        self.request = Request(places, CALIBRATION, None, Limits(10**9, 1000, 100))

    def run(self, operation: Operation) -> Outcome:
        environment = Environment(FileSystem(pause=lambda _: None))
        return convey(self.request, operation, environment, Outcome(str(operation), None)).raise_for_error()

    def verify(self, on_progress: ProgressCallback = no_progress, stop: Callable[[], bool] = lambda: False) -> Outcome:
        return verify(self.request, Environment(on_progress=on_progress, stop=stop), Outcome("verify", None))

    def verified(self) -> dict[str, Verified]:
        """What became of each directory, where nothing rotted."""
        return {one.directory: one for one in self.verify().raise_for_error().verified}


@pytest.fixture
def stage(workspace: Workspace, memory_folder: Path) -> Stage:
    """A request that was delivered to another file system."""
    stage = Stage(workspace, memory_folder)
    stage.run(Operation.DELIVER)
    return stage


def test_what_nobody_touched_is_as_it_was_copied(stage: Stage) -> None:
    """All of it is read, nothing is found, and nothing is changed, in spool or in QA."""
    before = inventory(stage.spool) | inventory(stage.qa)
    verified = stage.verified()
    assert list(verified) == [one.name for one in CALIBRATION.directories]
    for name, one in verified.items():
        assert one == Verified(name, "whole", one.files, one.bytes)
        assert one.files > 0
        assert one.bytes > 0
    assert inventory(stage.spool) | inventory(stage.qa) == before


def test_what_analysts_did_is_told_and_no_error(stage: Stage) -> None:
    """Each path is named by what became of it: changed, touched, new, missing."""
    folder = stage.qa / "rawdata" / "folder"
    (stage.qa / "products" / "qa_report.txt").write_text("PASS")
    (folder / "file.txt").write_text("edited by an analyst")
    first, *_ = [path for path in sorted((stage.qa / "working").rglob("*")) if path.is_file() and not path.is_symlink()]
    os.utime(first, ns=(1, 1))
    (stage.qa / "products" / "weblog.tgz").unlink()
    verified = stage.verified()
    assert verified["rawdata"].changed == ("folder/file.txt",)
    assert verified["working"].touched == (str(first.relative_to(stage.qa / "working")),)
    assert (verified["products"].new, verified["products"].missing) == (("qa_report.txt",), ("weblog.tgz",))


def test_what_rotted_is_an_error(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit that the disk changed ends with 74 and the path; what analysts did is told beside it."""
    victim = stage.qa / "rawdata" / "folder" / "file.txt"
    (stage.qa / "rawdata" / "new").write_text("x")
    rot(victim, monkeypatch)
    outcome = stage.verify()
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("rotted", 74)
    assert str(victim) in outcome.error.message
    assert (outcome.verified[0].rotted, outcome.verified[0].new) == (("folder/file.txt",), ("new",))


@pytest.mark.parametrize("path", ["", "folder"])
def test_what_is_gone_from_a_folder_that_nobody_changed_rotted(stage: Stage, path: str) -> None:
    """A name that is lost without a change of its folder was removed by nobody."""
    victim = "file.txt" if path else "lost"
    if not path:
        stage.run(Operation.RETRIEVE)
        (stage.spool / "rawdata" / victim).write_text("content")
        stage.run(Operation.DELIVER)
    folder = stage.qa / "rawdata" / path
    (folder / victim).unlink()
    assert stage.verified()["rawdata"].missing == (os.path.join(path, victim),)
    status = os.stat(folder)
    with Endpoints(FileSystem(), stage.request.places) as endpoints:
        ledger = Manifest.open(manifest(endpoints, "rawdata"))
        assert ledger is not None
        with ledger:  # what a file system that lost the name would show
            own = ledger.dir_record(path)
            assert own is not None
            own = own._replace(modified=status.st_mtime_ns, copy_changed=status.st_ctime_ns)
            ledger.store([(directory_key(path), DIR_RECORD, pack({"": own}))])
            ledger.commit(complete=True)
    outcome = stage.verify()
    assert outcome.error is not None
    assert outcome.error.code == "rotted"
    assert outcome.verified[0].rotted == (os.path.join(path, victim),)


def test_a_manifest_that_is_damaged_is_an_error(stage: Stage) -> None:
    """It proves nothing of its directory; the others are verified all the same."""
    file = stage.spool / ".conveyor" / "rawdata.manifest"
    content = bytearray(file.read_bytes())
    content[:100] = bytes(100)
    file.write_bytes(content)
    outcome = stage.verify()
    assert outcome.error is not None
    assert outcome.error.code == "rotted"
    assert "the manifest of rawdata" in outcome.error.message
    assert [one.manifest for one in outcome.verified] == ["damaged", "whole", "whole"]


def test_a_manifest_of_another_release_is_said_to_be_that(stage: Stage) -> None:
    """Its directory is not verified, which is an error of its own and no damage; the others are verified all the same."""
    with closing(sqlite3.connect(stage.spool / ".conveyor" / "rawdata.manifest")) as connection, connection:
        connection.execute("UPDATE facts SET value = 'conveyor-manifest/99' WHERE name = 'format'")
    outcome = stage.verify()
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.exit_code) == ("manifest-unknown", 65)
    assert "the manifest of rawdata" in outcome.error.message
    assert [one.manifest for one in outcome.verified] == ["unknown-format", "whole", "whole"]
    lines, _ = verify_lines(outcome)
    assert "not verified [manifest-unknown]" in lines[0]
    assert "rotted" not in "".join(lines)


def test_what_was_moved_has_nothing_to_be_compared_with(workspace: Workspace) -> None:
    """A request within one file system has no manifest, which is told and no error."""
    stage = Stage(workspace, workspace.root)
    stage.run(Operation.DELIVER)
    assert {one.manifest for one in stage.verified().values()} == {"none"}


def test_at_home_there_is_nothing_to_verify(stage: Stage) -> None:
    """The manifests go when a request comes home."""
    stage.run(Operation.RETRIEVE)
    assert stage.verified() == {}


def test_a_conveyance_that_runs_is_waited_for(stage: Stage) -> None:
    """While somebody holds the request, it is not looked at: 75."""
    with Endpoints(FileSystem(), stage.request.places) as endpoints, Claim(endpoints.spool, Host()) as claim:
        claim.used = True
        with pytest.raises(LockedError):
            stage.verify()


def test_a_conveyance_that_comes_by_makes_what_was_found_worthless(stage: Stage) -> None:
    """A request that is carried home in the middle is no request that lost its files: 75."""
    homeward = [lambda: stage.run(Operation.RETRIEVE)]

    def on_progress(request: str, progress: Progress | None) -> None:
        assert request == stage.request.places.request
        if progress is not None and homeward:
            homeward.pop()()

    with pytest.raises(LockedError):
        stage.verify(on_progress)


def test_after_an_interruption_it_is_finished_first(
    workspace: Workspace, memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a request that is neither here nor there nothing is said but what to run: 75."""

    def die(*_: object) -> None:
        raise Crash("killed")

    stage = Stage(workspace, memory_folder)
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "transfer", die)
        with pytest.raises(Crash):
            stage.run(Operation.DELIVER)
    with pytest.raises(InterruptedRunError, match="in-transit") as caught:
        stage.verify()
    assert "conveyor deliver" in caught.value.hint


def test_of_a_broken_request_it_says_what_a_conveyance_would(stage: Stage) -> None:
    """What stands in the way of a conveyance is the answer here too."""
    os.rename(stage.qa / "rawdata", stage.qa / "elsewhere")
    with pytest.raises(LinkForeignError):
        stage.verify()


def test_it_ends_when_it_is_asked_to(stage: Stage) -> None:
    """Asked to stop, it ends with 75, and says so to who watches."""
    told: list[Progress | None] = []

    def on_progress(request: str, progress: Progress | None) -> None:
        assert request == stage.request.places.request
        told.append(progress)

    with pytest.raises(InterruptedRunError, match="while verifying"):
        stage.verify(on_progress, stop=lambda: bool(told))
    assert told[-1] is None


def test_of_many_only_a_few_are_in_the_sentence(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names five of what rotted and says how many more there are; the outcome has all."""
    stage.run(Operation.RETRIEVE)
    for number in range(8):
        (stage.spool / "rawdata" / f"file {number}").write_text(f"content {number}")
    stage.run(Operation.DELIVER)
    for number in range(8):
        rot(stage.qa / "rawdata" / f"file {number}", monkeypatch)
    outcome = stage.verify()
    assert outcome.error is not None
    assert outcome.error.message.endswith("rawdata/file 4 and 3 more")
    assert len(outcome.verified[0].rotted) == 8


def test_a_part_that_was_moved_is_not_verified(stage: Stage) -> None:
    """Of a request of which some was copied and some moved, each directory says which."""
    (stage.spool / ".conveyor" / "rawdata.manifest").unlink()
    outcome = stage.verify()
    assert (outcome.error, [one.result for one in outcome.verified]) == (None, ["not-verified", "verified", "verified"])
    assert verify_lines(outcome)[0][0].endswith("not verified: rawdata (moved, not copied)")
    outcome = verify(stage.request, Environment(), Outcome("verify", None), require_digests=True)
    assert outcome.error is not None
    assert (outcome.error.code, "rawdata" in outcome.error.message) == ("not-verified", True)
