"""Write the tables of ``docs/reference/file-systems.md``: what each file system does, tried on the real thing.

Run as root from the root of the project. ``--install`` gets what is missing from Debian's packages; ``--only`` tries some::

    python -m tools.file_systems [--install] [--only LABEL ...] [--print]

Each is mounted by itself, in images and folders that go afterwards. What cannot be mounted here says so in its row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools import smb, way_trials
from tools.bench import Bench, UnavailableError
from tools.client_host import ClientHost
from tools.machine import told_by_machine
from tools.nfs import Client, Server
from tools.way_trials import Places, answer, make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "file-systems.md"
_NOT_TRIED = "not tried"
#: So that a trial of what other clients have in their caches takes seconds.
_CACHES = ("acregmax=10", "acdirmax=10")
_REFUSED = ("EXDEV", "EINVAL")  # of what nobody can see or lock then
#: The columns of the two tables, each with its trial.
WAYS: dict[str, Callable[[Places], str]] = {
    "Exchange": way_trials.exchange,
    "Renames": way_trials.renames,
    "Retag": way_trials.retag,
    "Clone": way_trials.clone,
    "Server copy": way_trials.served,
    "Copy keeps": way_trials.copy,
}
VIEWS: dict[str, Callable[[Places], str]] = {
    "A path during exchanges": way_trials.readers_of_exchanges,
    "A path during renames": way_trials.readers_of_renames,
    "Open files after a rename": way_trials.open_after_a_rename,
    "Open files after a removal": way_trials.open_after_a_removal,
    "Locks after a rename": way_trials.locks,
    "A rename keeps": way_trials.what_a_rename_changes,
}
#: What no trial reaches here, and why.
ELSEWHERE = {
    "Lustre": "its client is no part of Debian's kernel; below it is tried by hand",
    "CephFS": "no cluster was made here",
    "ZFS 2.2": "it is no part of Debian's kernel",
    "bcachefs": "this kernel has none",
}


def _inside(root: Path, *, one: str = "one", other: str = "other") -> Places:
    for name in (one, other):
        (root / name).mkdir(exist_ok=True)
    return Places(root / one, root / other)


def _projects(bench: Bench, root: Path) -> Places:
    places = _inside(root)
    for number, path in ((5, places.one), (7, places.other)):
        bench.run("chattr", "-p", number, "+P", path)
    return places


def _two_mounts(bench: Bench) -> Places:
    places = _inside(bench.image("xfs"))
    return Places(places.one, bench.mount("bound", "mount", "--bind", places.other))


def _subvolumes(bench: Bench) -> Places:
    root = bench.image("btrfs")
    for name in ("one", "other"):
        bench.run("btrfs", "subvolume", "create", root / name)
    return Places(root / "one", root / "other")


def _two_kinds(bench: Bench) -> Places:
    return Places(bench.image("ext4", name="one"), bench.image("xfs", name="other"))


def _overlay(bench: Bench, program: str = "") -> Places:
    """An overlay of two layers, with trees in the lower one."""
    below = bench.image("ext4")
    layers = {name: below / name for name in ("lower", "upper", "work")}
    for path in layers.values():
        path.mkdir()
    names = [f"below{number}" for number in range(len(WAYS) + len(VIEWS) + 1)]
    for name in ("one", "other"):
        (layers["lower"] / name).mkdir()
    for name in names:
        make_tree(layers["lower"] / "one" / name)
    options = ",".join(f"{name}dir={path}" for name, path in layers.items())
    command = (program, "-o", options) if program else ("mount", "-t", "overlay", "overlay", "-o", options)
    point = bench.mount("overlay", *command)
    return Places(point / "one", point / "other", iter(names))


def _overlay_upper(bench: Bench) -> Places:
    places = _overlay(bench)
    return Places(places.one, places.other)


def _sshfs(bench: Bench) -> Places:
    server = bench.root / "server"
    server.write_text("#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n")
    server.chmod(0o755)
    below = bench.image("ext4")
    command = ("sshfs", "-o", f"no_contain_symlinks,ssh_command={server}", f"localhost:{below}")
    here, there = (bench.mount(point, *command) for point in ("here", "there"))
    return replace(_inside(here), elsewhere=there / "one")


def _bindfs(bench: Bench) -> Places:
    return _inside(bench.mount("bindfs", "bindfs", bench.image("ext4")))


def _mergerfs(bench: Bench) -> Places:
    """Two branches: what goes from one folder to the other goes from one file system to the other."""
    branches = bench.image("ext4", name="branch1"), bench.image("ext4", name="branch2")
    for branch, name in zip(branches, ("one", "other"), strict=True):
        (branch / name).mkdir()
    point = bench.mount("mergerfs", "mergerfs", "-o", "minfreespace=0", ":".join(map(str, branches)))
    return Places(point / "one", point / "other")


def _gluster(bench: Bench) -> Places:
    below, work = bench.image("ext4"), bench.folder("glusterd")
    (below / "brick").mkdir()
    bench.start("glusterd", "--no-daemon", f"--xlator-option=*.working-directory={work}")
    name, host = f"trial{os.getpid()}", platform.node()
    _patiently(bench, "gluster", "--mode=script", "volume", "create", name, f"{host}:{below}/brick", "force")
    bench.at_end("gluster", "--mode=script", "volume", "delete", name)
    bench.at_end("gluster", "--mode=script", "volume", "stop", name, "force")
    bench.run("gluster", "--mode=script", "volume", "start", name)
    here, there = (bench.mount(point, "mount", "-t", "glusterfs", f"{host}:/{name}") for point in ("here", "there"))
    return replace(_inside(here), elsewhere=there / "one")


def _moosefs(bench: Bench) -> Places:
    below, work = bench.image("ext4"), bench.folder("moosefs")
    for name in ("master", "chunks"):
        (work / name).mkdir()
    (below / "disk").mkdir()
    empty = Path("/var/lib/mfs/metadata.mfs.empty")
    if not empty.exists():
        raise UnavailableError("MooseFS is not installed")
    shutil.copy(empty, work / "master" / "metadata.mfs")
    (work / "exports.cfg").write_text("* / rw,alldirs,admin,maproot=0:0\n")
    (work / "hdd.cfg").write_text(f"{below}/disk\n")
    common = "WORKING_USER=root\nWORKING_GROUP=root\n"
    (work / "master.cfg").write_text(f"{common}DATA_PATH={work}/master\nEXPORTS_FILENAME={work}/exports.cfg\n")
    (work / "chunk.cfg").write_text(
        f"{common}DATA_PATH={work}/chunks\nHDD_CONF_FILENAME={work}/hdd.cfg\nMASTER_HOST={_address()}\n"
    )
    bench.start("mfsmaster", "-f", "-c", work / "master.cfg", "start")
    bench.start("mfschunkserver", "-f", "-c", work / "chunk.cfg", "start")
    here, there = (bench.folder(name) for name in ("here", "there"))
    for point in (here, there):
        _patiently(bench, "mfsmount", point, "-H", _address())
        bench.at_end("umount", "--lazy", point)
    _wait_for_room(here)  # the chunk server has to tell the master of its disk
    return replace(_inside(here), elsewhere=there / "one")


def _nfs(bench: Bench, version: str) -> Places:
    server = Server(bench)
    here, there = (Client.make(bench, server, number).mount(server.root, version, *_CACHES) for number in (1, 2))
    return replace(_inside(here, other="another"), elsewhere=there / "one")  # at "other" the second export is mounted


def _nfs_of_two(bench: Bench, version: str) -> Places:
    server = Server(bench)
    here, there = (Client.make(bench, server, number) for number in (1, 2))
    one, other = (here.mount(folder, version, *_CACHES) for folder in (server.root, server.other))
    return Places(one, other, elsewhere=there.mount(server.root, version, *_CACHES))


def _ext4_to_nfs(bench: Bench) -> Places:
    server = Server(bench)
    return Places(bench.image("ext4"), Client.make(bench, server, 1).mount(server.root, "4.2", *_CACHES))


def _smb(bench: Bench) -> Places:
    server, (here, there) = smb.Server(bench), (ClientHost.make(bench, number) for number in (1, 2))
    return replace(_inside(server.mount(here, "one")), elsewhere=server.mount(there, "one") / "one")


def _smb_of_two(bench: Bench) -> Places:
    server, (here, there) = smb.Server(bench), (ClientHost.make(bench, number) for number in (1, 2))
    one, other = (server.mount(here, share) for share in ("one", "other"))
    return Places(one, other, elsewhere=server.mount(there, "one"))


def _ext4_to_smb(bench: Bench) -> Places:
    return Places(bench.image("ext4"), smb.Server(bench).mount(ClientHost.make(bench, 1), "other"))


def _patiently(bench: Bench, *command: object) -> None:
    """Run a command until a server that was started answers."""
    for left in reversed(range(20)):
        try:
            bench.run(*command)
            return
        except UnavailableError:
            if not left:
                raise
            time.sleep(1)


def _address() -> str:
    """This host's address in its network: MooseFS takes no other. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def _wait_for_room(point: Path) -> None:
    for _ in range(30):
        if os.statvfs(point).f_bavail:
            return
        time.sleep(1)
    raise UnavailableError("no chunk server came")


