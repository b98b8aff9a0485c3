"""HTCondor's file transfer and the links that stand in the place of a delivered request's directories."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from conveyor import deliver
from support.dags import wait_until
from support.workspace import make_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from support.condor import Pool

#: By a name: what a job does, what is transferred, and the reason for which it is held, if it is.
_JOBS = {
    "dir": ("ls -R", "transfer_input_files = working", (13, 21)),
    "slash": ("ls -R", "transfer_input_files = working/", None),
    "below": ("ls -R", "transfer_input_files = rawdata/x.ms", None),
    "multi": ("ls -R", "transfer_input_files = rawdata/multi.ms", (13, 21)),
    "file": ("ls -R", "transfer_input_files = working/link", None),
    "nowhere": ("ls -R", "transfer_input_files = working/nowhere", (13, 2)),
    "through": ("mkdir products; touch products/made", "transfer_output_files = products", None),
    "flat": ("mkdir products; touch products/flat", "transfer_output_files = products/flat", None),
    "linked": ("mkdir real; ln -s real linked", "transfer_output_files = linked", (12, 21)),
    "partly": ("mkdir some; touch some/a; ln -s a some/b; ln -s c some/d", "transfer_output_files = some", None),
    "lost": ("ln -s c lost", "transfer_output_files = lost", (12, 2)),
}
_SUBMIT = """\
executable = /bin/sh
transfer_executable = False
arguments = "-c '{command}'"
initialdir = {initial}
log = {folder}/{name}.log
output = {folder}/{name}.out
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
request_memory = 64
{files}
queue
"""


def test_links_in_transfer_lists(pool: Pool, tmp_path: Path) -> None:
    """What the guide's table says of directories that are links, of links in them, and of output."""
    workspace = make_workspace(tmp_path / "workspaces")
    (workspace.spool / "rawdata" / "x.ms").mkdir()
    (workspace.spool / "rawdata" / "multi.ms" / "ANTENNA").mkdir(parents=True)
    (workspace.spool / "rawdata" / "multi.ms" / "FEED").symlink_to("ANTENNA")
    (workspace.spool / "working" / "log").touch()
    (workspace.spool / "working" / "link").symlink_to("log")
    (workspace.spool / "working" / "nowhere").symlink_to("not-there")
    deliver(workspace.metadata).raise_for_error()
    clusters = {}
    for name, (command, files, _) in _JOBS.items():
        text = _SUBMIT.format(name=name, command=command, files=files, folder=tmp_path, initial=workspace.spool)
        (tmp_path / f"{name}.submit").write_text(text)
        clusters[name] = pool.run("condor_submit", "-terse", tmp_path / f"{name}.submit").split(".")[0]
    states = ("condor_q", *clusters.values(), "-af", "JobStatus")
    wait_until(lambda: set(pool.run(*states).split()) <= {"4", "5"}, "the jobs are completed, or held")
    reasons = ("condor_q", *clusters.values(), "-af", "ClusterId", "HoldReasonCode", "HoldReasonSubCode")
    held = {cluster: (int(code), int(more)) for cluster, code, more in map(str.split, pool.run(*reasons).splitlines())}
    assert {name: held.get(cluster) for name, cluster in clusters.items()} == {
        name: reason for name, (_, _, reason) in _JOBS.items()
    }
    listed = {name: set((tmp_path / f"{name}.out").read_text().split()) for name in ("slash", "below", "file")}
    assert {"log", "link"} <= listed["slash"]
    assert "nowhere" not in listed["slash"]
    assert "./x.ms:" in listed["below"]
    assert "link" in listed["file"]
    assert (workspace.qa / "products" / "made").is_file()
    assert (workspace.spool / "flat").is_file()
    assert sorted(path.name for path in (workspace.spool / "some").iterdir()) == ["a", "b"]
    assert stat.S_IMODE((workspace.spool / "linked").stat().st_mode) == 0o666
    pool.run("condor_rm", *clusters.values())
