"""This host and this account: what Conveyor needs of them beside the file systems."""

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


def account(scene: Workspace) -> Iterator[Finding]:
    """Who looks, and with what: what another account may do, this one cannot tell."""
    uid = scene.visit.environment.host.account()
    python = f"Conveyor {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
    yield ok("account", "program", f"{python}, on {platform.node()} as {_name(uid)}")
    if uid == 0:
        yield info(
            "account",
            "account",
            "this is root, who passes every check of permissions",
            "run this as the account that conveys, to see what that may do",
        )


def identity(scene: Workspace) -> Iterator[Finding]:
    """Whether a claim whose holder died here will be recognised: see ``engine.host``."""
    mine = scene.visit.environment.host.this_process()
    lacking = {
        "boot id (/proc/sys/kernel/random/boot_id)": mine.boot,
        "PID namespace (/proc/self/ns/pid)": mine.namespace,
        "start time of a process (/proc/<pid>/stat)": mine.started,
    }
    missing = [name for name, value in lacking.items() if not value]
    if missing:
        yield warning(
            "identity",
            "host",
            f"cannot read the {', the '.join(missing)}: a holder that died on this host is never recognised as dead",
            "mount /proc for this account; until then 'conveyor unlock' frees such a request",
        )
    elif not mine.machine:
        yield warning(
            "identity",
            "host",
            "there is no machine id (/etc/machine-id): a claim from before a restart of this host is not recognised as "
            "dead, since another host of this name could have made it",
            "as root, run this once:",
            "systemd-machine-id-setup",
        )
    else:
        yield ok("identity", "host", "a conveyance that dies on this host is recognised as dead, also after a restart")


def exchange_call(_: Workspace) -> Iterator[Finding]:
    """Whether the C library can ask for an exchange at all."""
    if has_exchange():
        yield ok("exchange-call", "C library", "has renameat2, so two names can trade places where the file system can")
    else:
        yield warning(
            "exchange-call",
            "C library",
            "has no renameat2: a path is missing for a moment while its directory moves",
            "run Conveyor with a Python that is linked to glibc 2.28 or newer",
        )


def umask(scene: Workspace) -> Iterator[Finding]:
    """Whether group and web server will be able to read what this account makes."""
    mask = scene.visit.environment.host.umask()
    if mask is None:
        yield info("umask", "umask", "cannot be told, since /proc/self/status does not say it")
        return
    text = f"{mask:04o}"
    if mask & 0o050:
        yield warning(
            "umask",
            "umask",
            f"{text} keeps the group from reading the weblogs and QA folders that this account makes",
            "where this account starts its conveyances, set:",
            "umask 0022",
        )
    elif mask & 0o005:
        yield info(
            "umask",
            "umask",
            f"{text}: only members of a folder's group can read new weblogs; the web server has to be one",
        )
    else:
        yield ok("umask", "umask", f"{text}: group and web server can read new weblogs and QA folders")


def settings(scene: Workspace) -> Iterator[Finding]:
    """Where the settings come from; CAPO's, where a property is mapped."""
    config = scene.visit.config
    source = f"from {config.file}" if config.file else "there is no configuration file, and none is needed"
    yield ok("settings", "settings", source)
    for name, key in config.values.capo.items():
        origin = config.origins[name]
        if origin.startswith("CAPO"):
            yield ok("settings", f"setting {name}", f"from {origin}")
        elif origin == "default":
            yield warning(
                "settings",
                f"setting {name}",
                f"CAPO has no property {key}, so the default is in force",
                "is CAPO_PROFILE the right one? This shows what is in force:",
                "conveyor config",
            )
        else:
            yield info("settings", f"setting {name}", f"mapped to CAPO's {key}, but {origin} goes before it")


def capabilities(scene: Workspace) -> Iterator[Finding]:
    """Whether every registered capability can be used."""
    try:
        registered = Registry(scene.visit.config).everything()
    except ConveyorError as failure:
        yield error("capabilities", "capabilities", failure.message, failure.hint, "conveyor capabilities")
        return
    usable = [entry.name for entry in registered if entry.capability]
    yield ok("capabilities", "capabilities", ", ".join(usable))
    for entry in registered:
        if entry.problem:
            yield warning(
                "capabilities",
                f"capability {entry.name}",
                f"of {entry.owner} cannot be used: {entry.problem}",
                "repair or remove the package that provides it; other capabilities are not affected",
            )


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}, which has no name here"
