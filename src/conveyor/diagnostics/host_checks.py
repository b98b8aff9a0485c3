"""Checks of this host and this account: what Conveyor needs of them beside the file systems."""

from __future__ import annotations

import platform
import pwd
from typing import TYPE_CHECKING

from conveyor._version import __version__
from conveyor.capabilities.registry import Registry
from conveyor.diagnostics.findings import error, info, ok, warning
from conveyor.errors import ConveyorError
from conveyor.filesystem.syscalls import has_exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Workspace


def account(workspace: Workspace) -> Iterator[Finding]:
    """Report the account and the program's versions; permissions are those of this account only."""
    uid = workspace.environment.host.account()
    python = f"Conveyor {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
    yield ok("program", f"{python}, on {platform.node()} as {_name(uid)}")
    if uid == 0:
        advice = "run this as the account that conveys, to see what that may do"
        yield info("account", "running as root, so permission problems do not show", advice)


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}, which has no name here"


def identity(workspace: Workspace) -> Iterator[Finding]:
    """Check that a claim whose holder died on this host will be recognised: see :mod:`conveyor.engine.host`."""
    mine = workspace.environment.host.this_process()
    facts = {
        "boot id (/proc/sys/kernel/random/boot_id)": mine.boot,
        "PID namespace (/proc/self/ns/pid)": mine.namespace,
        "start time of a process (/proc/<pid>/stat)": mine.started,
    }
    missing = [name for name, value in facts.items() if not value]
    if missing:
        what = f"cannot read the {', the '.join(missing)}: a holder that died on this host is never recognised as dead"
        yield warning("host", what, "mount /proc for this account; until then 'conveyor unlock' frees such a request")
    elif not mine.machine:
        yield warning(
            "host",
            "there is no machine id (/etc/machine-id): a claim from before a restart of this host is not recognised as "
            "dead, since another host of this name could have made it",
            "as root, run this once:",
            "systemd-machine-id-setup",
        )
    else:
        yield ok("host", "a conveyance that dies on this host is recognised as dead, also after a restart")


def exchange_call(_: Workspace) -> Iterator[Finding]:
    """Check that the C library has the call that exchanges two names."""
    if has_exchange():
        yield ok("C library", "has renameat2, so two names can trade places where the file system can")
    else:
        what = "has no renameat2: a path is missing for a moment while its directory moves"
        yield warning("C library", what, "run Conveyor with a Python that is linked to glibc 2.28 or newer")


def umask(workspace: Workspace) -> Iterator[Finding]:
    """Check that group and web server will be able to read what this account makes."""
    mask = workspace.environment.host.umask()
    if mask is None:
        yield info("umask", "cannot be told, since /proc/self/status does not say it")
    elif mask & 0o050:
        what = f"{mask:04o} keeps the group from reading the weblogs and QA folders that this account makes"
        yield warning("umask", what, "where this account starts its conveyances, set:", "umask 0022")
    elif mask & 0o005:
        what = "only members of a folder's group can read new weblogs; the web server has to be one"
        yield info("umask", f"{mask:04o}: {what}")
    else:
        yield ok("umask", f"{mask:04o}: group and web server can read new weblogs and QA folders")


def settings(workspace: Workspace) -> Iterator[Finding]:
    """Report the source of the settings, and of each that is mapped to a property of CAPO."""
    config = workspace.options.config
    yield ok("settings", f"from {config.file}" if config.file else "there is no configuration file, and none is needed")
    for name, key in config.values.capo.items():
        origin = config.origins[name]
        if origin.startswith("CAPO"):
            yield ok(f"setting {name}", f"from {origin}")
        elif origin == "default":
            what = f"CAPO has no property {key}, so the default is in force"
            advice = "is CAPO_PROFILE the right one? This shows what is in force:"
            yield warning(f"setting {name}", what, advice, "conveyor config")
        else:
            yield info(f"setting {name}", f"mapped to CAPO's {key}, but {origin} goes before it")


def capabilities(workspace: Workspace) -> Iterator[Finding]:
    """Check that every registered capability can be used, and that no two claim the same workflow."""
    registry = Registry(workspace.options.config)
    try:
        registered = registry.everything()
        registry.check_claims()
    except ConveyorError as failure:
        yield error("capabilities", failure.message, failure.hint, "conveyor capabilities")
        return
    yield ok("capabilities", ", ".join(entry.name for entry in registered if entry.capability))
    for entry in registered:
        if entry.problem:
            what = f"of {entry.owner} cannot be used: {entry.problem}"
            advice = "repair or remove the package that provides it; other capabilities are not affected"
            yield warning(f"capability {entry.name}", what, advice)
