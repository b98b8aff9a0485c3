"""Applications served by a thread of the test's own, as ``conveyor board`` serves them, on real ports of the loopback."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from conveyor.board.connections import PatientConnection

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.types import ASGIApp


@contextmanager
def serving(app: ASGIApp, *ports: socket.socket) -> Iterator[set[object]]:
    """Serve an application; the value are its connections."""
    config = uvicorn.Config(app, http=PatientConnection, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(list(ports),))
    thread.start()
    try:
        yield server.server_state.connections  # type: ignore[misc]  # of its protocols
    finally:
        server.should_exit = True
        thread.join()
