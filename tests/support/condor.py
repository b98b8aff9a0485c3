"""A personal HTCondor pool: built from Debian's packages into a folder, without root, containers or a service manager.

``python tests/support/condor.py build FOLDER`` builds one, or prints why it cannot; ``run FOLDER LOCAL COMMAND...`` runs a
command while a pool runs. The packages are trixie's, unpacked together with their own C library, so that they run on older
systems too. The account that starts the pool owns it and its jobs; root may not own jobs.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

_SUITE = "trixie"
_MIRROR = "http://deb.debian.org/debian"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TOOLS = ("apt-get", "dpkg-deb", "tar", "patchelf")
_SYSTEM_PYTHON = "/usr/bin/python3"
_IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"
_PROGRAMS = ("usr/bin/condor_*", "usr/bin/classad_*", "usr/sbin/condor_*", "usr/libexec/condor/*")
_PATIENCE = 60  # seconds

_CONFIGURATION = """\
RELEASE_DIR = {sys}/usr
LIBEXEC = $(RELEASE_DIR)/libexec/condor
LIB = $(RELEASE_DIR)/lib/condor
SHARE = $(RELEASE_DIR)/share/condor
LOCAL_DIR = {local}
LOG = $(LOCAL_DIR)/log
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
LOCK = $(LOCAL_DIR)/lock
RUN = $(LOCAL_DIR)/run
LOCAL_CONFIG_DIR =
LOCAL_CONFIG_FILE =
use ROLE : CentralManager, Submit, Execute
use SECURITY : recommended_v9_0
CONDOR_IDS = {uid}.{gid}
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:{port}
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
ENABLE_IPV6 = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = pool.invalid
UID_DOMAIN = pool.invalid
FILESYSTEM_DOMAIN = pool.invalid
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
SEC_CLIENT_AUTHENTICATION_METHODS = FS
FS_LOCAL_DIR = {local}/fs
SEC_FS_ENFORCE_CHANNEL_BINDING = False
ALLOW_ADMINISTRATOR = {user}@*
ALLOW_DAEMON = {user}@*, condor_pool@*, condor@*
ALLOW_NEGOTIATOR = {user}@*, condor_pool@*, condor@*
ALLOW_READ = *
ALLOW_WRITE = {user}@*
ENABLE_KERNEL_TUNING = False
CREATE_CGROUP_WITHOUT_ROOT = False
BASE_CGROUP =
RunBenchmarks = False
NUM_CPUS = {slots}
MEMORY = 4096
SLOT_TYPE_1 = cpus=1, memory=512
NUM_SLOTS_TYPE_1 = {slots}
SLOT_TYPE_1_PARTITIONABLE = False
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
UPDATE_INTERVAL = 5
PERIODIC_EXPR_INTERVAL = 2
POLLING_INTERVAL = 5
DAGMAN_USER_LOG_SCAN_INTERVAL = 1
DAGMAN_USE_STRICT = 0
DAGMAN_MAX_SUBMIT_ATTEMPTS = 1
"""


def why_not() -> str | None:
    """Why no pool can be built on this machine; None where one can."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    if not _KEYRING.exists():
        return f"needs Debian's keyring, {_KEYRING} (package debian-archive-keyring)"
    if os.uname().machine != "x86_64":
        return "builds from the packages for x86_64 only"
    if os.geteuid() == 0:  # another account runs the pool, and cannot read a Python in root's home
        if shutil.which("setpriv") is None:
            return "needs setpriv, to run the pool as another account than root"
        if subprocess.run([_SYSTEM_PYTHON, "-c", _IS_NEW_ENOUGH], check=False, stderr=subprocess.DEVNULL).returncode:
            return f"needs Python 3.11 or newer at {_SYSTEM_PYTHON}"
    return None


