#!/usr/bin/env bash
# asyncio (CPython 3.11): connections of a socket that socket.create_server made have Nagle's algorithm, its own have not.
#
# Source: seen with CPython 3.11.7. The documentation of asyncio, at loop.create_connection, says of 3.6 that TCP_NODELAY became
#         the default of all TCP connections.
# Guess:  a TCP connection that asyncio accepted sends at once, whoever made the socket that listens.
# Seen:   asyncio asks socket.proto, which is 0 for a socket that create_server made, and for those that it accepts: the
#         option is set for IPPROTO_TCP alone. The second of two small pieces waits until the other end acknowledges the
#         first, which it delays by 40 ms.
# Hurts:  who hands a socket of its own to a server on asyncio, as with uvicorn's run(sockets=...): each answer whose head and
#         body are two pieces takes 40 ms longer on a connection that is kept.
#
# Ends with 0 if that is still so. Needs Python 3.11 or newer.
set -euo pipefail
python3 -W error - <<'PYTHON'
import asyncio
import socket


async def no_delay(listening: dict[str, object]) -> int:
    """The option of a connection that was accepted."""
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted = transport.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    server = await asyncio.get_running_loop().create_server(Protocol, **listening)
    with socket.create_connection(server.sockets[0].getsockname()):
        result = await found
    server.close()
    return result


own = asyncio.run(no_delay({"host": "127.0.0.1", "port": 0}))
with socket.create_server(("127.0.0.1", 0)) as made:
    print("its protocol is", made.proto, "and TCP's is", int(socket.IPPROTO_TCP))
    given = asyncio.run(no_delay({"sock": made}))
print("TCP_NODELAY of asyncio's own socket:", own, "of one that create_server made:", given)
assert own and not given
PYTHON
