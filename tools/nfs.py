"""A real server of NFS and its clients, on one machine.

For root in a machine that is thrown away afterwards, as ``python -m tools.machine`` has one.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench import UnavailableError
from tools.client_host import ClientHost

if TYPE_CHECKING:
    from tools.bench import Bench

_STATE = Path("/var/lib/nfs")
_PIPES = Path("/run/rpc_pipefs")
_THREADS = 8
_OPTIONS = "rw,insecure,no_root_squash,no_subtree_check,crossmnt"


class Server:
    """The kernel's server, of two file systems: ``root`` and, mounted in that, ``other``."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        if "nfsd" not in Path("/proc/filesystems").read_text(encoding="ascii"):
            raise UnavailableError("this kernel serves no NFS")
        for account in ("_rpc", "statd"):
            if subprocess.run(["id", account], check=False, capture_output=True).returncode:
                bench.run("useradd", "--system", account)
        for name in ("v4recovery", "sm", "sm.bak"):
            (_STATE / name).mkdir(parents=True, exist_ok=True)
        for name in ("etab", "rmtab", "state"):
            (_STATE / name).touch()
        for folder in (_PIPES, Path("/run/rpcbind"), Path("/run/sendsigs.omit.d")):
            folder.mkdir(parents=True, exist_ok=True)
        self.root = bench.image("ext4", name="exported")
        self.other = bench.image("ext4", name="exported/other")
        bench.mount("/proc/fs/nfsd", "mount", "-t", "nfsd", "nfsd")
        bench.mount(str(_PIPES), "mount", "-t", "rpc_pipefs", "rpc_pipefs")
        for daemon in (("rpcbind", "-w"), ("rpc.statd", "--no-notify"), ("nfsdcld",), ("rpc.mountd",)):
            bench.run(*daemon)
        self.start()
        self.offer()

    def start(self) -> None:
        self._bench.run("rpc.nfsd", "--grace-time", 10, _THREADS)

    def stop(self) -> None:
        """Answer nobody, as a server that is down."""
        self._bench.run("rpc.nfsd", 0)

    def offer(self) -> None:
        """Export both file systems."""
        for number, folder in enumerate((self.root, self.other)):
            self._bench.run("exportfs", "-i", "-o", f"{_OPTIONS},fsid={number}", f"*:{folder}")

    def withdraw(self) -> None:
        """Export nothing, to clients that have it mounted either."""
        self._bench.run("exportfs", "-ua")
        self._bench.run("exportfs", "-f")

    def path(self, folder: Path, version: str) -> str:
        """The path by which a client mounts a folder: since version 4, as seen from the root of all exports."""
        return str(folder) if version.startswith("3") else f"/{folder.relative_to(self.root)}"


@dataclass(frozen=True)
class Client:
    """A client of the server on a host of its own."""

    host: ClientHost
    server: Server

    @classmethod
    def make(cls, bench: Bench, server: Server, number: int) -> Client:
        """Give a client its host."""
        return cls(ClientHost.make(bench, number), server)

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command, so that it runs on this client."""
        return self.host.prefix

    def mount(self, folder: Path, version: str, *options: str) -> Path:
        """Mount a folder of the server; the place."""
        what = f"{self.host.server_address}:{self.server.path(folder, version)}"
        chosen = ",".join((f"vers={version}", *options))
        return self.host.mount(f"{version}-{folder.name}", "mount", "-t", "nfs", "-o", chosen, what)
