"""The benchmarks measure what they say: everything arrives, nothing stays mounted, and the figures follow from the runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.support.command import together
from benchmarks.support.contestants import CONTESTANTS
from benchmarks.support.memory import Sampler
from benchmarks.support.rounds import in_turn, ratio, spread
from benchmarks.support.table import as_markdown, table
from benchmarks.support.workloads import WORKLOADS, inventory

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
_MACHINE = {"processors": 2, "kernel": "6.1", "python": "3.11", "conveyor": "0", "images_on": "ext4"}


@pytest.fixture(scope="module", autouse=True)
def _bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is measured is compiled once for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


def _run(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--folder", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _measured(folder: Path, name: str, *arguments: str) -> dict[str, Any]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount the file systems that are measured on")
    result = folder / "result.json"
    done = _run(folder, name, *arguments, "--json", str(result))
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [result], "something was left behind"
    assert str(folder) not in Path("/proc/mounts").read_text()
    document = json.loads(result.read_text())
    assert done.stdout.startswith(as_markdown(document))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize(("origin", "target"), [("ext4", "tmpfs"), ("tmpfs", "xfs")])
def test_a_small_comparison_of_copies(tmp_path: Path, origin: str, target: str) -> None:
    """Conveyor and its peers each carry the whole workload once a round, and are timed; nothing stays mounted."""
    some = ["--workload", "A", "--scale", "0.001", "--warm", "--rounds", "2", "--peers", "mv", "cp-diff", "bare"]
    runs = _measured(tmp_path, "copying", *some, "--from", origin, "--to", target)["runs"]
    assert list(runs) == ["mv", "cp-diff", "bare", "conveyor"]
    assert all(len(run["seconds"]) == 2 and min(run["seconds"]) > 0 for run in runs.values())
    for seconds, appeared in zip(runs["conveyor"]["seconds"], runs["conveyor"]["appeared"], strict=True):
        assert 0 < appeared < seconds
    assert [len(steps) for steps in runs["cp-diff"]["steps"]] == [3, 3]


def test_a_small_comparison_within_one_file_system(tmp_path: Path) -> None:
    """Each layout that can be mounted has its own way, which the receipt tells; what refuses no rename is timed too."""
    some = ["--workload", "A", "--scale", "0.001", "--warm", "--rounds", "1", "--layouts", "xfs-projects", "xfs-mounts"]
    layouts = _measured(tmp_path, "same_filesystem", *some)["runs"]
    ways = {name: {key: run["way"] for key, run in layout["runs"].items()} for name, layout in layouts.items()}
    assert ways["xfs-projects"] == {"mv": "", "conveyor": "retag", "conveyor-rename": "exchange"}
    assert ways["xfs-mounts"] == {"mv": "", "cp-reflink": "", "conveyor": "clone"}


def test_a_small_comparison_of_processes(tmp_path: Path) -> None:
    """Each number of processes is timed, with the processor time of all and of the first; what has no say runs once."""
    some = ["--scale", "0.001", "--rounds", "1", "--processes", "1", "2", "--peers", "bare", "mv"]
    runs = _measured(tmp_path, "scaling", *some)["runs"]
    assert list(runs) == ["conveyor-1", "bare-1", "conveyor-2", "bare-2", "mv"]
    assert all(run["own"][0] <= run["user"][0] + run["system"][0] + 0.02 for run in runs.values())
    assert len(runs["conveyor-2"]["own_of_few"]) == len(runs["bare-2"]["user_of_few"]) == 1


def test_a_small_comparison_of_weblogs(tmp_path: Path) -> None:
    """Conveyor and what else unpacks a tar each do it once a round; time, processor time and memory are reported."""
    some = ["--on", "tmpfs", "--files", "20", "--megabytes", "3", "--rounds", "2", "--many", "500"]
    runs = _measured(tmp_path, "weblog", *some)["runs"]
    assert {"conveyor", "conveyor-mixed", "xzf", "tarfile", "inflate-isal"} <= runs.keys()
    assert runs["conveyor"]["memory"]["files"] == 500
    for run in runs.values():
        assert len(run["seconds"]) == len(run["busy"]) == 2
        assert min(run["seconds"]) > 0


def test_a_small_measurement_of_files(tmp_path: Path) -> None:
    """Time and memory are reported for each number of files."""
    runs = _measured(tmp_path, "growth", "files", "--sizes", "1", "150", "--rounds", "1")["runs"]
    assert [run["files"] for run in runs] == [1, 150]
    assert all(run["resident"][0] >= run["proportional"][0] > 1_000_000 for run in runs)


def test_a_small_measurement_of_requests(tmp_path: Path) -> None:
    """Time is reported for both ways of carrying, each number of requests and each number of jobs."""
    sizes = ["requests", "--sizes", "1", "3", "--jobs", "2", "--rounds", "1"]
    runs = _measured(tmp_path, "growth", *sizes)["runs"]
    assert [(run["way"], run["requests"]) for run in runs] == [("rename", 1), ("rename", 3), ("copy", 1), ("copy", 3)]


def test_a_small_look_at_a_workspace(tmp_path: Path) -> None:
    """A workspace in every state is looked at by each command; a request is counted wherever it is."""
    small = ["--sizes", "--whole", "20", "--on", str(tmp_path), "--caches", "warm", "--mounts", "0", "--rounds", "1"]
    runs = _measured(tmp_path, "overview", *small)["runs"]
    assert [run["label"] for run in runs][:3] == ["conveyor status", "conveyor doctor --no-probe", "a bare pass"]
    assert all(run["busy"][0] > 0 for run in runs)


def test_one_file_system_is_no_comparison(tmp_path: Path) -> None:
    """Two folders on one file system are refused, since nothing would be copied; no folder is left in them."""
    endpoints = [tmp_path / "one", tmp_path / "other"]
    for end in endpoints:
        end.mkdir()
    done = _run(
        tmp_path, "copying", "--warm", "--scale", "0.001", "--from", str(endpoints[0]), "--to", str(endpoints[1])
    )
    assert done.returncode == 1
    assert "on one file system" in done.stderr
    assert sorted(tmp_path.iterdir()) == endpoints
    assert not any(path for end in endpoints for path in end.iterdir())


@pytest.mark.parametrize("key", WORKLOADS)
def test_a_workload_is_what_it_says(tmp_path: Path, key: str) -> None:
    """A tree has the number of files that its workload names, fits into the space it asks for, and is the same each time."""
    workload = WORKLOADS[key].scaled(0.002)
    for name in ("one", "other"):
        workload.fill(tmp_path / name)
    count, size = inventory(tmp_path / "one")
    assert count == workload.count
    assert 0 < size <= workload.space
    subprocess.run(["diff", "-r", str(tmp_path / "one"), str(tmp_path / "other")], check=True)


@pytest.mark.parametrize("contestant", [one for one in CONTESTANTS if one.is_installed], ids=lambda one: one.key)
def test_programs_can_be_brought_into_memory(contestant: Any) -> None:
    """What is run beforehand, so that programs are in memory, ends well for each that is installed."""
    for command in contestant.primers:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def test_each_round_begins_with_another() -> None:
    """All run in every round, and the order moves on by one."""
    assert list(in_turn(range(2, 4), "abc")) == [(2, "c"), (2, "a"), (2, "b"), (3, "a"), (3, "b"), (3, "c")]


def test_a_ratio_is_taken_within_each_round() -> None:
    """A round in which everything is slow does not move the ratio, as it would move a ratio of medians."""
    assert ratio([1, 10, 3], [2, 20, 4]) == 0.5


def test_what_is_too_short_for_the_clock_has_no_ratio() -> None:
    """A round in which the other took no time that shows is left out; a table has a dash if that was every round."""
    assert ratio([1, 10], [0.0, 20]) == 0.5
    assert spread([1, 10], [0.0, 20]) == (0.5, 0.5)
    run = {"label": "mv", "verified": False, "seconds": [0.0], "appeared": [0.1]}
    own = run | {"label": "conveyor", "seconds": [1.0]}
    result = {"schema": "conveyor-benchmark-copying/1", "title": "A", "scale": 1, "rounds": 1, "machine": _MACHINE}
    rows = as_markdown(result | {"runs": {"mv": run, "conveyor": own}}).splitlines()
    assert [cell.strip() for cell in rows[4].split("|")[1:-1]] == ["mv", "0.00", "–", "–", "–"]


def test_rounds_are_added_to_a_result() -> None:
    """The rounds of two results stand one after the other, and what describes them stays."""

    def result(seconds: float) -> dict[str, Any]:
        run = {"label": "conveyor deliver", "verified": True, "seconds": [seconds], "appeared": [seconds / 2]}
        what = {"schema": "conveyor-benchmark-copying/1", "title": "T", "machine": _MACHINE, "scale": 1, "rounds": 1}
        return what | {"runs": {"conveyor": run}}

    both = together(result(2), result(4))
    assert both["rounds"] == 2
    assert both["runs"]["conveyor"]["seconds"] == [2, 4]
    assert both["runs"]["conveyor"]["label"] == "conveyor deliver"
    assert "3.00" in as_markdown(both)


def test_a_table_is_aligned() -> None:
    """Every line of a table is as long as every other, with figures to the right."""
    lines = table(["what", "n"], [["a", "1"], ["longer", "1,000"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2] == "| a      |     1 |"


def test_the_figures_in_the_documentation_are_those_of_the_results() -> None:
    """The tables on the page on performance are what the report makes of the results that are kept."""
    results = sorted(map(str, (ROOT / "benchmarks" / "results").glob("*.json")))
    command = [sys.executable, "-m", "benchmarks.report", *results]
    report = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert report == (ROOT / "docs" / "explanation" / "performance-figures.md").read_text()


def test_memory_is_that_of_all_descendants() -> None:
    """A grandchild's memory counts, and both processes do."""
    grandchild = "import sys; block = b'x' * 60_000_000; sys.stdin.read()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}], check=True)"
    deadline = time.monotonic() + 60
    with (
        subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE) as process,
        Sampler() as sampler,
    ):
        while sampler.peak.proportional < 60_000_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.communicate()
    assert sampler.peak.processes >= 2
    assert sampler.peak.resident >= sampler.peak.proportional > 60_000_000
