"""A real server of SMB, Samba's, whose shares the kernel's client mounts.

For root in a machine that is thrown away afterwards, as ``python -m tools.machine`` has one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench import UnavailableError

if TYPE_CHECKING:
    from tools.bench import Bench
    from tools.client_host import ClientHost

_SERVER = """[global]
server role = standalone server
map to guest = Bad User
guest account = root
load printers = no
disable spoolss = yes
log file = {place}/log
"""
_SHARE = """[{name}]
path = {path}
read only = no
guest ok = yes
"""
_PLACES = ("private dir", "state directory", "cache directory", "lock directory", "pid directory", "ncalrpc dir")
_OPTIONS = ("vers=3.1.1", "guest", "mfsymlinks")  # without the last one there are no symbolic links
_PATIENCE = 30  # seconds


class Server:
    """Samba's server with two shares: ``one`` and ``other``, each a file system of its own."""

    def __init__(self, bench: Bench) -> None:
        if "cifs" not in Path("/proc/filesystems").read_text(encoding="ascii"):
            raise UnavailableError("this kernel has no client of SMB")
        place = bench.folder("samba")
        place.chmod(0o755)
        settings = place / "smb.conf"
        shares = {name: bench.image("ext4", name=f"{name}-share") for name in ("one", "other")}
        lines = [_SERVER.format(place=place), *(f"{name} = {place}\n" for name in _PLACES)]
        settings.write_text("".join(lines + [_SHARE.format(name=name, path=path) for name, path in shares.items()]))
        bench.start("smbd", "--foreground", "--configfile", settings)

    def mount(self, host: ClientHost, share: str, *options: str) -> Path:
        """Mount a share on a host, once the server answers; the place."""
        what, chosen = f"//{host.server_address}/{share}", ",".join((*_OPTIONS, *options))
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return host.mount(share, "mount", "-t", "cifs", "-o", chosen, what)
            except UnavailableError:
                if time.monotonic() > end:
                    raise
                time.sleep(1)