def _kernel(_: Bench) -> str:
    return f"Linux {platform.release().split('-')[0]}"


def _debian(package: str) -> Callable[[Bench], str]:
    return lambda bench: f"{package} {bench.run('dpkg-query', '-W', '-f', '${Version}', package)}"


@dataclass(frozen=True)
class Kind:
    """A file system, or two: how they are mounted, and what they need of Debian's packages.

    ``quick``: tried each time. ``in_machine``: under a kernel of its own, since this host's may lack what it needs.
    """

    label: str
    mount: Callable[[Bench], Places]
    package: str = ""
    version: Callable[[Bench], str] = _kernel
    quick: bool = True
    in_machine: bool = False


def _of_package(label: str, mount: Callable[[Bench], Places], package: str) -> Kind:
    return Kind(label, mount, package, _debian(package), quick=False)


KINDS = (
    Kind("ext4", lambda bench: _inside(bench.image("ext4")), "e2fsprogs"),
    Kind(
        "ext4, two project IDs",
        lambda bench: _projects(bench, bench.ext4_with_projects()),
        "e2fsprogs",
        lambda bench: f"{_kernel(bench)}, without quotas",
    ),
    Kind("xfs", lambda bench: _inside(bench.image("xfs")), "xfsprogs"),
    Kind("xfs, two mounts of it", _two_mounts, "xfsprogs"),
    Kind("xfs, two project IDs", lambda bench: _projects(bench, bench.image("xfs")), "xfsprogs"),
    Kind("xfs without reflink", lambda bench: _inside(bench.image("xfs", "-m", "reflink=0")), "xfsprogs"),
    Kind("btrfs", lambda bench: _inside(bench.image("btrfs")), "btrfs-progs"),
    Kind("btrfs, two subvolumes", _subvolumes, "btrfs-progs"),
    Kind("tmpfs", lambda bench: _inside(bench.mount("tmpfs", "mount", "-t", "tmpfs", "tmpfs"))),
    Kind("overlay, made in it", _overlay_upper),
    Kind("overlay, of its lower layer", _overlay),
    Kind("ext4 to xfs", _two_kinds, "xfsprogs"),
    _of_package(
        "fuse-overlayfs, of its lower layer", lambda bench: _overlay(bench, "fuse-overlayfs"), "fuse-overlayfs"
    ),
    _of_package("bindfs on ext4", _bindfs, "bindfs"),
    _of_package("mergerfs, two branches", _mergerfs, "mergerfs"),
    _of_package("sshfs on ext4", _sshfs, "sshfs"),
    _of_package("GlusterFS on ext4", _gluster, "glusterfs-server"),
    _of_package("MooseFS on ext4", _moosefs, "moosefs-chunkserver"),
    *(
        Kind(f"NFS {version}{areas}", partial(mounted, version=version), quick=False, in_machine=True)
        for version in ("4.2", "3")
        for areas, mounted in ((", one export", _nfs), (", two exports", _nfs_of_two))
    ),
    Kind("ext4 to NFS 4.2", _ext4_to_nfs, quick=False, in_machine=True),
    Kind("SMB 3.1.1, one share", _smb, quick=False, in_machine=True),
    Kind("SMB 3.1.1, two shares", _smb_of_two, quick=False, in_machine=True),
    Kind("ext4 to SMB 3.1.1", _ext4_to_smb, quick=False, in_machine=True),
    Kind("f2fs", lambda bench: _inside(bench.image("f2fs")), quick=False, in_machine=True),
)
#: What else of Debian's packages the trials run.
PACKAGES = ("acl", "openssh-sftp-server", "glusterfs-client", "moosefs-master", "moosefs-client")


