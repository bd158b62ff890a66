"""Plays the acts of one reply on the connection the request came by."""

import asyncio
import socket
import struct

from aiohttp import web

from tests.upstream.acts import Mark, Pause, Reply
from tests.upstream.received import Received

_LINGER_ZERO = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN


async def play(reply: Reply, request: Received, http: web.BaseRequest) -> web.StreamResponse:
    """Write what the reply says, when it says so. Raises what a lost connection raises."""
    response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
    response.headers.setdefault("Content-Type", reply.content_type)
    response.content_length = reply.length
    for act in reply.acts:
        match act:
            case bytes():
                if not response.prepared:
                    await response.prepare(http)
                await response.write(act)
                request.started.set()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Mark.HOLD:
                await request.released.wait()
            case Mark.CUT | Mark.RESET:
                _drop(http.transport, reset=act is Mark.RESET)
                break
    # Nothing is awaited between the last write and this, so a client that has read it all is never "gone".
    request.answered.set()
    return response


def _drop(transport: asyncio.Transport | None, *, reset: bool) -> None:
    if transport is None:
        return
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        transport.abort()
    else:
        transport.close()  # what has been written still reaches the client
