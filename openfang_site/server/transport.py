# mypy: allow-untyped-calls
from errno import ENOBUFS
from typing import Any

from twisted.internet import main, tcp


class Transport(tcp.Server):
    """A client's connection, which sends what was written to it once the writer has had its turn.

    Twisted first has the system tell whether a socket takes data: that costs more than to send a chunk, and the answer
    is almost always yes. Here the system is asked only about a client that has not taken everything.
    """

    waits_for_room = False
    sent = 0  # bytes that the system has taken for the client so far
    _sends_soon = False

    def startWriting(self) -> None:
        if not (self._sends_soon or self.waits_for_room):
            self._sends_soon = True
            self.reactor._asyncioEventloop.call_soon(self._send)

    def stopWriting(self) -> None:
        if self.waits_for_room:
            self.waits_for_room = False
            super().stopWriting()

    def writeSomeData(self, data: Any) -> Any:
        """Send as much as the system takes and count it: Twisted returns the number to its caller only."""
        try:
            taken = self.socket.send(data)
        except OSError as error:
            return 0 if isinstance(error, BlockingIOError) or error.errno == ENOBUFS else main.CONNECTION_LOST
        self.sent += taken
        return taken

    def _send(self) -> None:
        self._sends_soon = False
        if self.disconnected:
            return
        self.reactor._readOrWrite(self, False)
        if self.connected and (self.dataBuffer or self._tempDataLen):
            self.waits_for_room = True
            super().startWriting()
