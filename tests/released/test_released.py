"""What the released program left on disk, in whichever state, is read and brought home by the program of today.

The released program itself makes each state: it runs to its end, or is killed at the call that the state is named by.
``README.md`` beside this file says where it comes from.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tarfile
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest

from support.program import Program
from support.verdicts import data_in
from support.workspace import HTML, add_files_that_show_a_crash, make_workspace, weblog_tar

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_ARCHIVE = _HERE / "44df95e.tar.gz"

#: How directories are carried, by the letters of the tables.
WAYS = {"x": "exchange", "r": "renames", "c": "copy", "n": "copy without exchange"}
# Two directories show what three would, in less time.
NAMES = ("rawdata", "products")
_CONFIG = """\
qa_root = "{qa_root}"
[capabilities.two]
workflows = ["two"]
qa_area = "qa2"
directories = ["rawdata", "products"]
[capabilities.two.weblog]
keep_after_qa_fail = false
"""
#: Where the first delivery was killed; a name that "stands" at an end, or in its ``.conveyor``, shows that it came so far.
OUT = """
what                    | ways  | state   | stands                     | killed
weblog half unpacked    | x     | transit | cache/.*.conveyor          | before create t2-1.html
weblog not in its place | x     | transit | cache/.*.conveyor          | before rename .*.conveyor [!.]*
weblog cached           | x     | spool   | cache/*/.conveyor.json     | after rename .*.conveyor [!.]*
only spool has a peer   | r     | transit | spool/peer                 | before mkdir tmp*
QA folder is empty      | c     | transit | spool/peer                 | after mkdir tmp*
bridge stands           | x r c | transit | qa/rawdata                 | before exchange rawdata rawdata
exchanged               | x     | transit | qa/rawdata/folder          | after exchange rawdata rawdata
no bridge stands        | r     | transit | spool/rawdata.link         | after unlink rawdata
path is missing         | r     | transit | spool/rawdata.link         | after rename rawdata rawdata
one of two is out       | x r n | transit | qa/rawdata/folder          | before symlink * products
copy begun              | c     | transit | qa/rawdata.incoming/folder | after create file.txt
copy not proven         | n     | transit | qa/rawdata.incoming/folder | before commit proven
copy proven             | c     | transit | qa/rawdata.incoming/folder | after commit proven
mark stands             | c     | transit | qa/rawdata.copied          | after symlink * rawdata.copied
copy swapped in         | c     | transit | qa/rawdata.incoming        | after exchange rawdata.incoming rawdata
copy beside its source  | c n   | transit | qa/rawdata/folder          | before exchange rawdata.link rawdata
source half out         | c     | transit | spool/rawdata.link/folder  | after exchange rawdata.link rawdata
source out, no link     | n     | transit | spool/rawdata.outgoing     | after rename rawdata rawdata.outgoing
source out              | c     | transit | spool/rawdata.outgoing     | after rename rawdata.link rawdata.outgoing
source to be removed    | n     | transit | spool/rawdata.outgoing     | after unlink rawdata.copied
source half removed     | c     | transit | spool/rawdata.outgoing     | before rmdir rawdata.outgoing
link not yet plain      | x     | transit | spool/products.link        | after exchange products.link products
all out, no READY       | x c   | transit | qa/products/folder         | before create .READY.new
READY begun             | x     | transit | qa/.READY.new              | after create .READY.new
READY not in its place  | r     | transit | qa/.READY.new              | before rename .READY.new READY
claim left              | c     | qa      | spool/claim.1              | before unlink claim.1
"""
#: The same of a directory that takes long.
OUT_LONG = """
what                    | ways  | state   | stands                     | killed
worker copies           | c     | transit | qa/products.incoming/link  | after create read-only
progress is told        | c     | transit | spool/progress.json        | before commit proven
progress half told      | n     | transit | spool/.progress.json.new   | before rename .progress.json.new *
worker removes          | c     | transit | spool/rawdata.outgoing     | before unlink file.txt
"""
#: Where the next delivery was killed, after one that was killed already.
OUT_AGAIN = """
what                    | ways  | state   | stands                     | killed
two claims left         | x     | transit | spool/claim.2              | before rename claim.2 claim.1
"""
#: Where the delivery after a failed QA was killed, with another weblog.
OUT_SECOND = """
what                    | ways  | state   | stands                     | killed
verdict stands          | x     | spool   | spool/qa-fail.json         | before unlink qa-fail.json
verdict cleared         | x     | spool   | spool/history.jsonl        | after unlink qa-fail.json
"""
#: The same after a retrieval, so that the weblog of the first delivery is cached still.
OUT_NEXT = """
what                    | ways  | state   | stands                     | killed
weblog half replaced    | r     | transit | cache/.*.replaced          | after rename * .*.replaced
weblog replaced         | x     | transit | cache/.*.conveyor          | after exchange .*.conveyor [!.]*
"""
#: Where the retrieval of a delivered request was killed.
HOME = """
what                    | ways  | state   | stands                     | killed
READY withdrawn         | x c   | transit | qa/rawdata/folder          | after unlink READY
bridge stands           | x r n | transit | qa/rawdata/folder          | before exchange rawdata rawdata
exchanged               | x     | transit | spool/rawdata/folder       | after exchange rawdata rawdata
path in QA is missing   | r     | transit | spool/rawdata/folder       | after rename rawdata rawdata
one of two is home      | x r c | transit | spool/rawdata/folder       | before exchange products products
copy proven             | c     | transit | spool/rawdata.incoming     | after commit proven
mark stands             | n     | transit | spool/rawdata.copied       | after symlink * rawdata.copied
copy beside its source  | c     | transit | spool/rawdata/folder       | after unlink rawdata.incoming
source out              | c     | transit | qa/rawdata.outgoing        | after rename rawdata.link rawdata.outgoing
source half removed     | n     | transit | qa/rawdata.outgoing        | before rmdir rawdata.outgoing
all home, bridges stand | r c   | transit | qa/products                | before rename rawdata rawdata.link
QA folder half closed   | x     | transit | spool/peer                 | before rmdir .conveyor
QA folder closed        | c     | transit | spool/peer                 | after rmdir tmp*
"""
#: The same, where the manifest of ``rawdata`` was begun anew and is not finished: it proves nothing of what is in QA.
HOME_UNPROVEN = """
what                    | ways  | state   | stands                     | killed
copy begun              | c     | transit | spool/rawdata.incoming     | after create file.txt
"""
#: Where the retrieval after a failed QA was killed.
HOME_FAILED = """
what                    | ways  | state   | stands                     | killed
one of two is home      | c     | transit | spool/rawdata/folder       | before exchange products products
verdict begun           | x     | transit | spool/.qa-fail.json.new    | before rename .qa-fail.json.new *
verdict recorded        | c     | spool   | spool/qa-fail.json         | after rename .qa-fail.json.new *
weblog half removed     | x     | transit | cache/.*.conveyor          | after rename [!.]* .*.conveyor
"""
#: What runs left that came to their end.
DONE = """
what                    | ways  | state   | stands                     | killed
done                    | x r n | qa      | qa/READY                   | never
"""
DONE_LONG = """
what                    | ways  | state   | stands                     | killed
done by workers         | c     | qa      | spool/rawdata.manifest     | never
"""
DONE_BEHIND_A_JOB = """
what                    | ways  | state   | stands                     | killed
done                    | x     | qa      | spool/post-script.jsonl    | never
"""
DONE_HOME = """
what                    | ways  | state   | stands                     | killed
done                    | c     | spool   | spool/history.jsonl        | never
"""
DONE_FAILED = """
what                    | ways  | state   | stands                     | killed
done                    | x     | spool   | spool/qa-fail.json         | never
"""


class Run(NamedTuple):
    """A run of the released program, and the call that it is killed at; without one it comes to its end."""

    command: str
    killed: str = "never"
    long: bool = False


class Left(NamedTuple):
    """What runs left: its state, and a name that shows it. ``unproven`` is the directory whose manifest proves nothing."""

    ways: tuple[str, ...]
    state: str
    stands: str
    runs: tuple[Run, ...]
    unproven: str = ""


DELIVERED = Run("deliver")
COPY_BESIDE_ITS_SOURCE = Run("deliver", "before exchange rawdata.link rawdata")
POST_SCRIPT = ("post-script", "--return", "0", "--job", "A")
LOGS = ("history.jsonl", "post-script.jsonl")


def read(table: str, command: str, *before: Run, long: bool = False, unproven: str = "") -> dict[str, Left]:
    """Read a table: what the last of several runs left, by its name."""
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()[1:]]
    return {
        f"{command}: {what}": Left(
            tuple(WAYS[way] for way in ways.split()),
            {"transit": "in-transit", "spool": "in-spool", "qa": "in-qa"}[state],
            stands,
            (*before, Run(command, killed, long)),
            unproven,
        )
        for what, ways, state, stands, killed in rows
    }


LEFT = (
    read(OUT, "deliver")
    | read(OUT_LONG, "deliver", long=True)
    | read(OUT_AGAIN, "deliver", Run("deliver", "before symlink * products"))
    | read(OUT_SECOND, "deliver", DELIVERED, Run("qa-fail"))
    | read(OUT_NEXT, "deliver", DELIVERED, Run("retrieve"))
    | read(HOME, "retrieve", DELIVERED)
    | read(HOME_UNPROVEN, "retrieve", DELIVERED, unproven="rawdata")
    | read(HOME_FAILED, "qa-fail", DELIVERED)
    | read(DONE, "deliver")
    | read(DONE_LONG, "deliver", long=True)
    | read(DONE_BEHIND_A_JOB, "post-script")
    | read(DONE_HOME, "retrieve", DELIVERED)
    | read(DONE_FAILED, "qa-fail", DELIVERED)
)


class Released:
    """The released program, ready to be started; from ``with`` to its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        with tarfile.open(_ARCHIVE) as archive:
            archive.extractall(self._folder, filter="data")
        # COVERAGE_: what is measured is the program of today.
        dropped = ("CONVEYOR_", "CAPO_", "COVERAGE_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        environment |= dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"), str(self._folder))
        self._server = subprocess.Popen(
            [sys.executable, "-P", str(_HERE / "released_program.py"), str(self._folder / "src")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=self._folder,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()
        shutil.rmtree(self._folder)

    def run(self, run: Run, *options: str, exchange: bool, number: int) -> int:
        """Run, to the end or to the call where the run gets the signal of this ``number``; its pid."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        output = self._folder / "output"
        words = (*POST_SCRIPT, "deliver") if run.command == "post-script" else (run.command,)
        request = {"arguments": [*words, *options], "output": str(output), "exchange": exchange}
        request |= {"long": run.long, "point": run.killed, "number": number}
        print(json.dumps(request), file=self._server.stdin, flush=True)
        answer = json.loads(self._server.stdout.readline())
        wanted = 0 if run.killed == "never" else -number
        assert answer["status"] == wanted, f"{run} ended with {answer['status']}: {output.read_text()}"
        pid: int = answer["pid"]
        return pid


class Stage:
    """A request that the released program and that of today carry in the same way."""

    def __init__(self, released: Released, today: Program, way: str, near: Path, far: Path) -> None:
        self._released = released
        self._today = today
        self._exchanges = way in ("exchange", "copy")
        self.copies = way.startswith("copy")
        workspace = make_workspace(near / "workspaces", qa_root=far)
        add_files_that_show_a_crash(workspace)
        self.spool, self.qa, self.cache = workspace.spool, workspace.qa, workspace.weblog.parent
        config = near / "conveyor.toml"
        config.write_text(_CONFIG.format(qa_root=far))
        self._options = ("--config", str(config), "-c", "two", str(workspace.metadata))
        self._page = "observation overview"
        self.before = self._data(self.spool)
        self._others = self._other_files()

    def leave(self, *runs: Run, number: int = signal.SIGKILL) -> int:
        """Let the released program run, with another weblog once it has been home; the pid of the last run."""
        for number_of_run, run in enumerate(runs):
            if number_of_run > 1 and run.command == "deliver":
                self._page = "another page"
                self.write(self.spool / "products" / "weblog.tgz", weblog_tar(page=self._page))
            if run.long:
                self._add_directories()
            pid = self._released.run(run, *self._options, exchange=self._exchanges, number=number)
        return pid

    def _add_directories(self) -> None:
        """Make a manifest of several pages, so that SQLite writes some of them before it commits."""
        for number in range(60):
            (self.spool / "rawdata" / "more" / str(number)).mkdir(parents=True)
        self.before = self._data(self.spool)

    def write(self, path: Path, content: bytes) -> None:
        """Write to a file as the request's owner does: from now on, this is what must not be lost."""
        path.write_bytes(content)
        self.before |= self._data(self.qa if path.is_relative_to(self.qa) else self.spool)

    def stands(self, name: str) -> bool:
        """Tell if a name, or a pattern of names, stands at an end or in the cache, or in its ``.conveyor``."""
        place, _, below = name.partition("/")
        folder: Path = getattr(self, place)
        return any(glob(below, root_dir=inner, include_hidden=True) for inner in (folder, folder / ".conveyor"))

    def run(self, command: str, status: int = 0) -> dict[str, Any]:
        """Run the program of today; return what its JSON document says of the request."""
        run = self._today.start(command, "--json", *self._options, refuse_exchange=not self._exchanges)
        ending = run.wait()
        assert ending.status == status, f"{command} ended with {ending.status}: {ending.err}"
        return ending.request

    def convey(self, then: str) -> None:
        """Deliver or bring home, with all checks."""
        if then == "deliver":
            self.deliver()
        else:
            self.retrieve()

    def deliver(self) -> None:
        """Deliver, and check that all is in QA as it was, and that nothing else is there."""
        seen = self.run("deliver")
        assert (seen["state"], seen["warnings"]) == ("in-qa", [])
        assert self._data(self.qa) == self.before
        links = {path.name for path in self.qa.iterdir() if path.is_symlink()}
        assert all((self.qa / name).samefile(self.spool / name) for name in links), "not to what stays in spool"
        assert {path.name for path in self.qa.iterdir()} - links == {*NAMES, "READY", ".conveyor"}
        assert all((self.spool / name).is_symlink() for name in NAMES)
        assert all((self.spool / name).samefile(self.qa / name) for name in NAMES)
        ready = json.loads((self.qa / "READY").read_text())
        assert (ready["schema"], ready["request"]) == ("conveyor-ready/1", self.spool.name)
        assert (Path(ready["weblog"]) / HTML / "index.html").read_text() == self._page

    def verify(self, unproven: str = "") -> None:
        """Check that the manifests, those of the released program too, say that all is as it was copied."""
        for one in self.run("verify", 74 if unproven else 0)["verified"]:
            proven = "damaged" if one["directory"] == unproven else "whole"
            assert one["manifest"] == (proven if self.copies else "none")
            assert not any(one[became] for became in ("rotted", "changed", "touched", "missing", "new"))

    def retrieve(self) -> None:
        """Bring home, and check that all is as it was, and that nothing else is left."""
        logs = self._logs()
        seen = self.run("retrieve")
        assert (seen["state"], seen["warnings"]) == ("in-spool", [])
        assert self._data(self.spool) == self.before
        assert self._other_files() == self._others
        assert {path.name for path in self.spool.iterdir()} == {"working", *NAMES, *self._others, ".conveyor"}
        # Who finds nothing to do takes no claim, and leaves that of a run that died.
        kept = {*LOGS, "qa-fail.json"} | ({"claim.1"} if not seen["changed"] else set())
        assert {path.name for path in (self.spool / ".conveyor").iterdir()} <= kept
        assert [*self.qa.parent.iterdir()] == []
        assert not self.cache.exists() or {path.name for path in self.cache.iterdir()} <= {self.spool.name}
        assert all(now.startswith(then) for then, now in zip(logs, self._logs(), strict=True))

    def _logs(self) -> list[str]:
        """The texts of the request's own logs, which are only ever added to."""
        logs = [self.spool / ".conveyor" / name for name in LOGS]
        return [log.read_text() if log.exists() else "" for log in logs]

    def _data(self, folder: Path) -> dict[bytes, tuple[object, ...]]:
        return data_in(folder, NAMES)

    def _other_files(self) -> dict[str, bytes]:
        """The files beside the directories, which no conveyance may touch."""
        return {path.name: path.read_bytes() for path in self.spool.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    """The released program."""
    with Released(tmp_path_factory.mktemp("released")) as ready:
        yield ready


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program of today."""
    with Program(tmp_path_factory.mktemp("today")) as ready:
        yield ready


@pytest.fixture
def stage(released: Released, today: Program, way: str, memory_folder: Path, tmp_path: Path) -> Stage:
    """A request to be carried in one way."""
    if not way.startswith("copy"):
        return Stage(released, today, way, memory_folder, memory_folder)
    if memory_folder.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("the tests' own folder is on tmpfs as well: there is no second file system")
    return Stage(released, today, way, memory_folder, tmp_path)


EVERY_STATE = [pytest.param(left, way, id=f"{what}, {way}") for what, left in LEFT.items() for way in left.ways]


THEN = pytest.mark.parametrize("then", ["deliver", "retrieve"])
BY_COPY = pytest.mark.parametrize("way", ["copy", "copy without exchange"])


@THEN
@pytest.mark.parametrize(("left", "way"), EVERY_STATE)
def test_what_is_left_is_finished_or_brought_home(stage: Stage, left: Left, then: str) -> None:
    """Whatever the released program left is known for what it is, and is delivered or comes home whole by one more run."""
    stage.leave(*left.runs)
    assert stage.stands(left.stands)
    assert stage.run("status")["state"] == left.state
    stage.convey(then)
    if then == "deliver":
        stage.verify(left.unproven)


@THEN
@BY_COPY
def test_a_manifest_of_which_half_is_written_is_taken_back(stage: Stage, then: str) -> None:
    """If a run died while SQLite wrote to a manifest, its journal is honoured, and the copy is whole in the end."""
    stage.leave(Run("deliver", "before commit copied", long=True))
    # Other first bytes, and SQLite would drop the journal unread: https://www.sqlite.org/fileformat2.html
    magic = bytes.fromhex("d9d505f920a163d7")
    assert (stage.spool / ".conveyor" / "rawdata.manifest-journal").read_bytes().startswith(magic)
    stage.convey(then)
    if then == "deliver":
        stage.verify()


@THEN
@pytest.mark.parametrize("written", ["spool", "qa"])
@pytest.mark.parametrize("way", ["copy"])
def test_what_was_written_to_a_copy_or_its_source_is_kept(stage: Stage, written: str, then: str) -> None:
    """By the released program's mark and manifest it is told which of a copy and its source somebody wrote to since."""
    stage.leave(COPY_BESIDE_ITS_SOURCE)
    stage.write(getattr(stage, written) / "rawdata" / "folder" / "file.txt", b"written since")
    stage.convey(then)


@pytest.mark.parametrize("way", ["copy"])
def test_what_was_written_to_both_is_kept_and_told(stage: Stage) -> None:
    """If somebody wrote to both, nothing is done, and the message names the two."""
    stage.leave(COPY_BESIDE_ITS_SOURCE)
    both = [folder / "rawdata" / "folder" / "file.txt" for folder in (stage.spool, stage.qa)]
    for path in both:
        path.write_text(str(path))
    for command in ("deliver", "retrieve", "qa-fail"):
        error = stage.run(command, 73)["error"]
        assert error["code"] == "both-sides"
        assert all(str(path.parents[1]) in error["message"] for path in both)
    assert [path.read_text() for path in both] == [str(path) for path in both]


@BY_COPY
def test_what_analysts_did_is_told_by_an_old_manifest_and_comes_home(stage: Stage) -> None:
    """An old manifest tells what was changed, removed and added in QA since, path by path; all of it comes home."""
    stage.leave(DELIVERED)
    products = stage.qa / "products"
    stage.write(products / "qa_report.txt", b"PASS")
    (products / "link").unlink()
    stage.write(stage.qa / "rawdata" / "folder" / "file.txt", b"flagged")
    del stage.before[b"products/link"]
    verified = {one["directory"]: one for one in stage.run("verify")["verified"]}
    assert [one["manifest"] for one in verified.values()] == ["whole", "whole"]
    assert verified["rawdata"]["changed"] == ["folder/file.txt"]
    assert verified["products"]["new"] == ["qa_report.txt"]
    assert verified["products"]["missing"] == ["link"]
    stage.retrieve()


@THEN
@pytest.mark.parametrize("way", ["exchange"])
def test_a_run_of_the_released_program_is_waited_for(stage: Stage, then: str) -> None:
    """As long as the released program lives, that of today leaves its request alone; then it finishes what was begun."""
    pid = stage.leave(Run("deliver", "before symlink * products"), number=signal.SIGSTOP)
    try:
        for command in ("deliver", "retrieve", "qa-fail"):
            assert stage.run(command, 75)["error"]["code"] == "locked"
    finally:
        gone = os.pidfd_open(pid)
        os.killpg(pid, signal.SIGKILL)
        select.select([gone], [], [])
        os.close(gone)
    stage.convey(then)


def test_the_archive_is_of_the_commit_that_its_name_says() -> None:
    """Git has put the whole name of the commit into the archive."""
    with tarfile.open(_ARCHIVE) as archive:
        assert archive.pax_headers["comment"].startswith(_ARCHIVE.name.removesuffix(".tar.gz"))
