"""As many processors are used as are this process's own, on a machine that others use too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem import processors as module
from conveyor.filesystem.processors import processors
from conveyor.filesystem.treecopy.copy_options import CopyOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine of 64 processors without limits, seen anew by each test."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(module, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(module, "_OWN", tmp_path / "own")
    monkeypatch.delenv("_CONDOR_MACHINE_AD", raising=False)
    processors.cache_clear()
    yield
    processors.cache_clear()


def test_all_that_this_process_may_run_on_are_used() -> None:
    """Without limits, every processor counts; a copy takes sixteen at most."""
    assert processors() == 64
    assert CopyOptions().workers == 16


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        (
            "4:memory:/a\n1:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("1:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
    ],
    ids=["of a parent", "less than one", "version 1", "none"],
)
def test_a_quota_of_a_control_group_is_a_limit(tmp_path: Path, own: str, files: dict[str, str], expected: int) -> None:
    """Of both versions of control groups, and of those above, the least counts."""
    (tmp_path / "own").write_text(own)
    for name, content in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert processors() == expected


def test_a_job_of_htcondor_uses_what_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slot's processors are a limit, and a copy by two processes is within the request of one."""
    ad = tmp_path / "machine.ad"
    ad.write_text('Name = "slot1_1@host"\nTotalCpus = 64.0\nCpus = 1\n')
    monkeypatch.setenv("_CONDOR_MACHINE_AD", str(ad))
    assert processors() == 1
    assert CopyOptions().workers == 2
