#!/usr/bin/env bash
# NFS (Linux 6.1, server and clients): a file that is open on one client and removed by another is read on, by 4.2 only.
#
# Source: Debian 12's kernel (user-mode Linux 6.1) and nfs-utils 2.6.2. nfs(5) and RFC 8881 leave it to the server what becomes of
#         a file that is removed while it is open.
# Guess:  ESTALE by either version: only the client that has a file open renames it to ".nfs..." in the place of removing it.
# Seen:   by version 3 the reader gets ESTALE, some seconds later. By 4.2 it reads on, to the end: its OPEN keeps the file.
# Hurts:  who moves data by a copy and a removal while somebody on another host reads: one version hides what the other breaks.
#
# Ends with 0 if that is still so. Needs root, a C compiler, and apt-get with Debian 12's packages (they are not installed).
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m tools.machine python3 -c '
import errno, os, tempfile, time
from contextlib import ExitStack
from pathlib import Path

from tools.bench import Bench
from tools.nfs import Client, Server

SIZE = 5_000_000
seen = {}
with ExitStack() as stack:
    bench = Bench(Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))), stack)
    server = Server(bench)
    clients = [Client.make(bench, server, number) for number in (1, 2)]
    for version in ("4.2", "3"):
        here, there = (client.mount(server.root, version) for client in clients)
        name = f"file{version}"
        (here / name).write_bytes(os.urandom(SIZE))
        reader = os.open(there / name, os.O_RDONLY)
        os.read(reader, 1000)
        (here / name).unlink()
        time.sleep(15)  # the server itself remembers for a while what it had open
        try:
            seen[version] = len(os.pread(reader, 1000, SIZE - 1000))
        except OSError as error:
            seen[version] = errno.errorcode[error.errno]
        os.close(reader)
        print(f"NFS {version}: reading on at the end of the file: {seen[version]}")
assert seen == {"4.2": 1000, "3": "ESTALE"}, seen
'