def row(kind: Kind) -> tuple[str, dict[str, str]]:
    """The version of a file system, and the cells of its row by column."""
    with (
        tempfile.TemporaryDirectory(prefix="conveyor-trial-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        bench = Bench(Path(folder), stack)
        trials = WAYS | VIEWS
        try:
            version, places = kind.version(bench), kind.mount(bench)
        except UnavailableError as error:
            return f"{_NOT_TRIED}: {error}", dict.fromkeys(trials, _NOT_TRIED)
        cells = {column: answer(trial, places) for column, trial in trials.items()}
        return version, cells | {column: "–" for column in VIEWS if cells[column] in _REFUSED}


def _row_in_machine(kind: Kind) -> tuple[str, dict[str, str]]:
    try:
        version, cells = told_by_machine("tools.file_systems", "--row", kind.label)
    except UnavailableError as error:
        return f"{_NOT_TRIED}: {error}", dict.fromkeys(WAYS | VIEWS, _NOT_TRIED)
    return version, cells


def tables(rows: dict[str, tuple[str, dict[str, str]]]) -> str:
    """The tables, as the page has them."""
    today = datetime.now(tz=UTC).date().isoformat()
    lines = [f"Tried on {today}, with Python {platform.python_version()}, as root."]
    untried = {
        label: version.partition(": ")[2] for label, (version, _) in rows.items() if version.startswith(_NOT_TRIED)
    }
    for columns in (WAYS, VIEWS):
        lines += ["", line(["File system", "Version", *columns]), line(["---"] * (2 + len(columns)))]
        for label, (version, cells) in rows.items():
            lines.append(line([label, "" if label in untried else version, *(cells[one] for one in columns)]))
    lines += ["", "Nobody tried these here:", ""]
    lines += [f"- {label}: {reason}" for label, reason in (untried | ELSEWHERE).items()]
    return "\n".join(lines)


def line(cells: Iterable[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def write_between_marks(page: Path, program: str, made: str) -> None:
    """Put what a program made into a page, in the place of what it made before."""
    begin, end = (f"<!-- made by {program}: {which} -->" for which in ("begin", "end"))
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(f"{before}{begin}\n\n{made}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.file_systems", description=__doc__)
    parser.add_argument("--install", action="store_true", help="install what is missing, by apt-get")
    parser.add_argument(
        "--only", nargs="+", choices=[kind.label for kind in KINDS], metavar="LABEL", help="try only these"
    )
    parser.add_argument("--row", metavar="LABEL", help=argparse.SUPPRESS)
    parser.add_argument("--print", action="store_true", help="print the tables, and leave the page as it is")
    options = parser.parse_args()
    if options.install:
        packages = {*PACKAGES, *(kind.package for kind in KINDS if kind.package)}
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(packages)], check=True)
    os.umask(0o022)
    if options.row:
        [kind] = [kind for kind in KINDS if kind.label == options.row]
        sys.stdout.write(f"\n{json.dumps(row(kind))}\n")
        return
    rows = {}
    for kind in KINDS:
        if not options.only or kind.label in options.only:
            rows[kind.label] = _row_in_machine(kind) if kind.in_machine else row(kind)
            sys.stderr.write(f"{kind.label}: {rows[kind.label]}\n")
    made = tables(rows)
    if options.print or options.only:
        sys.stdout.write(f"{made}\n")
        return
    write_between_marks(PAGE, "tools/file_systems.py", made)


if __name__ == "__main__":
    main()
