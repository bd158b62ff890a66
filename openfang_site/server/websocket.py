from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne import ws_protocol

from openfang_site.server.flow import Flow

GOING_AWAY, INTERNAL_ERROR = 1001, 1011  # WebSocket close codes


class WebSocket(ws_protocol.WebSocketProtocol):  # type: ignore[misc]
    """A WebSocket that writes at its reader's pace and takes its leave when the server stops.

    A reader who stalls doesn't answer Daphne's pings (every 20 s, 30 s to answer) and is cut by them.
    """

    channel: Flow | None = None  # the connection it took over

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.channel is not None:
            self.channel.release()
        super().onClose(wasClean, code, reason)

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        # To a client that has left, or is being told to, nothing is sent: no fault of the application.
        if self.state not in (self.STATE_CLOSING, self.STATE_CLOSED):
            super().serverSend(content, binary)

    def application_ended(self) -> None:
        """Close what the application left open."""
        self._leave(INTERNAL_ERROR, 500, "Internal Server Error")

    def go_away(self) -> None:
        self._leave(GOING_AWAY, 503, "Service Unavailable")

    def _leave(self, code: int, status: int, reason: str) -> None:
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code)
        elif handshake := self.__dict__.pop("handshake_deferred", None):
            handshake.errback(ConnectionDeny(code=status, reason=reason))  # type: ignore[no-untyped-call]


class WebSocketFactory(ws_protocol.WebSocketFactory):  # type: ignore[misc]
    """Makes a `WebSocket` for each connection that asks to become one."""

    protocol = WebSocket

    def __init__(self, server: Any) -> None:
        super().__init__(server, server=server.server_name)
        self.setProtocolOptions(
            autoPingTimeout=server.ping_timeout,
            openHandshakeTimeout=server.websocket_handshake_timeout,
            maxMessagePayloadSize=server.websocket_max_message_size,
            maxFramePayloadSize=server.websocket_max_frame_size,
        )
