"""Hosts that are clients of the servers of one machine: each has a network, a host name and caches of its own.

For root in a machine that is thrown away afterwards, as ``python -m tools.machine`` has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tools.bench import Bench


@dataclass(frozen=True)
class ClientHost:
    """A host with a number of its own, at the other end of a cable of this machine."""

    bench: Bench
    number: int

    @classmethod
    def make(cls, bench: Bench, number: int) -> ClientHost:
        """Give a host its network."""
        host = cls(bench, number)
        inside = partial(bench.run, "ip", "-n", host.name)
        bench.run("ip", "netns", "add", host.name)
        bench.run("ip", "link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        bench.run("ip", "address", "add", f"{host.server_address}/24", "dev", host.name)
        bench.run("ip", "link", "set", host.name, "up")
        inside("address", "add", f"10.77.{number}.2/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            inside("link", "set", device, "up")
        return host

    @property
    def name(self) -> str:
        return f"client{self.number}"

    @property
    def server_address(self) -> str:
        """The machine's address, as this host sees it."""
        return f"10.77.{self.number}.1"

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command, so that it runs on this host."""
        rename = 'hostname "$0" && exec "$@"'
        return "nsenter", f"--net=/run/netns/{self.name}", "unshare", "--uts", "sh", "-c", rename, self.name

    def mount(self, name: str, *command: object) -> Path:
        """Mount by a command, run on this host, whose last argument is the point; the place."""
        return self.bench.mount(f"{self.name}-{name}", *self.prefix, *command)
