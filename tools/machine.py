"""Run a command under a kernel of its own: user-mode Linux, with this host's files to read, and what it writes in memory.

What this host's kernel lacks (NFS, quotas of projects, SMB) can be tried there. As root, from the root of the project::

    python -m tools.machine conveyor demo

All of it is Debian's: the kernel, which needs no support by the processor and starts in two seconds, and the packages, which
are unpacked into a folder and laid over the host's files. Nothing is installed. There is one processor, and no network but
the loopback.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO, Any

#: Of Debian: the kernel, what loads its modules, and NFS.
PACKAGES = (
    "user-mode-linux",
    "kmod",
    "iproute2",
    "nfs-kernel-server",
    "nfs-common",
    "rpcbind",
    "samba",
    "cifs-utils",
    "f2fs-tools",
)
FOLDER = Path("build/machine").absolute()
_MODULES = "loop fuse nfsd nfs nfsv3 nfsv4 veth quota_v2 quota_tree cifs f2fs"
#: True if this process runs in such a machine.
IS_INSIDE = Path("/srv/inside").exists()
_MERGED = ("bin", "sbin", "lib", "lib64")
_OPTIONS = ("mem=3G", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1")
_WANTED = " ".join(PACKAGES)

# The first stage sees the host's files, read-only. The second one has the packages and a place to write laid over them.
_FIRST = """#!/bin/bash -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t tmpfs -o size=90% tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/packages
mount -t hostfs -o {packages} none /mnt/packages
overlay=/mnt/packages/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko
(export LD_LIBRARY_PATH=/mnt/packages/usr/lib/x86_64-linux-gnu; exec -a insmod /mnt/packages/usr/bin/kmod $overlay)
mount -t overlay -o lowerdir=/mnt/packages:/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
for place in dev/shm run var/lib/nfs; do mount -t tmpfs tmpfs $place; done
mount -t hostfs -o {shared} none srv
exec chroot . srv/second
"""
_SECOND = """#!/bin/bash
export {environment}
hostname machine
touch /srv/inside
ip link set lo up
for module in {modules}; do modprobe -q $module; done
cd {cwd}
{command} </dev/null >/srv/output 2>&1
echo $? >/srv/status
sync --file-system /srv/status
echo o >/proc/sysrq-trigger
sleep 60
"""
# A processor with wide registers has more of them than Debian's user-mode Linux 6.1 knows, and its kernel takes all or none
# back: those that are not known are written back as they were.
_REGISTERS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
long ptrace(enum __ptrace_request request, ...) {
  static long (*call)(int, pid_t, void *, void *);
  static char registers[1 << 16];
  va_list rest;
  va_start(rest, request);
  pid_t pid = va_arg(rest, pid_t);
  void *kind = va_arg(rest, void *), *data = va_arg(rest, void *);
  va_end(rest);
  if (!call) call = dlsym(RTLD_NEXT, "ptrace");
  if (request != PTRACE_SETREGSET) return call(request, pid, kind, data);
  struct iovec *known = data, all = {registers, sizeof registers};
  if (call(PTRACE_GETREGSET, pid, kind, &all) < 0) return -1;
  memcpy(registers, known->iov_base, known->iov_len < all.iov_len ? known->iov_len : all.iov_len);
  return call(request, pid, kind, &all);
}
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended in the machine: its exit status, and what it said."""

    status: int
    said: str


def run(command: Sequence[str], *, follow: Callable[[str], object] = len, seconds: float = 3600) -> Ran:
    """Run a command in a machine of its own, in this working directory and environment; ``follow`` is told what it says.

    Raises :class:`UnavailableError` if the machine cannot be had, or does not come to its end in that time.
    """
    packages = _prepared(FOLDER)
    with tempfile.TemporaryDirectory(prefix="conveyor-machine-") as name:
        shared = Path(name)
        variables = shlex.join(f"{name}={value}" for name, value in os.environ.items() if name.isidentifier())
        chosen = {"environment": variables, "cwd": shlex.quote(os.getcwd()), "command": shlex.join(command)}
        for stage, text in (("first", _FIRST), ("second", _SECOND)):
            (shared / stage).write_text(text.format(packages=packages, shared=shared, modules=_MODULES, **chosen))
            (shared / stage).chmod(0o755)
        console, output = shared / "console", shared / "output"
        with console.open("wb") as said, output.open("w+", errors="replace") as heard:
            machine = subprocess.Popen(
                [str(packages / "usr/bin/linux.uml"), *_OPTIONS, f"init={shared}/first", f"uml_dir={shared}"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, "LD_PRELOAD": str(FOLDER / "registers.so"), "TMPDIR": name},
            )
            _follow(machine, heard, follow, time.monotonic() + seconds)
        if not (shared / "status").exists():
            raise UnavailableError(f"the machine came to no end: {console.read_text(errors='replace')[-2000:]}")
        return Ran(int((shared / "status").read_text()), output.read_text(errors="replace"))


def told_by_machine(module: str, *arguments: str) -> Any:
    """Run a module of this project there; the document that is the last line of what it says.

    Raises :class:`UnavailableError` as :func:`run`, and if the module fails.
    """
    ran = run([sys.executable, "-m", module, *arguments])
    if ran.status:
        raise UnavailableError(f"in the machine: {ran.said.strip()[-500:]}")
    return json.loads(ran.said.splitlines()[-1])


def _follow(machine: subprocess.Popen[bytes], heard: IO[str], tell: Callable[[str], object], end: float) -> None:
    try:
        while machine.poll() is None and time.monotonic() < end:
            tell(heard.read())
            time.sleep(0.2)
    finally:
        machine.kill()
        machine.wait()
    tell(heard.read())


def _prepared(folder: Path) -> Path:
    """Where the packages are, with those that they need and this host has not; they are fetched once."""
    packages, stamp = folder / "packages", folder / "stamp"
    if stamp.exists() and stamp.read_text() == _WANTED:
        return packages
    debs = folder / "debs"
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    (packages / "usr").mkdir(parents=True, exist_ok=True)
    for name in _MERGED:  # as on the host, on which the packages are laid
        (packages / "usr" / name).mkdir(exist_ok=True)
        if not (packages / name).is_symlink():
            (packages / name).symlink_to(f"usr/{name}")
    apt = ("apt-get", "install", "-y", "-qq", "--reinstall", "--download-only", "--no-install-recommends")
    _do(*apt, "-o", f"Dir::Cache::archives={debs}", "-o", "APT::Sandbox::User=root", *PACKAGES)
    for deb in debs.glob("*.deb"):
        _do("sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar x --keep-directory-symlink -C "$1"', deb, packages)
    modules = packages / "usr/lib/modules"
    if not modules.is_symlink():
        modules.symlink_to("uml/modules")
    for version in modules.iterdir():
        _do("bash", "-c", 'exec -a depmod "$0" -b "$1" "$2"', packages / "usr/bin/kmod", packages, version.name)
    source = folder / "registers.c"
    source.write_text(_REGISTERS)
    _do("cc", "-O2", "-shared", "-fPIC", "-o", folder / "registers.so", source, "-ldl")
    stamp.write_text(_WANTED)
    return packages


def _do(*command: object) -> None:
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UnavailableError(str(error)) from error
    if done.returncode:
        raise UnavailableError(f"`{command[0]}` said: {done.stderr.strip()}")


def _main() -> int:
    try:
        return run(sys.argv[1:], follow=_tell).status
    except UnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return 69


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(_main())