def build(folder: Path) -> None:
    """Download HTCondor's packages and unpack them to ``folder``; some 55 MB to load, 230 MB on disk.

    Raises :class:`ConnectionError` where Debian's mirror does not answer.
    """
    apt = folder / "apt"
    for name in ("lists/partial", "archives/partial", "parts"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {_SUITE} main\n")
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": apt / "parts",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": apt / "parts",
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "Dir::Cache::archives": apt / "archives",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "true",
    }
    command = ["apt-get", "-qq", "-y", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    if subprocess.run([*command, "-o", "APT::Update::Error-Mode=any", "update"], check=False).returncode:
        raise ConnectionError(f"Debian's mirror {_mirror()} does not give the packages of {_SUITE}")
    subprocess.run([*command, "install", "--download-only", "condor"], check=True, stdout=subprocess.DEVNULL)
    root = folder / "sys"
    root.mkdir()
    for package in sorted((apt / "archives").glob("*.deb")):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as content:
            unpack = ["tar", "-x", "--no-same-owner", "--keep-directory-symlink", "-C", str(root)]
            subprocess.run(unpack, stdin=content.stdout, check=True)
    _give_own_library(root)
    shutil.rmtree(apt)


def _mirror() -> str:
    """The mirror of Debian that this machine uses, as apt knows it."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Label: Debian"]
    known = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return known[0] if known else _MIRROR


def _give_own_library(root: Path) -> None:
    """Let the programs use the C library that came with them. By RPATH: jobs and scripts must not inherit it."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    paths = f"{root / 'usr/lib'}:{libraries}:{libraries / 'condor'}"
    for program in (path for pattern in _PROGRAMS for path in root.glob(pattern)):
        if not program.is_symlink() and program.is_file() and program.read_bytes()[:4] == b"\x7fELF":
            changes = ["--force-rpath", "--set-rpath", paths]
            if ".so" not in program.suffixes:
                changes += ["--set-interpreter", str(libraries / "ld-linux-x86-64.so.2")]
            subprocess.run(["patchelf", *changes, program], check=True)


class Pool:
    """A pool that runs from ``with`` to its end, of the account that starts it, on loopback only."""

    def __init__(self, built: Path, local: Path, slots: int = 4) -> None:
        self._sys = built / "sys"
        self._local = local
        self._slots = slots
        self._pid = local / "master.pid"
        self.config = local / "condor_config"

    @property
    def environment(self) -> dict[str, str]:
        """What the pool's programs and the bindings need to find it."""
        # Last: what else was unpacked there does not run with this system's libraries.
        path = f"{os.environ['PATH']}:{self._sys}/usr/bin:{self._sys}/usr/sbin"
        return {"CONDOR_CONFIG": str(self.config), "PATH": path}

    def run(self, program: str, *arguments: object, cwd: Path | None = None) -> str:
        """Run one of the pool's programs; what it printed. Raises AssertionError with its words where it fails."""
        done = subprocess.run(
            [str(self._sys / "usr/bin" / program), *map(str, arguments)],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
        )
        assert done.returncode == 0, f"{program} {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            raise PermissionError("root may not own jobs: start the pool as another account")
        for name in ("log", "spool", "execute", "lock", "run", "fs"):
            (self._local / name).mkdir(parents=True)
        (self._local / "fs").chmod(0o1777)
        (self._local / "execute").chmod(0o1777)
        me = pwd.getpwuid(os.geteuid())
        self.config.write_text(
            _CONFIGURATION.format(
                sys=self._sys,
                local=self._local,
                uid=me.pw_uid,
                gid=me.pw_gid,
                user=me.pw_name,
                port=_free_port(),
                slots=self._slots,
            )
        )
        master = [str(self._sys / "usr/sbin/condor_master"), "-pidfile", str(self._pid)]
        subprocess.run(master, env=os.environ | self.environment, check=True)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        pid = int(self._pid.read_text())
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
            for _attempt in range(_PATIENCE * 10):
                os.kill(pid, 0)
                time.sleep(0.1)
            os.kill(pid, signal.SIGKILL)

    def _wait(self) -> None:
        """Until the pool has a scheduler and its slots. Raises TimeoutError with what the daemons logged last."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            with suppress(AssertionError):
                names = self.run("condor_status", "-af", "Name").split()
                if len(names) >= self._slots and self.run("condor_status", "-schedd", "-af", "Name").split():
                    self.run("condor_q")
                    return
            time.sleep(0.2)
        logs = "".join(f"\n--- {log.name}\n{log.read_text()[-3000:]}" for log in (self._local / "log").glob("*Log"))
        self.__exit__()
        raise TimeoutError(f"the pool did not start within {_PATIENCE} s{logs}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _main(arguments: list[str]) -> int:
    match arguments:
        case ["build", folder]:
            try:
                if reason := why_not():
                    print(reason)
                else:
                    build(Path(folder).resolve())
            except ConnectionError as error:
                print(error)
            return 0
        case ["run", folder, local, *command] if command:
            with Pool(Path(folder).resolve(), Path(local).resolve()) as pool:
                return subprocess.run(command, env=os.environ | pool.environment, check=False).returncode
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
